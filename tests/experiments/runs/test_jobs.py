"""Submitting refuses bad input before anything is queued; the embedded runner executes each queued run once."""

import contextlib
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine

from experiments.bench.errors import BadInput
from experiments.bench.machine import devices
from experiments.registry import find
from experiments.runs import jobs, store
from tests.experiments.runs.lab_tools import DEVICE, alive, numbers, on_both, queue_run, state, wait_for
from tests.processes import module_process

pytestmark = pytest.mark.usefixtures("lab", "nothing_left")


@pytest.fixture
def runner(db_url: str) -> Iterator[jobs.EmbeddedRunner]:
    """An embedded runner that looks until the test ends."""
    started = jobs.EmbeddedRunner(db_url).start()
    yield started
    started.stop()


def steps(**fields: Any) -> Any:
    return find("steps").spec(**{"device": DEVICE, **fields})


def all_ended(db: Engine, ids: list[str]) -> bool:
    return all(state(db, run_id) in store.ENDED for run_id in ids)


def overlaps(db: Engine, ids: list[str]) -> list[tuple[str, str]]:
    """Pairs of runs of one device that went on at the same time."""
    runs = sorted(
        (run for run in store.list_runs(db) if run["id"] in ids), key=lambda run: (run["device"], run["started"])
    )
    return [
        (before["id"], after["id"])
        for before, after in pairwise(runs)
        if before["device"] == after["device"] and after["started"] < before["finished"]
    ]


@pytest.mark.usefixtures("any_device")
def test_a_submitted_run_waits_with_its_whole_spec(db: Engine) -> None:
    run = store.get_run(db, jobs.submit("steps", steps(rows=7), owner="ann", time_limit_s=60))
    assert run is not None
    assert (run["status"], run["experiment"], run["device"], run["owner"]) == ("queued", "steps", DEVICE, "ann")
    assert run["spec"] == {"device": DEVICE, "rows": 7, "pause_s": 0.0, "sizes": [1, 2], "needs_gb": 0.0}
    assert run["memory_limit_bytes"] > 0
    assert run["runner"] is None


@pytest.mark.usefixtures("any_device")
def test_auto_is_fixed_to_a_device_at_submit(db: Engine) -> None:
    run = store.get_run(db, jobs.submit("steps", steps(device="auto")))
    assert run is not None
    assert (run["device"], run["spec"]["device"]) == ("CPU", "CPU")


@pytest.mark.usefixtures("any_device")
@pytest.mark.parametrize(
    ("fields", "limit", "said"),
    [
        ({"rows": -1}, 60, "rows: -1 is not allowed; give an integer from 0 to 10000"),
        ({"device": "CPU", "needs_gb": 1e5}, 60, "too large: a claim of 100000 GB needs 100000.0 GB; CPU has"),
        ({}, 0.5, "time limit: 0.5 s is not allowed; give 1 to 86400 s"),
        ({}, float("nan"), "time limit: nan s is not allowed"),
        ({}, 1e9, "time limit: 1e+09 s is not allowed"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_queued(db: Engine, fields: Any, limit: float, said: str) -> None:
    unchecked = find("steps").spec.model_construct(**steps().model_dump() | fields)
    with pytest.raises(BadInput) as refused:
        jobs.submit("steps", unchecked, time_limit_s=limit)
    assert str(refused.value).startswith(said)
    assert store.count_runs(db) == 0


def test_a_device_that_does_not_work_is_refused_with_its_cause(db: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "probed", lambda device: devices.Probe(device, False, "no driver"))
    with pytest.raises(BadInput, match="device: CUDA does not work here: no driver"):
        jobs.submit("steps", steps(device="CUDA"))
    assert store.count_runs(db) == 0


@pytest.mark.usefixtures("any_device")
def test_an_unknown_experiment_is_refused(db: Engine) -> None:
    with pytest.raises(BadInput, match="experiment: nothing is unknown; the experiments are "):
        jobs.submit("nothing", steps())
    assert store.count_runs(db) == 0


@pytest.mark.usefixtures("any_device")
def test_run_now_executes_its_run_before_it_returns(db: Engine) -> None:
    run_id = jobs.run_now("steps", steps(rows=2))
    assert state(db, run_id) == "done"
    assert numbers(db, run_id) == [0, 1]


@pytest.mark.usefixtures("any_device")
def test_run_now_first_reaps_what_others_lost(db: Engine) -> None:
    forgotten = queue_run(db, "steps")
    with db.begin() as connection:
        connection.exec_driver_sql("UPDATE runs SET status = 'running', runner = 'gone', heartbeat = 1")
    jobs.run_now("steps", steps(rows=0))
    assert state(db, forgotten) == "lost"


def test_runner_names_do_not_repeat_and_fit_their_column() -> None:
    names = {jobs.runner_name() for _ in range(100)}
    assert len(names) == 100
    assert max(map(len, names)) <= 64


@pytest.mark.usefixtures("runner")
def test_runs_of_one_device_never_overlap_and_come_in_their_order(db: Engine) -> None:
    ids = [queue_run(db, "steps", rows=2, pause_s=0.05) for _ in range(3)]
    wait_for(lambda: all_ended(db, ids))
    assert overlaps(db, ids) == []
    runs = store.list_runs(db)
    assert [run["id"] for run in sorted(runs, key=lambda run: run["started"])] == ids
    assert {run["status"] for run in runs} == {"done"}


@pytest.mark.usefixtures("runner", "any_device")
def test_a_run_of_the_command_line_and_those_of_the_app_do_not_overlap(db: Engine) -> None:
    ids = [queue_run(db, "steps", rows=5, pause_s=0.05) for _ in range(2)]
    wait_for(lambda: state(db, ids[0]) == "running")
    ids.append(jobs.run_now("steps", steps(rows=5, pause_s=0.05)))
    wait_for(lambda: all_ended(db, ids))
    assert [state(db, run_id) for run_id in ids] == ["done"] * 3
    assert overlaps(db, ids) == []


@on_both
@pytest.mark.usefixtures("runner")
def test_runs_of_two_devices_go_side_by_side(db: Engine) -> None:
    ids = [queue_run(db, "steps", rows=1000, pause_s=0.1, device=device) for device in ("QCOM:8", "QCOM:9")]
    wait_for(lambda: [state(db, run_id) for run_id in ids] == ["running", "running"])
    for run_id in ids:
        store.request_cancel(db, run_id)
    wait_for(lambda: all_ended(db, ids))
    assert [state(db, run_id) for run_id in ids] == ["cancelled", "cancelled"]


@pytest.mark.usefixtures("runner")
def test_a_run_that_ends_badly_does_not_hold_up_the_next(db: Engine) -> None:
    ids = [queue_run(db, name) for name in ("segfault", "raises", "leaves", "steps")]
    wait_for(lambda: all_ended(db, ids))
    assert [state(db, run_id) for run_id in ids] == ["crashed", "failed", "crashed", "done"]


@pytest.mark.slow
def test_a_runner_leaves_no_threads_and_no_descriptors_behind(db: Engine, url: str) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    started = jobs.EmbeddedRunner(url).start()
    first = [queue_run(db, "deserter", rows=0)]
    wait_for(lambda: all_ended(db, first))
    threads, files = threading.active_count(), open_files()
    ids = [queue_run(db, name) for name in ("deserter", "segfault", "raises") * 2]
    wait_for(lambda: all_ended(db, ids))
    started.stop()
    wait_for(lambda: threading.active_count() <= threads)
    assert open_files() <= files + 2  # connections of the pool
    assert psutil.Process().children() == []  # nor zombies


@on_both
@pytest.mark.slow
def test_two_apps_on_one_database_execute_each_run_once(db: Engine, db_url: str) -> None:
    with contextlib.ExitStack() as stack:
        apps = [stack.enter_context(module_process("tests.experiments.runs.app", db_url)) for _ in range(2)]
        for app in apps:
            assert app.stdout is not None
            assert app.stdout.readline() == "started\n"
        ids = [queue_run(db, "steps", rows=3, device=f"QCOM:{n % 2}") for n in range(6)]
        wait_for(lambda: all_ended(db, ids))
        assert [state(db, run_id) for run_id in ids] == ["done"] * 6
        assert [numbers(db, run_id) for run_id in ids] == [[0, 1, 2]] * 6
        assert overlaps(db, ids) == []
    assert not any(alive(app.pid) for app in apps)
