"""Every operation gives the numpy result with every strategy, whatever shape was captured first."""

import pytest

from experiments.compiler.shapes.spec import STRATEGIES
from tests.experiments.compiler.program_tools import output_of


@pytest.fixture(scope="module")
def program():
    return output_of("tests.experiments.compiler.shapes.program")


def test_every_strategy_gives_the_numpy_result_at_every_shape(program):
    assert all(error < 1e-4 for by_strategy in program.values() for error, _ in by_strategy.values())


@pytest.mark.parametrize(
    ("operation", "captures"),
    [
        ("conv2d", [0, 3, 2, 2]),  # two image sizes, and a bucket of 2 for both batches
        ("matmul", [0, 3, 1, 2]),  # batch 1 has a bucket of 2
    ],
)
def test_programs_are_captured_per_shape_per_other_size_and_per_bucket(program, operation, captures):
    assert [program[operation][strategy][1] for strategy in STRATEGIES] == captures


def test_a_symbolic_program_is_captured_without_the_cuda_graph_which_rejects_it():
    from tinygrad.helpers import JIT

    from experiments.bench.tinygrad.runtime import without_cuda_graph

    values = {}
    for device in ("CUDA", "CUDA:1", "CPU"):
        with without_cuda_graph(device):
            values[device] = JIT.value
    assert values == {"CUDA": 2, "CUDA:1": 2, "CPU": JIT.value}
