"""One run from claim to end: every end state is correct, keeps the rows, and leaves no process behind."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from experiments import registry
from experiments.bench.events import Event, RowEvent
from experiments.bench.machine.neighbors import CpuReading, NeighborWatch
from experiments.bench.spec import parse
from experiments.deployment.multi_device.experiment import MultiDeviceSpec
from experiments.runs import store, supervisor
from experiments.runs.supervisor import execute
from tests.experiments.runs.lab_tools import (
    DEVICE,
    PATIENCE_S,
    ExecuteInThread,
    alive,
    holding,
    numbers,
    on_both,
    plain_run,
    queue_run,
    state,
    wait_for,
)

pytestmark = pytest.mark.usefixtures("lab", "nothing_left")


def ended(db: Engine, run_id: str) -> Any:
    run = store.get_run(db, run_id)
    assert run is not None
    assert run["status"] in store.ENDED
    return run


@on_both
def test_a_run_that_ends_well_has_brought_everything(db: Engine, db_url: str) -> None:
    run_id = queue_run(db, "steps", rows=3)
    seen: list[Event] = []
    assert execute(db_url, run_id, "tester", seen.append) == "done"
    run = ended(db, run_id)
    assert (run["status"], run["progress"], run["runner"]) == ("done", 1.0, "tester")
    assert run["created"] <= run["started"] <= run["finished"]
    assert run["environment"]["device"] == DEVICE
    assert len(run["fingerprint"]) == 12
    assert [(row["number"], row["latency_ms"]) for row in store.read_rows(db, run_id)] == [(n, None) for n in range(3)]
    assert len(store.read_samples(db, run_id)) == 6
    assert [record["said"] for record in store.read_detail(db, run_id, "log")] == ["step 0", "step 1", "step 2"]
    assert store.read_artifacts(db, run_id) == {"steps.txt": b"3 steps"}
    assert [type(event) for event in seen].count(RowEvent) == 3


def test_variables_that_would_change_a_run_do_not_reach_it_and_are_stored_with_it(
    db: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"PROFILE": "1", "BEAM": "2", "OMP_NUM_THREADS": "1", "A_SECRET": "1", "TINYLAB_MINE": "1"}
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    run_id = queue_run(db, "inherited")
    assert execute(url, run_id, "tester") == "done"
    reached = [set(str(row["names"]).split()) & asked.keys() for row in store.read_rows(db, run_id)]
    assert reached == [{"TINYLAB_MINE"}] * 2
    told = set(ended(db, run_id)["environment"]["variables_set_aside"].split())
    assert told & asked.keys() == {"PROFILE", "BEAM", "OMP_NUM_THREADS"}


def test_what_others_used_of_the_processor_is_stored_when_the_run_has_ended(
    db: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = itertools.count()

    def read(family: object) -> CpuReading:
        number = next(readings)
        return CpuReading(total=10.0 * number, busy=4.0 * number, stolen=0.5 * number, own=1.0 * number)

    monkeypatch.setattr("experiments.runs.supervisor.NeighborWatch", lambda: NeighborWatch(read))
    run_id = queue_run(db, "steps", rows=4, pause_s=0.5)
    assert execute(url, run_id, "tester") == "done"
    facts = ended(db, run_id)["environment"]
    assert (facts["other_processes_cpu"], facts["stolen_cpu"]) == (0.3, 0.05)
    assert facts["device"] == DEVICE


def test_variables_that_were_set_aside_do_not_change_the_fingerprint(
    db: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for _ in range(2):
        run_id = queue_run(db, "steps", rows=0)
        execute(url, run_id, "tester")
        found.append(ended(db, run_id)["fingerprint"])
        monkeypatch.setenv("PROFILE", "1")
    assert found[0] == found[1]


def test_an_experiment_that_raises_is_failed_and_keeps_message_traceback_and_rows(db: Engine, url: str) -> None:
    run_id = queue_run(db, "raises", rows=4)
    assert execute(url, run_id, "tester") == "failed"
    run = ended(db, run_id)
    assert run["message"] == "RuntimeError: the steps have ended"
    assert "in raises" in run["traceback"]
    assert numbers(db, run_id) == [0, 1, 2, 3]


def test_a_column_that_was_not_declared_fails_the_run(db: Engine, url: str) -> None:
    run_id = queue_run(db, "undeclared", rows=1)
    assert execute(url, run_id, "tester") == "failed"
    assert ended(db, run_id)["message"] == "ValueError: column 'surprise' is not declared"
    assert numbers(db, run_id) == [0]


@on_both
def test_a_child_that_dies_by_a_signal_is_crashed_with_its_rows(db: Engine, db_url: str) -> None:
    run_id = queue_run(db, "segfault", rows=5)
    assert execute(db_url, run_id, "tester") == "crashed"
    assert "SIGSEGV" in ended(db, run_id)["message"]
    assert numbers(db, run_id) == [0, 1, 2, 3, 4]


def test_a_child_that_exits_with_a_message_is_crashed_and_the_message_is_shown(db: Engine, url: str) -> None:
    run_id = queue_run(db, "leaves", rows=1)
    assert execute(url, run_id, "tester") == "crashed"
    assert ended(db, run_id)["message"] == "the child process ended with exit code 1: the driver has left"


def test_an_experiment_that_is_unknown_to_the_child_is_failed(
    db: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = queue_run(db, "steps")
    monkeypatch.delenv(registry.FOLDERS)
    assert execute(url, run_id, "tester") == "failed"
    run = ended(db, run_id)
    assert run["message"].startswith("experiment: steps is unknown")
    assert run["traceback"] == ""


def test_the_time_limit_ends_a_run_and_keeps_its_rows(db: Engine, url: str) -> None:
    run_id = queue_run(db, "steps", rows=1000, pause_s=0.1, limit=3)
    assert execute(url, run_id, "tester") == "timeout"
    assert ended(db, run_id)["message"] == "stopped at its time limit of 3 s"
    assert numbers(db, run_id)[:1] == [0]


def test_a_run_that_has_ended_by_itself_is_not_called_late(
    db: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = queue_run(db, "raises", limit=0.001)
    monkeypatch.setattr("experiments.runs.supervisor.HEARTBEAT_S", PATIENCE_S)
    assert execute(url, run_id, "tester") == "failed"
    assert ended(db, run_id)["message"] == "RuntimeError: the steps have ended"


def test_the_memory_limit_ends_a_run_with_a_message(db: Engine, url: str) -> None:
    run_id = queue_run(db, "hog", memory=200 * 2**20)
    assert execute(url, run_id, "tester") == "crashed"
    assert ended(db, run_id)["message"].startswith("stopped at its memory limit: 0.")
    assert numbers(db, run_id) == [0, 1]


@on_both
def test_a_running_run_is_cancelled_and_keeps_its_rows(db: Engine, execute_in_thread: ExecuteInThread) -> None:
    run_id = queue_run(db, "steps", rows=1000, pause_s=0.05)
    thread = execute_in_thread(run_id)
    wait_for(lambda: numbers(db, run_id))
    assert store.request_cancel(db, run_id)
    thread.join(30)
    assert ended(db, run_id)["status"] == "cancelled"
    kept = numbers(db, run_id)
    assert kept == list(range(len(kept)))
    assert kept


def test_a_run_that_was_cancelled_in_the_queue_is_not_executed(db: Engine, url: str) -> None:
    run_id = queue_run(db, "steps")
    store.request_cancel(db, run_id)
    assert execute(url, run_id, "tester") == ""
    run = ended(db, run_id)
    assert (run["status"], run["runner"]) == ("cancelled", None)
    assert numbers(db, run_id) == []


def test_a_child_that_ignores_sigterm_is_killed(db: Engine, execute_in_thread: ExecuteInThread) -> None:
    run_id = queue_run(db, "sleeper")
    thread = execute_in_thread(run_id)
    wait_for(lambda: numbers(db, run_id))
    store.request_cancel(db, run_id)
    thread.join(30)
    assert ended(db, run_id)["status"] == "cancelled"


def test_what_an_experiment_started_dies_with_its_run(db: Engine, execute_in_thread: ExecuteInThread) -> None:
    run_id = queue_run(db, "spawner")
    thread = execute_in_thread(run_id)
    grandchild = wait_for(lambda: numbers(db, run_id))[0]
    assert alive(grandchild)
    store.request_cancel(db, run_id)
    thread.join(30)
    wait_for(lambda: not alive(grandchild))
    assert state(db, run_id) == "cancelled"


def test_a_process_left_behind_dies_with_a_run_that_ends_well(db: Engine, url: str) -> None:
    run_id = queue_run(db, "deserter")
    assert execute(url, run_id, "tester") == "done"
    wait_for(lambda: not alive(numbers(db, run_id)[0]))


@on_both
def test_a_runner_stops_a_run_that_is_no_longer_its_own(db: Engine, execute_in_thread: ExecuteInThread) -> None:
    run_id = queue_run(db, "steps", rows=1000, pause_s=0.05)
    thread = execute_in_thread(run_id)
    wait_for(lambda: numbers(db, run_id))
    assert store.reap(db, now=time.time() + 1000) == 1
    kept = len(numbers(db, run_id))
    thread.join(30)
    assert not thread.is_alive()
    assert ended(db, run_id)["status"] == "lost"
    assert len(numbers(db, run_id)) == kept


@on_both
def test_a_run_that_is_deleted_under_its_runner_stops(db: Engine, execute_in_thread: ExecuteInThread) -> None:
    run_id = queue_run(db, "steps", rows=1000, pause_s=0.05)
    thread = execute_in_thread(run_id)
    wait_for(lambda: numbers(db, run_id))
    store.finish(db, run_id, None, "lost", "the test says so")
    assert store.delete_run(db, run_id)
    thread.join(30)
    assert not thread.is_alive()
    assert store.get_run(db, run_id) is None


def test_a_claimed_run_waits_for_its_device_with_a_message_and_starts_later(
    db: Engine, execute_in_thread: ExecuteInThread
) -> None:
    with holding(DEVICE):
        run_id = queue_run(db, "steps", rows=1)
        assert store.claim(db, run_id, "tester")
        thread = execute_in_thread(run_id)
        run = wait_for(lambda: (found := store.get_run(db, run_id)) and found["message"] and found)
        assert run["message"] == f"waiting for {DEVICE}: another run is measuring"
        released = time.time()
    thread.join(30)
    run = ended(db, run_id)
    assert run["status"] == "done"
    assert run["started"] >= released


@pytest.mark.parametrize(("device", "held"), [("CPU", "CPU:1"), ("CPU:1", "PYTHON")])
def test_a_run_waits_for_its_hardware_under_whatever_name_another_run_uses_it(
    db: Engine, execute_in_thread: ExecuteInThread, device: str, held: str
) -> None:
    with holding(held):
        run_id = queue_run(db, "steps", rows=1, device=device)
        assert store.claim(db, run_id, "tester")
        thread = execute_in_thread(run_id)
        wait_for(lambda: (found := store.get_run(db, run_id)) and found["message"].startswith("waiting for"))
    thread.join(30)
    assert state(db, run_id) == "done"


def test_a_run_takes_all_devices_on_which_it_measures(db: Engine) -> None:
    spec = parse(MultiDeviceSpec, {"device": "CUDA", "devices": [3]})
    run_id = plain_run(db, experiment="multi_device", spec=spec.model_dump(mode="json"), device="CUDA")
    run = store.get_run(db, run_id)
    assert run is not None
    assert supervisor._devices_used(run) == ("CUDA", "CUDA:1", "CUDA:2")
    unknown = store.get_run(db, plain_run(db, experiment="unheard_of", device="CUDA"))
    assert supervisor._devices_used(unknown) == ("CUDA",)


def test_a_run_is_cancelled_while_it_waits_for_its_device(db: Engine, execute_in_thread: ExecuteInThread) -> None:
    with holding(DEVICE):
        run_id = queue_run(db, "steps", rows=1)
        store.claim(db, run_id, "tester")
        thread = execute_in_thread(run_id)
        wait_for(lambda: (found := store.get_run(db, run_id)) and found["message"])
        store.request_cancel(db, run_id)
        thread.join(30)
        assert ended(db, run_id)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [
        (KeyboardInterrupt(), "cancelled", "cancelled at the terminal"),
        (BrokenPipeError("nobody reads"), "failed", "the executing process stopped: nobody reads"),
        (KeyError("a mistake"), "failed", "the executing process stopped: 'a mistake'"),
    ],
)
def test_whatever_the_runner_meets_ends_the_run_and_its_child(
    db: Engine, url: str, raised: BaseException, status: str, message: str
) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, RowEvent):
            raise raised

    run_id = queue_run(db, "steps", rows=1000, pause_s=0.05)
    assert execute(url, run_id, "tester", interrupt) == status
    assert ended(db, run_id)["message"] == message


def test_rows_in_transit_at_an_interrupt_are_stored(db: Engine, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    true_write: Callable[..., tuple[bool, bool]] = store.write
    interrupted: list[int] = []

    def write(*given: Any) -> tuple[bool, bool]:
        if given[3].rows and not interrupted:
            interrupted.append(len(given[3].rows))
            raise KeyboardInterrupt
        return true_write(*given)

    monkeypatch.setattr(store, "write", write)
    run_id = queue_run(db, "steps", rows=1000, pause_s=0.05)
    assert execute(url, run_id, "tester") == "cancelled"
    assert len(numbers(db, run_id)) >= interrupted[0]


def test_a_child_that_cannot_be_started_fails_the_run(db: Engine, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    run_id = queue_run(db, "steps")
    assert execute(url, run_id, "tester") == "failed"
    assert "/no/such/python" in ended(db, run_id)["message"]


def test_a_database_error_before_the_child_starts_fails_the_run(
    db: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise store.StoreError("the database is away")

    monkeypatch.setattr(store, "known_ceilings", broken)
    run_id = queue_run(db, "steps")
    assert execute(url, run_id, "tester") == "failed"
    assert ended(db, run_id)["message"] == "the executing process stopped: the database is away"
