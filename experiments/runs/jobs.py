"""Submitting runs, and the embedded runner: one daemon thread that polls the queue, and one per busy device."""

import logging
import os
import threading
import time

import psutil
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import SQLAlchemyError

from experiments import registry
from experiments.bench.errors import BadInput
from experiments.bench.machine import devices
from experiments.bench.machine.device import AUTO
from experiments.bench.machine.environment import host as this_host
from experiments.bench.spec import Spec, parse
from experiments.runs import store
from experiments.runs.supervisor import EventListener, execute, ignore_event

POLL_S = 0.25
REAP_EVERY_S = 10.0
MIN_TIME_LIMIT_S, DEFAULT_TIME_LIMIT_S, MAX_TIME_LIMIT_S = 1.0, 900.0, 24 * 3600.0
MEMORY_SHARE = 0.8  # of the free memory at submit: a run must not exhaust the machine

log = logging.getLogger("tinylab")


def check_anywhere(name: str, spec: Spec, time_limit_s: float) -> Spec:
    """Validates the spec again, and the time limit: the checks that do not depend on the host. Raises BadInput."""
    parsed: Spec = parse(registry.find(name).spec, spec.model_dump())
    if not MIN_TIME_LIMIT_S <= time_limit_s <= MAX_TIME_LIMIT_S:
        raise BadInput(
            f"time limit: {time_limit_s:g} s is not allowed; give {MIN_TIME_LIMIT_S:g} to {MAX_TIME_LIMIT_S:g} s"
        )
    return parsed


def check(name: str, spec: Spec, time_limit_s: float) -> Spec:
    """The spec as it will run on this host: device resolved and probed, memory need compared with what is free.

    Raises BadInput with a one-line message per problem, before anything is queued or allocated.
    """
    parsed = check_anywhere(name, spec, time_limit_s)
    tried = devices.first_working() if parsed.device == AUTO else devices.probed(parsed.device)
    if not tried.works:
        raise BadInput(f"device: {tried.device} does not work here: {tried.what}")
    fixed = parsed.model_copy(update={"device": tried.device})
    need, free = fixed.need(), devices.free_memory(tried.device)
    if free is not None and need.bytes > free:
        raise BadInput(
            f"too large: {need.what} needs {need.bytes / 1e9:.1f} GB; {tried.device} has {free / 1e9:.1f} GB free"
        )
    return fixed


def check_here(run: RowMapping) -> int:
    """Checks a run that was submitted on another host, probing its device; returns its memory limit in bytes."""
    devices.forget_probes()
    check(run["experiment"], parse(registry.find(run["experiment"]).spec, run["spec"]), run["time_limit_s"])
    return memory_limit()


def memory_limit() -> int:
    """The memory limit in bytes of a run that starts now."""
    return int(psutil.virtual_memory().available * MEMORY_SHARE)


def submit(
    name: str,
    spec: Spec,
    *,
    url: str | None = None,
    host: str | None = None,
    owner: str = "",
    time_limit_s: float = DEFAULT_TIME_LIMIT_S,
    claimed_by: str | None = None,
) -> str:
    """Writes a run and returns its id: `queued`, or already claimed by the runner that will execute it.

    With a `host` it waits for that host's worker, which probes the device and checks the memory.
    """
    fixed = check_anywhere(name, spec, time_limit_s) if host else check(name, spec, time_limit_s)
    now = time.time()
    claimed = {"status": store.RUNNING, "runner": claimed_by, "started": now, "heartbeat": now} if claimed_by else {}
    return store.add_run(
        store.engine(url or store.database_url()),
        experiment=name,
        spec=fixed.model_dump(mode="json"),
        device=fixed.device,
        host=host or this_host(),
        time_limit_s=time_limit_s,
        memory_limit_bytes=None if host else memory_limit(),
        owner=owner,
        **claimed,
    )


def runner_name() -> str:
    """A unique name for a runner."""
    return f"{this_host()[:40]}-{os.getpid()}-{store.new_id()}"


def run_now(
    name: str,
    spec: Spec,
    *,
    url: str | None = None,
    time_limit_s: float = DEFAULT_TIME_LIMIT_S,
    on_event: EventListener = ignore_event,
) -> str:
    """Submits a run as already claimed and executes it in this process; returns its id when it has ended.

    KeyboardInterrupt cancels the submitted run; its id is still returned.
    """
    url, runner = url or store.database_url(), runner_name()
    store.reap(store.engine(url))
    run_id = submit(name, spec, url=url, time_limit_s=time_limit_s, claimed_by=runner)
    execute(url, run_id, runner, on_event)
    return run_id


class EmbeddedRunner:
    """Executes this host's queued runs in threads of this process, one at a time per device."""

    def __init__(self, url: str) -> None:
        self._url, self._name = url, runner_name()
        self._busy: dict[str, threading.Thread] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="tinylab-runner", daemon=True)

    def start(self) -> "EmbeddedRunner":
        """Starts polling for queued runs; returns itself."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stops polling; a run that is executing goes on."""
        self._stopped.set()
        self._thread.join()

    def _poll(self) -> None:
        reaped = 0.0
        while not self._stopped.wait(POLL_S):
            try:
                if time.monotonic() - reaped > REAP_EVERY_S:
                    store.reap(store.engine(self._url))
                    reaped = time.monotonic()
                self._start_waiting()
            except (SQLAlchemyError, store.StoreError, OSError) as error:
                log.warning("the queue of runs cannot be read, trying again: %s", error)
                self._stopped.wait(2.0)

    def _start_waiting(self) -> None:
        self._busy = {device: thread for device, thread in self._busy.items() if thread.is_alive()}
        for run in store.queued_runs(store.engine(self._url), this_host()):
            if run["device"] not in self._busy:
                thread = threading.Thread(target=self._execute, args=(run["id"],), daemon=True)
                self._busy[run["device"]] = thread
                thread.start()

    def _execute(self, run_id: str) -> None:
        try:
            execute(self._url, run_id, self._name)
        except Exception as error:  # noqa: BLE001 - no run may end the runner
            log.warning("run %s could not be executed: %s", run_id, error)
