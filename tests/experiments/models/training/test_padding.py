import numpy as np
import pytest

from experiments.models.sequential.forward import forward_numpy, initial_weights
from experiments.models.sequential.network import cnn, lenet_5, lenet_300_100, mlp
from experiments.models.training.padding import pad, padded, unpad

ODD = [mlp(), lenet_300_100(), mlp(16, 7, 3), cnn(3, 5), lenet_5(3, 5, 7)]


def test_widths_are_rounded_up_and_images_stay():
    assert [layer.outputs for layer in padded(lenet_300_100()).layers] == [304, 112, 16]
    assert [layer.outputs for layer in padded(lenet_5()).layers] == [20, 52, 512, 16]
    assert padded(lenet_5()).layers[2].inputs == 52 * 16
    assert padded(mlp()).layers[0].inputs == 784


@pytest.mark.parametrize("network", ODD, ids=lambda one: f"{one.name}-{one.layers[0].outputs}")
def test_a_padded_network_computes_the_same(network):
    images = np.random.default_rng(0).random((4, np.prod(network.image)), np.float32)
    weights = {name: one + np.float32(0.01) for name, one in initial_weights(network, 0).items()}
    wide = forward_numpy(padded(network), pad(network, weights), images)
    assert np.allclose(wide[:, : network.classes], forward_numpy(network, weights, images), atol=1e-3)
    assert not wide[:, network.classes :].any()


@pytest.mark.parametrize("network", ODD, ids=lambda one: f"{one.name}-{one.layers[0].outputs}")
def test_unpadding_gives_back_what_was_padded(network):
    weights = initial_weights(network, 0)
    back = unpad(network, pad(network, weights))
    assert back.keys() == weights.keys()
    assert all(np.array_equal(back[name], weights[name]) for name in weights)
