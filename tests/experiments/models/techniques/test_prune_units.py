import numpy as np
import pytest

from experiments.models.sequential.forward import accuracy_numpy, forward_numpy, initial_weights
from experiments.models.sequential.network import Conv, Linear, Network, lenet_5, mlp
from experiments.models.techniques.prune_units import active_units, layer_widths, select_units, shrink, unit_masks
from experiments.models.techniques.prune_weights import apply_masks, pruning_masks
from tests.experiments.models.small_network import held_out, mixed, trained

NETWORKS = {
    "linear": trained,
    "every kind": mixed,
    "flattened convolution": lambda: (lenet_5(), initial_weights(lenet_5(), 1)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("score", ["l1", "l2", "random"])
def test_the_smaller_network_computes_the_same_as_the_masked_one(name, score):
    network, weights = NETWORKS[name]()
    images = held_out(20).images
    kept = select_units(network, weights, 0.5, score)
    smaller, left = shrink(network, weights, kept)
    zeroed = apply_masks(weights, unit_masks(network, kept))
    assert forward_numpy(smaller, left, images) == pytest.approx(forward_numpy(network, zeroed, images), abs=1e-4)
    assert smaller.classes == network.classes


def test_both_dimensions_go():
    network, weights = lenet_5(), initial_weights(lenet_5(), 1)
    smaller, left = shrink(network, weights, select_units(network, weights, 0.5))
    assert layer_widths(smaller) == "10-25-250-10"
    assert left["layers.1.weight"].shape == (25, 10, 5, 5)
    assert left["layers.2.weight"].shape == (250, 25 * 16)
    assert left["layers.3.weight"].shape == (10, 250)


def test_widths_may_be_given_by_layer():
    network, weights = trained()
    smaller, _ = shrink(network, weights, select_units(network, weights, {"layers.1": 3}))
    assert layer_widths(smaller) == "24-3-10"


def test_the_norms_are_of_both_sides_of_a_unit():
    network = Network("two", (Linear(2, 3, True), Linear(3, 1)), (2,))
    weights = {
        "layers.0.weight": np.array([[3, 4], [1, 0], [2, 2]], np.float32),
        "layers.0.bias": np.zeros(3, np.float32),
        "layers.1.weight": np.array([[1, 9, 2]], np.float32),
        "layers.1.bias": np.zeros(1, np.float32),
    }
    # l1: 7 * 1, 1 * 9, 4 * 2; l2: 5 * 1, 1 * 9, 2.83 * 2
    assert select_units(network, weights, {"layers.0": 1}, "l1")["layers.0"].tolist() == [1]
    assert select_units(network, weights, {"layers.0": 2}, "l1")["layers.0"].tolist() == [1, 2]
    assert select_units(network, weights, {"layers.0": 2}, "l2")["layers.0"].tolist() == [1, 2]


def test_taylor_keeps_the_units_whose_removal_would_change_the_loss():
    network, weights = trained()
    gradients = {name: np.zeros_like(one) for name, one in weights.items()}
    gradients["layers.0.bias"][5] = 1.0
    gradients["layers.1.weight"][[2, 9]] = 1.0
    kept = select_units(network, weights, {"layers.0": 1, "layers.1": 2}, "taylor", gradients=[gradients])
    assert kept["layers.0"].tolist() == [5]
    assert kept["layers.1"].tolist() == [2, 9]


def test_units_with_the_largest_norms_are_worth_more_than_random_ones():
    network, weights = trained()
    test = held_out()

    def accuracy(score):
        smaller, left = shrink(network, weights, select_units(network, weights, 0.6, score))
        return accuracy_numpy(smaller, left, test.images, test.labels)

    assert accuracy("l2") > accuracy("random")


def test_a_single_layer_loses_outputs_if_the_last_layer_may_be_pruned():
    network = Network("matrix", (Linear(6, 4),), (6,))
    weights = initial_weights(network, 0)
    assert select_units(network, weights, 0.5) == {}
    smaller, left = shrink(network, weights, select_units(network, weights, 0.5, last=True))
    strongest = np.sort(np.argsort(-np.linalg.norm(weights["layers.0.weight"], axis=1))[:2])
    assert layer_widths(smaller) == "2"
    assert (left["layers.0.weight"] == weights["layers.0.weight"][strongest]).all()


def test_a_random_choice_is_seeded_and_its_smaller_one_is_part_of_the_larger():
    network, weights = trained()
    few, many = (select_units(network, weights, width, "random", seed=2)["layers.0"] for width in (0.25, 0.75))
    assert set(few) < set(many)
    assert set(few) != set(select_units(network, weights, 0.25, "random", seed=3)["layers.0"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"width": 0}, "width: 0 is not allowed; give a share above 0, at most 1"),
        ({"width": 1.5}, "width: 1.5 is not allowed"),
        ({"width": 0.001}, "width: 0 units in layers.0 are not allowed; give 1 to 128"),
        ({"width": {"layers.0": 0}}, "width: 0 units in layers.0 are not allowed; give 1 to 128"),
        ({"width": {"layers.0": 129}}, "width: 129 units in layers.0 are not allowed"),
        ({"width": {"layers.1": 5}}, "width: mlp has no layer layers.1 whose units may be pruned"),
        ({"score": "l3"}, "score: l3 is not allowed; give one of l1, l2, taylor, random"),
        ({"score": "taylor"}, "score: taylor needs gradients of calibration images"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, said):
    network = mlp()
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        select_units(network, initial_weights(network, 0), **{"width": 0.5, **given})
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize("units", [[], [3, 2], [1, 1], [-1, 2], [5, 128]])
def test_units_that_are_none_are_refused(units):
    network = mlp()
    with pytest.raises(ValueError, match="kept: not a list of ascending units of layers"):
        shrink(network, initial_weights(network, 0), {"layers.0": np.array(units, int)})
    with pytest.raises(ValueError, match="kept: mlp has no layer"):
        unit_masks(network, {"layers.5": np.arange(2)})


DENSE = Network("dense", (Linear(12, 9, True), Linear(9, 8, True), Linear(8, 4)), (12,))
CONVOLVED = Network(
    "convolved", (Conv(1, 6, 3, relu=True, pool="max2"), Conv(6, 5, 3, relu=True), Linear(20, 4)), (1, 10, 10)
)


@pytest.mark.parametrize("network", [DENSE, CONVOLVED])
def test_a_network_without_its_dead_units_computes_the_same(network):
    weights = initial_weights(network, 0)  # biases are 0: the output of a unit without inputs is 0
    weights = apply_masks(weights, pruning_masks(network, weights, 0.93))
    kept = active_units(network, weights)
    small, left = shrink(network, weights, kept)
    assert sum(layer.outputs for layer in small.layers) < sum(layer.outputs for layer in network.layers)
    images = np.random.default_rng(1).random((20, int(np.prod(network.image))), np.float32)
    assert forward_numpy(small, left, images) == pytest.approx(forward_numpy(network, weights, images), abs=1e-6)
    assert all(
        len(units) == small.layers[number].outputs for number, units in enumerate(active_units(small, left).values())
    )


def test_a_unit_whose_only_follower_is_dead_is_dead_too():
    network = Network("chain", (Linear(2, 2, True), Linear(2, 2, True), Linear(2, 2)), (2,))
    weights = {name: np.ones(shape, np.float32) for name, shape in network.shapes().items()}
    weights["layers.1.weight"][:] = np.eye(2)
    weights["layers.2.weight"][:, 1] = 0
    assert [units.tolist() for units in active_units(network, weights).values()] == [[0], [0]]
    nothing = {name: 0 * one for name, one in weights.items()}
    assert [units.tolist() for units in active_units(network, nothing).values()] == [[0], [0]]
