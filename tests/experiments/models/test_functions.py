"""Runs every workload once, in one child process, and compares it with its twin in numpy."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment
from experiments.models.functions import FunctionModel, elementwise, matmul_chain

NAMES = ("elementwise", "matmul_chain", "mlp3", "tiny_layers")


@pytest.fixture(scope="module")
def seen():
    command = [sys.executable, "-m", "tests.experiments.models.functions_program"]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_a_function_matches_its_reference(seen, name):
    assert seen[name]["error"] <= 1e-6 * seen[name]["largest"] + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_float32_and_the_reference_is_float64(seen, name):
    assert seen[name]["types"] == ["float32", "float64", "float32"]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_inputs_are_sampled_again(seen, name):
    assert seen[name]["repeats"]


@pytest.mark.parametrize(
    ("name", "inputs", "output"),
    [
        ("elementwise", [[37, 37]] * 2, [37, 37]),
        ("matmul_chain", [[64, 64]] * 3, []),
        ("mlp3", [[16, 784]], [16, 10]),
        ("tiny_layers", [[8, 32]], [8, 32]),
    ],
)
def test_shapes_follow_the_size(seen, name, inputs, output):
    assert (seen[name]["inputs"], seen[name]["shape"]) == (inputs, output)


def test_the_last_layer_has_a_relu_only_if_requested(seen):
    assert seen["mlp3"]["negative"]
    assert not seen["tiny_layers"]["negative"]


@pytest.mark.parametrize("name", ["mlp3", "tiny_layers"])
def test_activations_neither_vanish_nor_grow(seen, name):
    assert 0.1 < seen[name]["largest"] < 100


def test_the_inputs_of_one_call_differ_from_each_other():
    x, y = elementwise().sample(4)
    assert not np.array_equal(x, y)


def test_the_references_are_correct_on_numbers_computed_by_hand():
    x, y = np.array([[1.0, -3.0]], np.float32), np.array([[2.0, 1.0]], np.float32)
    assert elementwise().reference(x, y).tolist() == [[6.0, 0.0]]
    a, b = np.array([[1, 2], [3, 4]], np.float32), np.array([[1, 0], [0, -1]], np.float32)
    c = np.array([[1, 1], [1, 1]], np.float32)
    assert matmul_chain().reference(a, b, c) == 2 + 0 + 4 + 0  # a@b = [[1, -2], [3, -4]]


def test_a_workload_draws_for_its_own_size():
    counting = FunctionModel(lambda x: x, lambda n: (np.zeros(n, np.float32),), lambda x: x)
    assert counting.sample(5)[0].shape == (5,)
