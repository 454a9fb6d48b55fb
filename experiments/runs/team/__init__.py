"""Runs on other hosts: endpoints, their status, and the worker's function. Does not import Dask."""

import importlib.util
from dataclasses import dataclass

from experiments import __version__
from experiments.bench.errors import BadInput
from experiments.runs import jobs, schema, store
from experiments.runs.supervisor import execute

VERSION = f"{__version__} (schema {schema.VERSION})"
AT = " @ "


def check_installed() -> None:
    """Raises BadInput if Dask is not installed."""
    if importlib.util.find_spec("distributed") is None:
        raise BadInput("Dask is not installed: run `pip install -r requirements-team.txt`")


@dataclass(frozen=True, order=True)
class WorkerEndpoint:
    """A device of a host, `CUDA @ gpu-box`: also the name of the Dask resource of which its worker has one."""

    device: str
    host: str

    def __str__(self) -> str:
        """The name shown to users, and of the Dask resource."""
        return f"{self.device}{AT}{self.host}"


@dataclass(frozen=True)
class WorkerStatus:
    """A worker that is, or was, registered at the scheduler."""

    endpoint: WorkerEndpoint
    version: str  # of tinygrad lab, reported by the worker
    connected: bool = True

    @property
    def problem(self) -> str:
        """Why it takes no runs, in one line; empty if it does."""
        if self.version != VERSION:
            return f"{self.endpoint} runs tinygrad lab {self.version}, but this app is {VERSION}: update one of them"
        return "" if self.connected else f"{self.endpoint} is unavailable: its worker is not connected"


def execute_on_worker(database_url: str, run_id: str) -> str:
    """Executes a run on its worker, after the checks that need this host: device and memory.

    Returns the end state, or an empty string where the run is no longer queued, so that no run is executed twice.
    """
    db = store.engine(database_url)
    run = store.get_run(db, run_id)
    if run is None or run["status"] != store.QUEUED:
        return ""
    runner = jobs.runner_name()
    try:
        memory = jobs.check_here(run)
    except BadInput as refused:
        if store.claim(db, run_id, runner):
            store.finish(db, run_id, runner, "failed", str(refused))
        return "failed"
    store.claim(db, run_id, runner, memory_limit_bytes=memory)  # `execute` returns where another runner has claimed it
    return execute(database_url, run_id, runner)
