"""The fast path gives the plain path's logits; if it does not, the plain path is used."""

import json
import subprocess
import sys

import pytest

from experiments.bench.machine.toolchain import child_environment
from experiments.server.runner import buckets


@pytest.fixture(scope="module")
def results():
    command = [sys.executable, "-m", "tests.experiments.server.runner_program"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=child_environment("CPU"))
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_both_paths_give_the_reference_logits_for_every_input(results):
    assert [path for path, _, _ in results["working"]] == ["fast", "plain"] * 3
    assert [why for _, why, _ in results["working"]] == ["", "requested"] * 3
    assert all(error < 1e-4 for _, _, error in results["working"])


def test_a_wrong_or_failing_fast_path_is_not_used_and_the_reason_is_given(results):
    assert [(path, why) for path, why, _ in results["broken"]] == [
        ("plain", "its logits differed from the plain path's"),
        ("plain", "AttributeError: no such thing"),
    ]
    assert all(error < 1e-4 for _, _, error in results["broken"])


@pytest.mark.parametrize(
    ("max_batch", "sizes"), [(1, [1]), (2, [1, 2]), (24, [1, 2, 4, 8, 16, 24]), (32, [1, 2, 4, 8, 16, 32])]
)
def test_buckets_are_powers_of_two_and_the_largest_batch(max_batch, sizes):
    assert buckets(max_batch) == sizes
