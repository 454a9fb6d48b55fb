"""Runs every workload once, in one child process, and compares it with its twin in numpy."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment
from experiments.models.functions import FunctionModel, elementwise, matmul_chain

NAMES = ("elementwise", "matmul_chain", "mlp3", "tiny_layers")
LOOK = """
import json
import numpy as np
from experiments.bench.session import max_abs_error
from experiments.models.functions import elementwise, layers, matmul_chain

seen = {}
for name, workload, n in (
    ("elementwise", elementwise(), 37),
    ("matmul_chain", matmul_chain(), 64),
    ("mlp3", layers("CPU", [784, 128, 64, 10]), 16),
    ("tiny_layers", layers("CPU", [32] * 13, relu_last=True), 8),
):
    arrays, inputs = workload.sample(n), workload.inputs(n, "CPU")
    output, reference = workload.function(*inputs).numpy(), workload.reference(*arrays)
    seen[name] = {
        "error": max_abs_error(output, reference),
        "largest": float(np.max(np.abs(reference))),
        "shape": list(output.shape),
        "types": [str(output.dtype), str(reference.dtype), *{str(array.dtype) for array in arrays}],
        "inputs": [list(one.shape) for one in inputs],
        "negative": bool((output < 0).any()),
        "repeats": bool((workload.function(*workload.inputs(n, "CPU")).numpy() == output).all()),
    }
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen():
    command = [sys.executable, "-c", LOOK]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_a_workload_computes_what_its_twin_does(seen, name):
    assert seen[name]["error"] <= 1e-6 * seen[name]["largest"] + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_float32_and_the_twin_is_float64(seen, name):
    assert seen[name]["types"] == ["float32", "float64", "float32"]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_inputs_are_drawn_again(seen, name):
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


def test_the_last_layer_is_rectified_only_where_asked(seen):
    assert seen["mlp3"]["negative"]
    assert not seen["tiny_layers"]["negative"]


@pytest.mark.parametrize("name", ["mlp3", "tiny_layers"])
def test_activations_neither_vanish_nor_grow(seen, name):
    assert 0.1 < seen[name]["largest"] < 100


def test_the_inputs_of_one_call_differ_from_each_other():
    x, y = elementwise().sample(4)
    assert not np.array_equal(x, y)


def test_the_twins_are_right_on_numbers_worked_out_by_hand():
    x, y = np.array([[1.0, -3.0]], np.float32), np.array([[2.0, 1.0]], np.float32)
    assert elementwise().reference(x, y).tolist() == [[6.0, 0.0]]
    a, b = np.array([[1, 2], [3, 4]], np.float32), np.array([[1, 0], [0, -1]], np.float32)
    c = np.array([[1, 1], [1, 1]], np.float32)
    assert matmul_chain().reference(a, b, c) == 2 + 0 + 4 + 0  # a@b = [[1, -2], [3, -4]]


def test_a_workload_draws_for_its_own_size():
    counting = FunctionModel(lambda x: x, lambda n: (np.zeros(n, np.float32),), lambda x: x)
    assert counting.sample(5)[0].shape == (5,)
