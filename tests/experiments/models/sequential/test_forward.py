import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment
from experiments.models.sequential.forward import accuracy_numpy, check_weights, forward_numpy, initial_weights
from experiments.models.sequential.network import (
    Conv,
    Linear,
    Network,
    cnn,
    lenet_5,
    mlp,
)


def test_initial_weights_are_seeded_and_scaled_to_their_inputs():
    one, same, other = (initial_weights(mlp(), seed)["layers.0.weight"] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.dtype == np.float32
    assert one.std() == pytest.approx(np.sqrt(2 / 784), rel=0.01)
    assert not initial_weights(cnn(), 0)["layers.1.bias"].any()


def test_a_linear_network_is_correct_on_numbers_computed_by_hand():
    network = mlp(2, 2, 1)
    weights = {
        "layers.0.weight": np.array([[1.0, 2.0], [-1.0, 0.0]]),
        "layers.0.bias": np.array([0.5, 0.0]),
        "layers.1.weight": np.array([[2.0, 3.0]]),
        "layers.1.bias": np.array([-1.0]),
    }
    assert forward_numpy(network, weights, np.array([[1.0, 1.0]])).tolist() == [[2 * 3.5 + 0 - 1]]


@pytest.mark.parametrize(
    "layer",
    [
        Conv(2, 3, 3),
        Conv(2, 3, 3, stride=2, padding=1, relu=True),
        Conv(2, 3, 2, relu=True, pool="max2"),
        Conv(2, 3, 3, pool="average"),
    ],
)
def test_a_convolution_equals_an_explicit_sum(layer):
    rng = np.random.default_rng(3)
    network = Network("one", (layer,), (2, 8, 7))
    weight, bias, image = rng.normal(size=layer.weight_shape), rng.normal(size=3), rng.normal(size=(2, 8, 7))
    around = np.pad(image, ((0, 0), (layer.padding,) * 2, (layer.padding,) * 2))
    rows, columns = layer.positions((2, 8, 7))
    wanted = np.empty((3, rows, columns))
    for out, row, column in itertools.product(range(3), range(rows), range(columns)):
        top, left = row * layer.stride, column * layer.stride
        seen = around[:, top : top + layer.kernel, left : left + layer.kernel]
        wanted[out, row, column] = (seen * weight[out]).sum() + bias[out]
    wanted = np.maximum(wanted, 0) if layer.relu else wanted
    if layer.pool == "average":
        wanted = wanted.mean((1, 2))
    elif layer.pool == "max2":
        squares = wanted[:, : rows // 2 * 2, : columns // 2 * 2].reshape(3, rows // 2, 2, columns // 2, 2)
        wanted = squares.max((2, 4))
    weights = {"layers.0.weight": weight, "layers.0.bias": bias}
    seen = forward_numpy(network, weights, image.reshape(1, -1))[0]
    assert seen.shape == network.walk()[0].output_shape
    assert np.allclose(seen, wanted)


def test_chunks_of_images_give_what_all_at_once_give(monkeypatch):
    network, images = lenet_5(2, 3, 4), np.random.default_rng(0).random((7, 784), np.float32)
    weights = initial_weights(network, 0)
    whole = forward_numpy(network, weights, images)
    monkeypatch.setattr("experiments.models.sequential.forward.CHUNK_FLOATS", 1)
    assert np.allclose(forward_numpy(network, weights, images), whole, atol=1e-5)
    assert forward_numpy(network, weights, images[:0]).shape == (0, 10)


def test_the_hook_sees_and_replaces_the_input_of_each_layer():
    network, images = lenet_5(2, 3, 4), np.ones((2, 784), np.float32)
    weights, shapes = initial_weights(network, 0), []
    logits = forward_numpy(network, weights, images, lambda name, x: shapes.append((name, x.shape)) or x * 0)
    assert shapes == [
        ("layers.0", (2, 1, 28, 28)),
        ("layers.1", (2, 2, 12, 12)),
        ("layers.2", (2, 48)),
        ("layers.3", (2, 4)),
    ]
    assert np.array_equal(logits, np.zeros((2, 10)))


def test_precision_is_that_of_weights_and_images():
    network, images = cnn(2, 2), np.ones((1, 784), np.float32)
    weights = initial_weights(network, 0)
    assert forward_numpy(network, weights, images).dtype == np.float32
    double = {name: one.astype(np.float64) for name, one in weights.items()}
    assert forward_numpy(network, double, images).dtype == np.float64


def test_forward_leaves_its_inputs_alone():
    network, images = mlp(4, 3, 2), np.ones((1, 4), np.float32)
    weights = initial_weights(network, 0)
    forward_numpy(network, weights, images)
    assert np.array_equal(images, np.ones((1, 4)))
    assert not weights["layers.0.bias"].any()


def test_accuracy_is_the_share_of_largest_logits_at_the_label():
    network = Network("identity", (Linear(2, 2),), (2,))
    weights = {"layers.0.weight": np.eye(2), "layers.0.bias": np.zeros(2)}
    images = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert accuracy_numpy(network, weights, images, np.array([0, 1, 1, 0])) == 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("layers.1.bias"), "weights of another network.*differs in layers.1.bias"),
        (lambda weights: weights.update(extra=np.zeros(1)), "weights of another network.*differs in extra"),
        (lambda weights: weights.update({"layers.0.bias": np.zeros(3)}), r"layers.0.bias is \(3,\), mlp has \(5,\)"),
        (lambda weights: weights["layers.0.weight"].fill(np.nan), "layers.0.weight contains NaN or infinity"),
    ],
)
def test_weights_that_are_not_the_networks_own_are_refused_in_one_line(change, message):
    network = mlp(4, 5, 2)
    weights = initial_weights(network, 0)
    check_weights(network, weights)
    change(weights)
    with pytest.raises(ValueError, match=message) as error:
        check_weights(network, weights)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def errors():
    command = [sys.executable, "-m", "tests.experiments.models.sequential.network_program"]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["mlp", "cnn", "lenet_5"])
def test_tinygrad_computes_the_same_as_numpy(errors, name):
    assert errors[name] < 1e-5
