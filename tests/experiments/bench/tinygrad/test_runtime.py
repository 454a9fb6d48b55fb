"""Runs tinygrad once in a child process; the tests check its output."""

import json
import subprocess
import sys

import pytest

from experiments.bench.machine.toolchain import child_environment


@pytest.fixture(scope="module")
def seen():
    command = [sys.executable, "-m", "tests.experiments.bench.tinygrad.runtime_calls"]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=True)
    return json.loads(done.stdout)


def test_a_shape_is_captured_at_its_second_call(seen):
    assert seen["captures"] == [1, 1, 2]


def test_replays_do_not_enter_the_function_again(seen):
    assert seen["entered"] == 2


def test_a_replay_overwrites_the_tensor_that_it_returned_before(seen):
    assert seen["same"]
    assert seen["values"] == [0.0, 2.0, 4.0]


def test_every_shape_and_type_has_a_program_of_its_own(seen):
    assert seen["of"] == [True, False]
    assert not seen["by_type"]


def test_kernels_are_counted_inside_the_block_only(seen):
    assert seen["counted"] == [0, 2]


def test_an_array_that_must_not_be_written_becomes_a_tensor_too(seen):
    assert seen["read_only"] == [0.0, 1.0, 2.0]


def test_normal_values_are_seeded_float32_on_the_device(seen):
    assert seen["normal"] == [True, [2, 3], "dtypes.float", "CPU"]
