"""Runs every function to search for and every way through memory once, and compares it with numpy."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment
from experiments.compiler.beam.workloads import KERNELS, build
from experiments.compiler.memory.access_patterns import GATHER_STRIDE, PATTERNS, STRIDE

LOOK = """
import json
from experiments.bench.session import max_abs_error, tolerance
from experiments.compiler.beam.workloads import KERNELS, build
from experiments.compiler.memory.access_patterns import PATTERNS
from experiments.models.functions import tensors

def error(function, arrays, reference):
    output, expected = function(*tensors("CPU", *arrays)).numpy(), reference(*arrays)
    return [max_abs_error(output, expected), tolerance(expected, 1e-5, 1e-4), list(expected.shape)]

seen = {}
for name in KERNELS:
    one = build(name, "float32", 2, 3, 5)
    seen[name] = error(one.function, one.sample(24), one.reference)
half = build("matmul", "float16", 2, 3, 5)
seen["float16"] = error(half.function, half.sample(24), half.reference)
for name, one in PATTERNS.items():
    seen[f"pattern {name}"] = error(one.function, one.sample((36, 50)), one.reference)
print(json.dumps(seen))
"""
SHAPE = (36, 50)


@pytest.fixture(scope="module")
def seen():
    command = [sys.executable, "-c", LOOK]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=child_environment("CPU"))
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", [*KERNELS, *(f"pattern {name}" for name in PATTERNS)])
def test_tinygrad_computes_what_numpy_computes(seen, name):
    error, allowed, _ = seen[name]
    assert error <= allowed


def test_half_precision_is_as_right_as_it_can_be(seen):
    error, allowed, _ = seen["float16"]
    assert allowed < error < 20 * allowed


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv2d", [2, 5, 24, 24]),
        ("row_reduce", [24]),
        ("outer_product", []),
        ("pattern transpose", [50, 36]),
        ("pattern strided_rows", [3, 50]),
        ("pattern strided_columns", [36, 4]),
        ("pattern matmul", [50, 50]),
        ("pattern gather_random", [450]),
    ],
)
def test_results_have_the_shape_that_is_told(seen, name, shape):
    assert seen[name][2] == shape


def test_the_convolution_in_numpy_is_that_of_a_single_pixel():
    x, w = np.zeros((1, 1, 4, 4)), np.arange(9.0).reshape(1, 1, 3, 3)
    x[0, 0, 1, 1] = 1
    seen = build("conv2d", "float32", 1, 1, 1).reference(x, w)
    assert seen[0, 0, :3, :3].tolist() == w[0, 0, ::-1, ::-1].tolist()


@pytest.mark.parametrize("name", PATTERNS)
def test_useful_bytes_are_those_of_what_is_read_and_of_the_result(name):
    pattern = PATTERNS[name]
    arrays = pattern.sample(SHAPE)
    result = 4 * pattern.reference(*arrays).size
    read = {"gather_sequential": 2 * result, "gather_random": 2 * result}.get(name, sum(one.nbytes for one in arrays))
    if name.startswith("strided"):
        read = result
    assert pattern.useful_bytes(SHAPE) == read + result


def test_a_random_gather_takes_other_places_than_a_sequential_one():
    places = {name: PATTERNS[name].sample(SHAPE)[1] for name in ("gather_sequential", "gather_random")}
    assert places["gather_sequential"].tolist() == list(range(36 * 50 // GATHER_STRIDE))
    assert len(set(places["gather_random"])) == 36 * 50 // GATHER_STRIDE
    assert max(places["gather_random"]) > 36 * 50 // 2


def test_the_reason_names_the_distance():
    assert "4,096 bytes apart" in PATTERNS["column_sum"].reason((8, 1024))
    assert f"one number every {4 * STRIDE} bytes" in PATTERNS["strided_columns"].reason((8, 1024))


def test_a_gpu_has_reasons_of_its_own_where_work_items_read_together():
    assert "work items" not in PATTERNS["row_sum"].reason((8, 1024))
    assert "work items that take a row each read 4,096 bytes apart" in PATTERNS["row_sum"].reason((8, 1024), gpu=True)
    assert PATTERNS["flip"].reason((8, 1024), gpu=True) == PATTERNS["flip"].reason((8, 1024))
