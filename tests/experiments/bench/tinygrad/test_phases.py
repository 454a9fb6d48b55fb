import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

from experiments.bench.columns import check_record
from experiments.bench.session import Bench
from experiments.bench.timing.helper_process import run_in_process
from experiments.bench.tinygrad.phases import COLD_PHASES, PHASES, STATES, Stopwatch, phases_records, split

ROOT = os.fspath(Path(__file__).parents[4])


class Clock:
    """Stands still unless told to go on."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(clock):
    return Stopwatch(clock)


def test_an_inner_phase_is_not_counted_to_the_outer_one(clock, watch):
    with watch.phase("run"):
        clock.now += 1
        with watch.phase("code generation"):
            clock.now += 10
            with watch.phase("compiler"):
                clock.now += 100
        clock.now += 1000
    assert watch.take() == {"code generation": 10, "compiler": 100, "run": 1001}


def test_a_phase_within_itself_counts_once(clock, watch):
    with watch.phase("run"), watch.phase("run"):
        clock.now += 3
    assert watch.take() == {"run": 3}


def test_phases_add_up_to_the_time_that_passed_inside(clock, watch):
    with watch.phase("other"):
        for step in (0.1, 0.2, 0.3):
            clock.now += step
            with watch.phase("run"):
                clock.now += step
    assert sum(watch.take().values()) == pytest.approx(1.2)


def test_time_between_phases_belongs_to_none(clock, watch):
    clock.now += 5
    with watch.phase("import"):
        clock.now += 1
    clock.now += 5
    assert watch.take() == {"import": 1}


def test_taking_begins_anew(clock, watch):
    with watch.phase("run"):
        clock.now += 1
    watch.take()
    with watch.phase("schedule"):
        clock.now += 2
    assert watch.take() == {"schedule": 2}


def test_phases_are_taken_in_the_order_of_a_call(watch):
    for name in reversed(PHASES):
        with watch.phase(name):
            pass
    assert tuple(watch.take()) == PHASES


def test_a_call_that_raises_ends_its_phase(clock, watch):
    def fails():
        clock.now += 1
        raise ValueError("broken")

    with watch.phase("other"):
        with pytest.raises(ValueError, match="broken"):
            watch.timed("run", fails)()
        clock.now += 2
    assert watch.take() == {"run": 1, "other": 2}


def test_a_timed_function_gets_its_arguments_and_gives_its_result(watch):
    assert watch.timed("run", lambda *given, **named: (given, named))(1, key=2) == ((1,), {"key": 2})


def test_what_was_imported_before_cannot_be_timed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinygrad", None)
    with pytest.raises(RuntimeError, match="imported before"):
        split("CPU", lambda: lambda: None)


FUNCTIONS = "tests.experiments.bench.tinygrad.phase_functions"


@pytest.fixture(scope="module")
def temporary_folder(tmp_path_factory):
    """The folder for temporary files, of this process and of helper processes."""
    folder = tmp_path_factory.mktemp("phases")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture(scope="module")
def records(temporary_folder):
    return phases_records(Bench("CPU", lambda event: None), f"{FUNCTIONS}:cold", n=32)


@pytest.fixture(scope="module")
def ms(records):
    """Milliseconds by state and phase."""
    found = defaultdict(dict)
    for record in records:
        found[record["state"]][record["phase"]] = record["phase_ms"]
    return found


def test_every_state_has_its_phases_once(records, ms):
    assert tuple(ms) == STATES
    assert tuple(ms["cold"]) == tuple(ms["disk cache"]) == PHASES
    assert len(records) == sum(map(len, ms.values()))


def test_a_warm_call_neither_imports_nor_opens_nor_compiles(ms):
    assert tuple(ms["warm"]) == ("schedule", "code generation", "run", "other")


def test_no_phase_takes_less_than_no_time(records):
    assert all(record["phase_ms"] >= 0 for record in records)


def test_the_compiler_runs_in_the_cold_state_and_is_looked_up_in_the_cached_one(ms):
    assert ms["disk cache"]["compiler"] < ms["cold"]["compiler"]


def test_a_warm_call_is_shorter_than_a_first_one(ms):
    assert sum(ms["warm"].values()) < sum(ms["disk cache"].values())


def test_the_records_keep_to_the_declared_columns(records):
    for record in records:
        check_record(record, COLD_PHASES)


def test_no_kernel_cache_is_left_behind(records, temporary_folder):
    assert list(temporary_folder.glob("tinylab-phases-*")) == []


def test_the_first_call_fits_into_the_time_around_it(temporary_folder, tmp_path):
    answer = run_in_process("CPU", f"{FUNCTIONS}:cold", tmp_path / "kernels.db", n=8)
    assert 0 < sum(answer["first"].values()) <= answer["wall"]
    assert (tmp_path / "kernels.db").exists()


def test_a_failing_function_reports_its_cause(temporary_folder):
    with pytest.raises(RuntimeError, match=r"the helper process of .*:nothing failed: AttributeError"):
        phases_records(Bench("CPU", lambda event: None), f"{FUNCTIONS}:nothing")


def test_the_module_imports_no_tinygrad():
    code = "import json, sys, experiments.bench.tinygrad.phases; print(json.dumps('tinygrad' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(done.stdout) is False
