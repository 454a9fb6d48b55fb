"""What the tests of runs share: queueing a run, waiting for something to be true, finding what was left behind."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
from sqlalchemy import Engine

from experiments import registry
from experiments.bench.environment import host
from experiments.bench.spec import parse
from experiments.runs import store

DEVICE = "QCOM:9"  # a name that no machine here has: the experiments of `lab` compute nothing
PATIENCE_S = 60.0

Carry = Callable[..., threading.Thread]


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
    """Writes a run that nobody will carry out; `values` are those of the table."""
    usual = {"experiment": "steps", "spec": {}, "device": DEVICE, "host": "elsewhere", "time_limit_s": 1.0}
    return store.add_run(db, **usual | values)


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """Waits until `condition` gives something true, and returns that."""
    end = time.monotonic() + seconds
    while not (seen := condition()):
        assert time.monotonic() < end, "this did not become true"
        time.sleep(0.02)
    return seen


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
