"""The two services of a team, both from Dask: a scheduler, and on each host a worker process per device."""

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import dask
from distributed import Nanny, Scheduler, Security

from experiments.bench.errors import BadInput
from experiments.bench.machine import devices
from experiments.bench.machine.device import check_name
from experiments.bench.machine.environment import host
from experiments.runs.team import VERSION, WorkerEndpoint

RETRY_S = 3.0
WORKER_INFO = "tinylab"  # key of the facts that a worker registers with

SETTINGS: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 0,  # a measurement is never retried
    "distributed.worker.profile.enabled": False,  # it would sample the process a hundred times a second
    "distributed.nanny.pre-spawn-environ": {},  # a run has the same environment as without Dask
    "distributed.nanny.environ": {},
    "distributed.scheduler.http.routes": [],  # no pages; Dask starts their server in any case
    "distributed.worker.http.routes": [],
}
NO_PAGES: dict[str, Any] = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}

log = logging.getLogger("tinylab")
DASK_LOG = logging.getLogger("distributed")


def _set_up() -> None:
    dask.config.set(SETTINGS)
    DASK_LOG.setLevel(logging.WARNING)


def worker_info(endpoint: WorkerEndpoint, worker: object) -> dict[str, str]:
    """The facts that a worker registers with."""
    return {"device": endpoint.device, "host": endpoint.host, "version": VERSION}


async def serve_scheduler(address: str, security: Security | None, say: Callable[[str], None]) -> None:
    """Listens on `address` until the process is ended."""
    _set_up()
    parts = urlsplit(address)
    where: dict[str, Any] = {"protocol": parts.scheme, "host": parts.hostname, "port": parts.port}
    async with Scheduler(**where, security=security, **NO_PAGES) as scheduler:
        say(f"the scheduler listens on {address}")
        try:
            await scheduler.finished()
        finally:
            DASK_LOG.setLevel(logging.CRITICAL)  # connections that close now are expected


def usable(names: list[str]) -> list[str]:
    """The named devices, or all that work; raises BadInput if a named one does not work."""
    if not names:
        return [probe.device for probe in devices.candidates() if probe.works]
    try:
        checked = [check_name(name) for name in names]
    except ValueError as error:
        raise BadInput(f"devices: {error}") from None
    for probe in map(devices.probed, checked):
        if not probe.works:
            raise BadInput(f"devices: {probe.device} does not work here: {probe.what}")
    return checked


async def serve_workers(address: str, security: Security | None, names: list[str], say: Callable[[str], None]) -> None:
    """Runs workers for devices of this host until the process is ended; reconnects to a restarted scheduler."""
    _set_up()
    say(f"connecting to the scheduler {address}")
    while True:
        nannies = [_nanny(address, security, WorkerEndpoint(name, host())) for name in names]
        try:
            await asyncio.gather(*nannies)
            say(f"offering {', '.join(names)} of {host()} to {address}")
            await asyncio.gather(*(one.finished() for one in nannies))
            say(f"lost the scheduler {address}; reconnecting")
        except (OSError, RuntimeError) as error:
            log.warning("the scheduler %s does not answer, trying again: %s", address, str(error)[:200])
        finally:
            await asyncio.gather(*(one.close() for one in nannies), return_exceptions=True)
        await asyncio.sleep(RETRY_S)


def _nanny(address: str, security: Security | None, endpoint: WorkerEndpoint) -> Nanny:
    """Dask's supervisor of one worker process, which restarts it after its death."""
    return Nanny(
        address,
        name=str(endpoint),
        nthreads=1,
        resources={str(endpoint): 1},
        silence_logs=logging.WARNING,
        memory_limit=0,  # each run has its own limit
        security=security,
        startup_information={WORKER_INFO: functools.partial(worker_info, endpoint)},
        **NO_PAGES,
    )
