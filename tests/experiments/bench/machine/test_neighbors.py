"""What others used of the processor while a run measured, from readings."""

import os
import subprocess
import sys

import psutil
import pytest

from experiments.bench.machine.neighbors import CpuReading, NeighborWatch, read_cpu

IDLE = CpuReading(total=100.0, busy=50.0, stolen=1.0, own=0.0)


def watched(*readings):
    left = list(readings)
    watch = NeighborWatch(lambda family: left.pop(0))
    for _ in readings:
        watch.update([])
    return watch.facts()


def test_what_the_run_itself_used_is_not_a_neighbors():
    alone = CpuReading(total=120.0, busy=60.0, stolen=1.0, own=10.0)
    assert watched(IDLE, alone) == {"other_processes_cpu": 0.0, "stolen_cpu": 0.0}


def test_a_neighbor_is_what_was_busy_beyond_the_run():
    beside = CpuReading(total=120.0, busy=68.0, stolen=2.0, own=10.0)
    assert watched(IDLE, beside) == {"other_processes_cpu": 0.4, "stolen_cpu": 0.05}


def test_the_first_and_the_last_reading_count():
    between = CpuReading(total=110.0, busy=60.0, stolen=1.0, own=0.0)
    assert watched(IDLE, between, CpuReading(total=140.0, busy=60.0, stolen=1.0, own=0.0)) == {
        "other_processes_cpu": 0.25,
        "stolen_cpu": 0.0,
    }


def test_a_process_of_the_run_that_vanishes_uncounted_is_not_taken_for_a_neighbor():
    before, after = CpuReading(110.0, 60.0, 1.0, own=10.0), CpuReading(120.0, 60.0, 1.0, own=2.0)
    assert watched(IDLE, before, after)["other_processes_cpu"] == 0.0


@pytest.mark.parametrize(
    "readings",
    [
        (),
        (None, None),
        (IDLE,),
        (IDLE, CpuReading(100.5, 50.2, 1.0, 0.1)),
        (IDLE, CpuReading(140.0, 50.0, 1.0, 9.0)),
    ],
    ids=["none", "another system", "one", "too short", "counters that stand still"],
)
def test_without_readings_nothing_is_known(readings):
    assert watched(*readings) == {}


def test_other_systems_are_not_read(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert read_cpu([]) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read on Linux only")
def test_the_time_of_processes_that_a_run_has_waited_for_is_its_own():
    first = read_cpu([psutil.Process(os.getpid())])
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)
    last = read_cpu([psutil.Process(os.getpid())])
    assert last.own - first.own > 0.15
    assert last.total > first.total
