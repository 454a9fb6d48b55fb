"""Every workload of the search gives the numpy result."""

import numpy as np
import pytest

from experiments.compiler.beam.spec import KERNELS
from experiments.compiler.beam.workloads import build
from tests.experiments.compiler.program_tools import output_of


@pytest.fixture(scope="module")
def program():
    return output_of("tests.experiments.compiler.beam.program")


@pytest.mark.parametrize("name", KERNELS)
def test_every_workload_gives_the_numpy_result(program, name):
    error, allowed, _ = program[name]
    assert error <= allowed


def test_half_precision_is_as_accurate_as_it_can_be(program):
    error, allowed, _ = program["float16"]
    assert allowed < error < 20 * allowed


@pytest.mark.parametrize(("name", "shape"), [("conv2d", [2, 5, 24, 24]), ("row_reduce", [24]), ("outer_product", [])])
def test_the_result_of_a_workload_has_its_shape(program, name, shape):
    assert program[name][2] == shape


def test_the_numpy_convolution_of_a_single_pixel_is_the_flipped_filter():
    x, w = np.zeros((1, 1, 4, 4)), np.arange(9.0).reshape(1, 1, 3, 3)
    x[0, 0, 1, 1] = 1
    result = build("conv2d", "float32", 1, 1, 1).reference(x, w)
    assert result[0, 0, :3, :3].tolist() == w[0, 0, ::-1, ::-1].tolist()
