import pytest

from experiments.models.sequential.forward import initial_weights
from experiments.models.sequential.network import (
    NETWORKS,
    Conv,
    Linear,
    Network,
    cnn,
    lenet_5,
    lenet_300_100,
    mlp,
    parameter_count,
)


@pytest.mark.parametrize(
    ("network", "count"), [(mlp(), 101_770), (lenet_300_100(), 266_610), (cnn(), 13_578), (lenet_5(), 431_080)]
)
def test_the_standard_sizes_have_the_known_number_of_parameters(network, count):
    assert parameter_count(network) == count == sum(one.size for one in initial_weights(network, 0).values())


@pytest.mark.parametrize("network", [make() for make in NETWORKS.values()], ids=list(NETWORKS))
def test_every_network_names_itself_and_ends_in_ten_classes(network):
    assert NETWORKS[network.name]() == network
    assert network.classes == 10
    assert network.walk()[-1].output_shape == (10,)


def test_sizes_are_adjustable():
    assert mlp(64, 32, 4).shapes() == {
        "layers.0.weight": (32, 64),
        "layers.0.bias": (32,),
        "layers.1.weight": (4, 32),
        "layers.1.bias": (4,),
    }
    assert lenet_5(8, 16, 32).shapes()["layers.2.weight"] == (32, 16 * 16)


def test_every_layer_knows_its_names_and_shapes():
    first, second, third, _ = lenet_5().walk()
    assert (first.input_shape, first.output_shape) == ((1, 28, 28), (20, 12, 12))
    assert (second.output_shape, second.weight, second.bias) == ((50, 4, 4), "layers.1.weight", "layers.1.bias")
    assert (third.input_shape, third.output_shape) == ((50, 4, 4), (500,))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "at least one layer"),
        ((Linear(784, 0),), "at least one input and one output"),
        ((Linear(784, 8), Linear(9, 10)), "9 inputs cannot follow"),
        ((Conv(3, 8, 3),), "3 channels cannot follow"),
        ((Conv(1, 8, 29),), "does not fit"),
        ((Conv(1, 8, 28, pool="max2"),), "does not fit"),
        ((Linear(784, 8), Conv(8, 8, 3)), "cannot follow"),
    ],
)
def test_layers_that_do_not_fit_one_another_are_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        Network("wrong", layers)
