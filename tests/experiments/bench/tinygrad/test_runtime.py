"""Runs tinygrad once, in a child process; the tests look at what it saw."""

import json
import subprocess
import sys

import pytest

from experiments.bench.machine.toolchain import child_environment

LOOK = """
import json
import numpy as np
from experiments.bench.tinygrad.runtime import Counted, PerShapeJit, normal, synchronizer, tensor, throw_away_compile

seen, entered = {}, []

def double(x):
    entered.append(x.shape)
    return (x * 2).realize()

synchronizer("CPU")()
throw_away_compile("CPU")
jitted = PerShapeJit(double)
small, large = tensor(np.arange(3, dtype=np.float32), "CPU"), tensor(np.ones((4, 5), np.float32), "CPU")
outputs = [jitted(small) for _ in range(4)]
seen["entered"] = len(entered)
seen["captures"] = [jitted.captures]
jitted(large)
seen["captures"].append(jitted.captures)
jitted(large)
seen["captures"].append(jitted.captures)
seen["same"] = outputs[2] is outputs[3]
seen["values"] = outputs[3].tolist()
seen["of"] = [jitted.of(small) is jitted.of(small), jitted.of(small) is jitted.of(large)]
other = tensor(np.arange(3, dtype=np.int32), "CPU")
seen["by_type"] = jitted.of(small) is jitted.of(other)
with Counted() as nothing:
    pass
with Counted() as two:
    double(small), double(large)
seen["counted"] = [nothing.work.kernels, two.work.kernels]
fixed = np.arange(3, dtype=np.float32)
fixed.flags.writeable = False
seen["read_only"] = tensor(fixed, "CPU").tolist()
draws = [normal(np.random.default_rng(7), 2, 3, device="CPU", scale=0.5) for _ in range(2)]
seen["normal"] = [draws[0].tolist() == draws[1].tolist(), list(draws[0].shape), str(draws[0].dtype), draws[0].device]
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen():
    command = [sys.executable, "-c", LOOK]
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
