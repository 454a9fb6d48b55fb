"""What the tests of runs share: queueing a run, waiting for something to be true, finding what was left behind."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, create_engine, make_url

from experiments import registry
from experiments.bench.machine.environment import host
from experiments.bench.spec import parse
from experiments.runs import schema, store
from experiments.runs.locks import hardware_locks
from tests.processes import module_process

DEVICE = "QCOM:9"  # a name that no machine here has: the experiments of `lab` compute nothing
PATIENCE_S = 60.0
DATABASES = ("sqlite", "postgresql")

on_both = pytest.mark.parametrize("db", DATABASES, indirect=True)


def _postgres() -> str:
    """The URL of an empty database, whose tables are dropped; processes that share the tests have one each."""
    given, worker = os.environ.get("TINYLAB_TEST_POSTGRES", ""), os.environ.get("PYTEST_XDIST_WORKER", "")
    if not given or not worker:
        return given
    own = make_url(given).set(database=f"{make_url(given).database}_{worker}")
    administrator = create_engine(given, isolation_level="AUTOCOMMIT")
    with administrator.connect() as connection:
        connection.exec_driver_sql(f"drop database if exists {own.database} with (force)")
        connection.exec_driver_sql(f"create database {own.database}")
    administrator.dispose()
    return own.render_as_string(hide_password=False)


POSTGRES = _postgres()

ExecuteInThread = Callable[..., threading.Thread]


def queue_run(db: Engine, experiment: str, *, device: str = DEVICE, limit: float = 100, **fields: Any) -> str:
    """Queues a run of a lab experiment, past the checks of `jobs.submit`; returns its id."""
    memory = fields.pop("memory", None)
    spec = parse(registry.find(experiment).spec, {"device": device, **fields})
    return store.add_run(
        db,
        experiment=experiment,
        spec=spec.model_dump(mode="json"),
        device=device,
        host=host(),
        time_limit_s=limit,
        memory_limit_bytes=memory,
    )


def plain_run(db: Engine, **values: Any) -> str:
    """Writes a run that no runner will execute; `values` are columns of the table."""
    usual = {"experiment": "steps", "spec": {}, "device": DEVICE, "host": "elsewhere", "time_limit_s": 1.0}
    return store.add_run(db, **usual | values)


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """Waits until `condition` gives something true, and returns that."""
    end = time.monotonic() + seconds
    while not (seen := condition()):
        assert time.monotonic() < end, "this did not become true"
        time.sleep(0.02)
    return seen


@contextlib.contextmanager
def holding(*devices: str) -> Iterator[None]:
    """Holds the hardware of these devices, as a run does; `filelock.Timeout` where another one holds some of it."""
    with contextlib.ExitStack() as stack:
        for lock in hardware_locks(devices):
            stack.enter_context(lock.acquire(timeout=0))
        yield


def state(db: Engine, run_id: str) -> str:
    """The status of a run."""
    run = store.get_run(db, run_id)
    assert run is not None
    return str(run["status"])


def numbers(db: Engine, run_id: str) -> list[Any]:
    """The column `number` of the rows of a run."""
    return [row["number"] for row in store.read_rows(db, run_id)]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def left_over(url: str) -> list[psutil.Process]:
    """Processes of this test that still run: all those started inherited its database."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("TINYLAB_DATABASE") == url:
                found.append(process)
        except psutil.Error:
            continue
    return found


def open_at_once(url: str, count: int) -> None:
    """Opens a database in several processes at the same time; all must succeed."""
    with contextlib.ExitStack() as stack:
        openers = [
            stack.enter_context(module_process("tests.experiments.runs.open_database", url)) for _ in range(count)
        ]
        for one in openers:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in openers:  # each waits for this, so that they do not open one after another
            assert one.stdin is not None
            one.stdin.close()
        assert [one.wait(60) for one in openers] == [0] * count


@contextlib.contextmanager
def opened(kind: str, url: str) -> Iterator[Engine]:
    """The engine of an empty database of this kind."""
    if kind == "sqlite":
        yield store.engine(url)
        return
    if not POSTGRES:
        pytest.skip("TINYLAB_TEST_POSTGRES names no database")
    store.engine.cache_clear()
    made = store.engine(POSTGRES)
    yield made
    schema.metadata.drop_all(made)
    with made.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
    made.dispose()
    store.engine.cache_clear()
