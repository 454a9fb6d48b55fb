"""Runs on other hosts: what a worker offers and does. Nothing here imports Dask; `dispatch` and `serving` do."""

import importlib.util
from dataclasses import dataclass

from experiments import __version__
from experiments.bench.errors import BadInput
from experiments.runs import jobs, schema, store
from experiments.runs.supervisor import execute

VERSION = f"{__version__} (schema {schema.VERSION})"
AT = " @ "


def check_installed() -> None:
    """Says in one line, as BadInput, that Dask is missing."""
    if importlib.util.find_spec("distributed") is None:
        raise BadInput("Dask is not installed: run `pip install -r requirements-team.txt`")


@dataclass(frozen=True, order=True)
class WorkerEndpoint:
    """A device of a host, as `CUDA @ gpu-box`: also the name of the Dask resource that its worker has one of."""

    device: str
    host: str

    def __str__(self) -> str:
        """As people read it."""
        return f"{self.device}{AT}{self.host}"


@dataclass(frozen=True)
class WorkerStatus:
    """A place that the scheduler knows a worker of, or knew one."""

    endpoint: WorkerEndpoint
    version: str  # of tinygrad lab, as its worker said
    connected: bool = True

    @property
    def problem(self) -> str:
        """Why no run may go there, in one line; empty where one may."""
        if self.version != VERSION:
            return f"{self.endpoint} runs tinygrad lab {self.version}, this app {VERSION}: update one of them"
        return "" if self.connected else f"{self.endpoint} is away: no worker offers it now"


def execute_on_worker(database_url: str, run_id: str) -> str:
    """What a worker does with a run that it is handed: checks what could not be checked from afar, carries it out.

    Returns the end state; an empty text where the run is no longer waiting, so that nothing is carried out twice.
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
    store.claim(db, run_id, runner, memory_limit_bytes=memory)  # one that another has taken is not carried out
    return execute(database_url, run_id, runner)
