"""Codebooks in training, and the units that a sparse network can do without."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment
from experiments.models.sequential.network import Conv, Linear, Network, forward_numpy, initial_weights
from experiments.models.techniques.prune_units import active_units, shrink
from experiments.models.techniques.prune_weights import apply_masks, pruning_masks

LOOK = """
import json
import numpy as np
from tinygrad import Tensor
from experiments.compression.record.codebooks import Codebooks
from experiments.models.training.checkpoints import Checkpoint
from experiments.models.data.mnist import Split
from experiments.models.training.feeding import teacher_logits
from experiments.models.sequential.network import initial_weights, mlp
from experiments.models.training.settings import Settings
from experiments.models.techniques.teacher_logits import device_table, cached_teacher_logits

network = mlp(8, 5, 3)
weights = initial_weights(network, 1)
weights["layers.0.weight"][:, ::2] = 0
books = Codebooks(network, "CPU", 4, 2)
def used(name):
    weight = Tensor(weights[name])
    value = books.hook(name, weight)
    return value.numpy(), (value * 3).sum().gradient(weight)[0].numpy()
seen, name = {}, "layers.0.weight"
value, slope = used(name)
seen["off"] = bool((value == weights[name]).all())
books.fit(weights)
value, slope = used(name)
others = weights[name][weights[name] != 0]
seen["value"], seen["weight"] = value.tolist(), weights[name].tolist()
seen["applied"], seen["numbers"] = books.apply(weights)[name].tolist(), books.values[name].tolist()
seen["slope"] = np.unique(slope).tolist()
first = books.values[name]
books.fit({key: one * 2 for key, one in weights.items()})
seen["moved"] = float(np.abs(books.values[name]).max() / np.abs(first).max())
books.restart()
seen["off again"] = bool((used(name)[0] == weights[name]).all())

pixels = mlp(16, 5, 3)
weights, images = initial_weights(pixels, 1), np.random.default_rng(0).random((1007, 16), np.float32)
by_numpy = teacher_logits(pixels, weights, images, 1)
by_device = device_table(pixels, weights, images, 1, "CPU")
seen["tables"] = [by_numpy.shape, by_device.shape, float(np.abs(by_numpy - by_device).max())]
teacher = Checkpoint(pixels, Settings(), weights, [], 0.0, 0.0, 0.0, "CPU")
first, again = (cached_teacher_logits(teacher, Split(images, np.zeros(1007, int)), 1, "CPU") for _ in range(2))
seen["kept"] = bool((first == by_numpy).all() and (first == again).all())
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    environment = child_environment("CPU") | {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    done = subprocess.run([sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_forward_pass_uses_the_nearest_number_and_leaves_zeros(seen):
    value, weight, numbers = (np.array(seen[name]) for name in ("value", "weight", "numbers"))
    assert np.array_equal(value, seen["applied"])
    nearest = numbers[np.abs(weight[..., None] - numbers).argmin(axis=2)]
    assert np.array_equal(value, np.where(weight != 0, nearest, 0))
    assert np.array_equal(numbers, numbers.astype(np.float16))


def test_each_number_is_the_mean_of_the_weights_that_use_it(seen):
    value, weight = np.array(seen["value"]), np.array(seen["weight"])
    for number in seen["numbers"]:
        assert number == pytest.approx(weight[value == number].mean(), rel=1e-3)


def test_the_gradient_goes_straight_to_the_weights(seen):
    assert seen["slope"] == [3.0]


def test_codebooks_are_off_until_they_are_fitted(seen):
    assert seen["off"] and seen["off again"]
    assert seen["moved"] > 1.3  # the weights doubled, and one step of k-means follows


def test_a_teachers_logits_are_the_same_from_the_device_and_from_the_cache(seen):
    shape, same_shape, difference = seen["tables"]
    assert shape == same_shape == [9, 1007, 3]
    assert difference < 0.01  # half precision
    assert seen["kept"]


DENSE = Network("dense", (Linear(12, 9, True), Linear(9, 8, True), Linear(8, 4)), (12,))
CONVOLVED = Network(
    "convolved", (Conv(1, 6, 3, relu=True, pool="max2"), Conv(6, 5, 3, relu=True), Linear(20, 4)), (1, 10, 10)
)


@pytest.mark.parametrize("network", [DENSE, CONVOLVED])
def test_a_network_without_its_dead_units_computes_the_same(network):
    weights = initial_weights(network, 0)  # biases of 0: a unit that nothing reaches sends nothing
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
