"""Moves memory once in a child process; the tests check its output."""

import json
import subprocess
import sys

import pytest

from experiments.bench.machine.toolchain import child_environment


@pytest.fixture(scope="module")
def seen():
    command = [sys.executable, "-m", "tests.experiments.bench.tinygrad.redrawn_calls"]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=True)
    return json.loads(done.stdout)


def test_weights_and_inputs_of_a_call_lie_elsewhere_afterwards(seen):
    assert seen["elsewhere"] == [True] * 4


def test_each_draw_is_another_place(seen):
    assert seen["draws"] == 20


def test_a_call_without_buffers_of_tinygrad_cannot_be_moved(seen):
    assert seen["moved"] == {"jit": True, "python": False}


@pytest.mark.parametrize("call", ["jit", "eager", "view", "base of the view"])
def test_results_are_bit_equal_after_a_move(seen, call):
    assert seen[call]


def test_state_that_a_call_writes_goes_along(seen):
    assert seen["state"] == [1, 2]


def test_memory_given_by_its_address_stays(seen):
    assert seen["output of given memory"]
    assert seen["given memory"]


def test_what_the_call_does_not_use_stays(seen):
    assert seen["others stay"]


def test_a_call_on_two_devices_moves_on_both(seen):
    assert seen["two devices"] == [True, True, True]


def test_arrays_of_numpy_move_but_for_those_that_are_too_large(seen):
    assert seen["arrays"] == [True, True, True]
    assert 0 < seen["left arrays"] <= 20_000


def test_a_replica_in_a_process_gives_the_same_results_after_a_move(seen):
    assert seen["replica"]


def test_left_memory_is_bounded_and_released(seen):
    assert 0 < seen["left bytes"] <= 20_000
    assert 0 < seen["left by eager calls"] <= 20_000
    assert (seen["after release"], seen["cache"]) == (0, 0)


def test_a_move_skips_buffers_that_are_too_large(seen):
    assert seen["weights move"]
    assert seen["batch stays"]
    assert seen["still right"]
