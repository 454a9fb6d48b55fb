"""Kill -9 of any part, a locked, full or broken database: every run ends truly, no row and no process is left over."""

import contextlib
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, event

from experiments.bench.events import Event, RowEvent
from experiments.runs import database, jobs, store
from experiments.runs.supervisor import execute
from tests.experiments.runs.lab_tools import (
    DEVICE,
    ExecuteInThread,
    alive,
    holding,
    left_over,
    numbers,
    queue_run,
    state,
    wait_for,
)
from tests.processes import module_process

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lab", "nothing_left")]

LATER_S = 1000.0  # for the reaper: longer ago than any heartbeat may be
APP, TERMINAL = "tests.experiments.runs.app", "tests.experiments.runs.terminal"
MOMENTS_S = (0.0, 0.12, 0.25, 0.45)  # of the kills: before, during and after the rows of a run
LOCKED_S = 2.0


def children_of(started: subprocess.Popen[str]) -> list[int]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [one.pid for one in psutil.Process(started.pid).children() if "experiments.runs.child" in one.cmdline()]
    return []


def kill(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).send_signal(signal.SIGKILL)


def stored(db: Engine) -> dict[str, list[int]]:
    return {run["id"]: numbers(db, run["id"]) for run in store.list_runs(db, limit=100)}


def check_all_ended(db: Engine, url: str, seen: dict[str, list[int]], allowed: set[str]) -> None:
    """The runs have true ends, the rows that were seen are there and none is missing in between, nothing is left."""
    wait_for(lambda: not left_over(url))
    store.reap(db, now=time.time() + LATER_S)
    runs = {run["id"]: run for run in store.list_runs(db, limit=100)}
    assert len(runs) == len(MOMENTS_S)
    states = {run["status"] for run in runs.values()}
    assert states <= allowed
    assert states - {"done"}  # else the kills came too late to say anything
    kept = stored(db)
    for run_id, run in runs.items():
        assert kept[run_id] == list(range(len(kept[run_id])))
        assert kept[run_id][: len(seen.get(run_id, []))] == seen.get(run_id, [])
        assert len(kept[run_id]) == 20 or run["status"] != "done"
        assert run["finished"] is not None
    with holding(DEVICE):  # no lock is left
        pass


def test_killed_children_end_as_crashed(db: Engine, url: str) -> None:
    seen: dict[str, list[int]] = {}
    with module_process(APP, url) as app:
        for moment in MOMENTS_S:
            run_id = queue_run(db, "steps", rows=20, pause_s=0.02)
            child = wait_for(lambda: children_of(app))[0]
            time.sleep(moment)
            seen |= stored(db)
            kill(child)
            wait_for(lambda run_id=run_id: state(db, run_id) in store.ENDED)
    check_all_ended(db, url, seen, {"crashed", "done"})


def test_runs_of_killed_terminals_are_lost(db: Engine, url: str) -> None:
    seen: dict[str, list[int]] = {}
    for number, moment in enumerate(MOMENTS_S):
        with module_process(TERMINAL, url, DEVICE) as terminal:
            wait_for(lambda number=number: store.count_runs(db) > number)
            time.sleep(moment)
            seen |= stored(db)
            kill(terminal.pid)
    check_all_ended(db, url, seen, {"lost", "done"})


def test_runs_of_a_killed_app_are_lost_and_the_next_app_takes_what_still_waits(db: Engine, url: str) -> None:
    seen: dict[str, list[int]] = {}
    for number, moment in enumerate(MOMENTS_S):
        queue_run(db, "steps", rows=20, pause_s=0.02)
        with module_process(APP, url) as app:
            if number % 2:  # else it may be killed before it has looked for runs
                wait_for(lambda: any(run["status"] == store.RUNNING for run in store.list_runs(db)))
            time.sleep(moment)
            seen |= stored(db)
            kill(app.pid)
        store.reap(db, now=time.time() + LATER_S)
    with module_process(APP, url):
        wait_for(lambda: all(run["status"] in store.ENDED for run in store.list_runs(db)))
    check_all_ended(db, url, seen, {"lost", "done"})


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("experiment", ["spawner", "sleeper"])
def test_whatever_ends_the_app_takes_the_child_and_its_children_along(
    db: Engine, url: str, ending: signal.Signals, experiment: str
) -> None:
    run_id = queue_run(db, experiment)
    with module_process(APP, url) as app:
        wait_for(lambda: numbers(db, run_id))
        assert len(left_over(url)) >= 2
        app.send_signal(ending)
        app.wait(30)
        wait_for(lambda: not left_over(url))


def test_a_run_survives_a_database_that_another_process_locks_for_a_while(
    db: Engine, url: str, execute_in_thread: ExecuteInThread, tmp_path: Path
) -> None:
    run_id = queue_run(db, "steps", rows=30, pause_s=0.02)
    thread = execute_in_thread(run_id)
    wait_for(lambda: state(db, run_id) == store.RUNNING)
    file = str(tmp_path / "runs.db")
    with module_process("tests.experiments.runs.hold_database", file, str(LOCKED_S)) as holder:
        holder.wait(60)
    thread.join(60)
    assert state(db, run_id) == "done"
    assert numbers(db, run_id) == list(range(30))


def test_a_database_that_stays_locked_leaves_no_child_and_the_reaper_ends_the_run(
    db: Engine, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    store.engine.cache_clear()
    run_id = queue_run(db, "steps", rows=1000, pause_s=0.05)
    other = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)

    def lock(event: Event) -> None:
        if isinstance(event, RowEvent) and not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")

    with pytest.raises(store.StoreError, match="database is locked"):
        execute(url, run_id, "tester", lock)
    assert not left_over(url)
    other.close()
    assert state(db, run_id) == store.RUNNING
    assert store.reap(db, now=time.time() + LATER_S) == 1
    with holding(DEVICE):
        assert state(db, run_id) == "lost"


@contextlib.contextmanager
def room_for(db: Engine, pages: int) -> Iterator[None]:
    """Lets the database grow by so many pages and no more: SQLite then says that the disk is full."""
    with db.connect() as connection:
        limit = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + pages

    def set_limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit}")

    event.listen(db, "connect", set_limit)
    db.dispose()
    yield
    event.remove(db, "connect", set_limit)
    db.dispose()


def test_a_full_disk_fails_the_run_and_the_runner_goes_on_when_there_is_room(db: Engine, url: str) -> None:
    first = queue_run(db, "steps", rows=5000)
    runner = jobs.EmbeddedRunner(url)
    with room_for(db, 3):
        runner.start()
        wait_for(lambda: state(db, first) in store.ENDED)
        wait_for(lambda: not left_over(url))
    run = store.get_run(db, first)
    assert run is not None
    assert run["status"] == "failed"
    assert run["message"].endswith("runs.db cannot be used: database or disk is full")
    second = queue_run(db, "steps", rows=3)
    wait_for(lambda: state(db, second) == "done")
    runner.stop()
    assert numbers(db, second) == [0, 1, 2]


def no_table(db: Engine, run_id: str) -> None:
    with db.begin() as connection:
        connection.exec_driver_sql("DROP TABLE rows")


def a_row_in_the_way(db: Engine, run_id: str) -> None:
    with db.begin() as connection:
        connection.exec_driver_sql("INSERT INTO rows VALUES (?, 999, '{}')", (run_id,))


@pytest.mark.parametrize(
    ("sabotage", "said"), [(no_table, "no such table: rows"), (a_row_in_the_way, "UNIQUE constraint failed")]
)
def test_a_database_error_in_the_middle_of_a_run_fails_it_and_ends_its_child(
    db: Engine, url: str, execute_in_thread: ExecuteInThread, sabotage: Callable[[Engine, str], None], said: str
) -> None:
    run_id = queue_run(db, "steps", rows=5000, pause_s=0.001)
    thread = execute_in_thread(run_id)
    wait_for(lambda: numbers(db, run_id))
    child = wait_for(lambda: left_over(url))[0].pid
    sabotage(db, run_id)
    thread.join(60)
    assert not alive(child)
    run = store.get_run(db, run_id)
    assert run is not None
    assert run["status"] == "failed"
    assert said in run["message"]
    assert "\n" not in run["message"]


def test_a_runner_that_finds_its_database_broken_waits_and_goes_on(
    db: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_look, failures = store.queued_runs, [store.StoreError("away"), store.StoreError("still away")]

    def queued_runs(db: Engine, host: str) -> object:
        if failures:
            raise failures.pop()
        return true_look(db, host)

    monkeypatch.setattr(store, "queued_runs", queued_runs)
    run_id = queue_run(db, "steps", rows=1)
    runner = jobs.EmbeddedRunner(url).start()
    wait_for(lambda: state(db, run_id) == "done")
    runner.stop()
    assert failures == []
