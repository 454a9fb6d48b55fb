"""The app's part of a team: submits each queued run to its worker. The queue is the database, not Dask's."""

import contextlib
import logging
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from distributed import Client, Future, KilledWorker
from sqlalchemy import make_url

from experiments.bench.errors import BadInput, first_line
from experiments.runs import store
from experiments.runs.jobs import REAP_EVERY_S
from experiments.runs.team import WorkerEndpoint, WorkerStatus, execute_on_worker
from experiments.runs.team.security import Certificates, is_loopback, secured
from experiments.runs.team.services import WORKER_INFO

POLL_S = 0.5
CONNECT_TIMEOUT_S = 5.0

log = logging.getLogger("tinylab")


class Dispatcher:
    """Polls queue and workers in a thread, and submits one run at a time per endpoint.

    More would queue at the worker, and fail with it if it dies. Two apps may submit the same run: the worker that
    claims it first executes it.
    """

    def __init__(self, url: str, scheduler: str) -> None:
        self._url, self._scheduler = url, scheduler
        self._security = secured(scheduler, Certificates.given())
        if make_url(url).get_backend_name() == "sqlite" and not is_loopback(urlsplit(scheduler).hostname):
            raise BadInput("TINYLAB_SCHEDULER: other hosts cannot reach an SQLite file; set TINYLAB_DATABASE")
        self._client: Client | None = None
        self._dispatched: dict[WorkerEndpoint, tuple[str, Future[str]]] = {}
        self._stopped, self._polled = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tinylab-dispatcher", daemon=True)
        self.workers: dict[WorkerEndpoint, WorkerStatus] = {}  # replaced as a whole, never mutated: pages read it
        self.problem = f"the scheduler {scheduler} has not been reached yet; runs wait until it is"

    def start(self) -> "Dispatcher":
        """Starts polling; returns itself after the first poll or a timeout."""
        self._thread.start()
        self._polled.wait(CONNECT_TIMEOUT_S)
        return self

    def stop(self) -> None:
        """Stops polling; submitted runs go on."""
        self._stopped.set()
        self._thread.join()
        self._leave()

    def endpoint(self, device: str, host: str) -> WorkerEndpoint:
        """The endpoint for a run on this device and host (empty: any); raises BadInput if there is none.

        While the scheduler is away an endpoint that was connected before is chosen: the run waits.
        """
        matching = [one for one in self.workers.values() if device in ("", one.endpoint.device)]
        matching = [one for one in matching if host in ("", one.endpoint.host)]
        named = WorkerEndpoint(device or "any device", host or "any host")
        if not matching:
            raise BadInput("; ".join(filter(None, (f"device: no worker has offered {named}", self.problem))))
        available = [one for one in matching if not one.problem]
        if not available and not self.problem:
            raise BadInput(f"device: {matching[0].problem}")
        return (available or matching)[0].endpoint

    def _watch(self) -> None:
        reaped = 0.0
        while not self._stopped.is_set():
            try:
                if time.monotonic() - reaped > REAP_EVERY_S:
                    store.reap(store.engine(self._url))
                    reaped = time.monotonic()
                self._poll()
                self._polled.set()
                self._stopped.wait(POLL_S)
            except Exception as error:  # noqa: BLE001 - no failed poll may end the dispatcher
                log.warning("the queue of runs cannot be read, trying again: %s", error)
                self._stopped.wait(2.0)

    def _poll(self) -> None:
        try:
            registered = self._registered()
        except (OSError, ValueError, RuntimeError) as error:  # the latter two: a client that is being closed
            log.debug("scheduler: %s", error)
            self.workers = {
                endpoint: WorkerStatus(endpoint, one.version, connected=False) for endpoint, one in self.workers.items()
            }
            self.problem = f"the scheduler {self._scheduler} does not answer; runs wait until it is back"
            return
        away = {
            endpoint: WorkerStatus(endpoint, one.version, connected=False) for endpoint, one in self.workers.items()
        }
        self.workers, self.problem = dict(sorted((away | registered).items())), ""
        self._collect()
        self._dispatch()

    def _registered(self) -> dict[WorkerEndpoint, WorkerStatus]:
        """The registered workers; raises OSError if the scheduler cannot be reached."""
        if self._client is None or self._client.status == "closed":
            self._leave()
            self._client = Client(
                self._scheduler, security=self._security, timeout=CONNECT_TIMEOUT_S, set_as_default=False
            )
        if self._client.status != "running":
            raise OSError("connecting")
        workers: dict[str, Any] = self._client.scheduler_info()["workers"]
        infos = [one[WORKER_INFO] for one in workers.values() if WORKER_INFO in one]
        endpoints = [(WorkerEndpoint(one["device"], one["host"]), one["version"]) for one in infos]
        return {endpoint: WorkerStatus(endpoint, version) for endpoint, version in sorted(endpoints, key=str)}

    def _leave(self) -> None:
        if self._client is not None:
            with contextlib.suppress(OSError, ValueError):
                self._client.close(timeout=CONNECT_TIMEOUT_S)
        self._client, self._dispatched = None, {}

    def _dispatch(self) -> None:
        assert self._client is not None  # noqa: S101 - it has just answered
        for run in store.queued_runs(store.engine(self._url)):
            endpoint = WorkerEndpoint(run["device"], run["host"])
            worker = self.workers.get(endpoint)
            if worker is None or worker.problem or endpoint in self._dispatched:
                continue
            # By resource, not by name: Dask resolves a name at once, and a restarted worker has a new address.
            future = self._client.submit(
                execute_on_worker,
                self._url,
                run["id"],
                key=f"run-{run['id']}",
                resources={str(endpoint): 1},
                pure=False,
                retries=0,
            )
            self._dispatched[endpoint] = (run["id"], future)

    def _collect(self) -> None:
        """Frees endpoints whose run has ended, and ends runs whose worker has died."""
        for endpoint, (run_id, future) in list(self._dispatched.items()):
            if not future.done():
                continue
            del self._dispatched[endpoint]
            if future.status == "error":
                self._end(run_id, endpoint, future.exception())

    def _end(self, run_id: str, endpoint: WorkerEndpoint, error: BaseException | None) -> None:
        db = store.engine(self._url)
        run = store.get_run(db, run_id)
        if run is None:
            return
        if not isinstance(error, KilledWorker):
            store.finish(
                db,
                run_id,
                run["runner"],
                "failed",
                f"{endpoint} could not start the run: {first_line(error) if error else 'cancelled'}",
            )
        elif run["status"] == store.RUNNING:  # one that is still queued is submitted again
            store.finish(db, run_id, run["runner"], "lost", f"the worker of {endpoint} was killed or disconnected")
