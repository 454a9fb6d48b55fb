"""Runs tinygrad once in a child process; the tests check its output."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment

N = 64
MATRIX, VECTOR = 4 * N * N, 4 * N  # bytes


@pytest.fixture(scope="module")
def seen():
    command = [sys.executable, "-m", "tests.experiments.bench.tinygrad.captured_calls"]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["elementwise", "matmul_chain", "layers"])
def test_the_captured_work_is_what_an_eager_call_counts(seen, name):
    assert seen[name]["captured"] == seen[name]["counted"]


@pytest.mark.parametrize(
    ("name", "kernels", "moved"),
    [
        ("elementwise", 1, 3 * MATRIX),  # two in, one out
        ("matmul_chain", 1, 3 * MATRIX + 4),  # three in, one number out
        ("layers", 3, 3 * (3 * MATRIX + VECTOR)),  # each: input, weight, bias, output
    ],
)
def test_kernels_and_unique_bytes_are_those_counted_by_hand(seen, name, kernels, moved):
    assert (seen[name]["captured"]["kernels"], seen[name]["captured"]["bytes"]) == (kernels, moved)
    assert seen[name]["calls"] == kernels


def test_a_product_of_matrices_takes_two_operations_per_term(seen):
    assert 2 * N**3 <= seen["matmul_chain"]["captured"]["ops"] <= 2 * N**3 + 10 * N**2


@pytest.mark.parametrize("name", ["elementwise", "matmul_chain", "layers"])
def test_eager_call_capture_and_replay_give_the_same_result(seen, name):
    eager, captured, replayed = seen[name]["results"]
    assert np.allclose(eager, captured, rtol=1e-4, atol=1e-4)
    assert captured == replayed
    assert seen[name]["captures"] == 1


def test_the_columns_of_a_calls_work_are_counts_and_rates_per_second(seen):
    assert seen["columns"] == {"kernels": 2, "ops": 2 * 10**9, "bytes": 10**9, "gflops": 4.0, "gb_s": 2.0}
