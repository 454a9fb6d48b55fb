"""The app's part of a team: submits each queued run to its worker. The queue is the database, not Dask's."""

import contextlib
import logging
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from distributed import Client, Future, KilledWorker
from sqlalchemy import make_url

from experiments.bench.errors import BadInput
from experiments.runs import store
from experiments.runs.jobs import REAP_EVERY_S
from experiments.runs.team import WorkerEndpoint, WorkerStatus, execute_on_worker
from experiments.runs.team.security import Certificates, is_loopback, secured
from experiments.runs.team.services import WORKER_INFO

POLL_S = 0.5
CONNECT_TIMEOUT_S = 5.0

log = logging.getLogger("tinylab")


class Dispatcher:
    """Looks for waiting runs and for workers in a thread; one run at a time per endpoint is handed over.

    More would wait at the worker, and fail with it if it dies. Two apps may hand over the same run: the worker that
    claims it first carries it out.
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
        self.workers: dict[WorkerEndpoint, WorkerStatus] = {}  # replaced as a whole, never changed: pages read it
        self.problem = f"the scheduler {scheduler} has not been reached yet; runs wait until it is"

    def start(self) -> "Dispatcher":
        """Starts looking; returns itself after the first look, or where that takes long."""
        self._thread.start()
        self._polled.wait(CONNECT_TIMEOUT_S)
        return self

    def stop(self) -> None:
        """Stops looking; what was handed over goes on."""
        self._stopped.set()
        self._thread.join()
        self._leave()

    def endpoint(self, device: str, host: str) -> WorkerEndpoint:
        """Where a run of this device and host goes, any of both where empty; BadInput says why nowhere.

        While the scheduler is away an endpoint that was connected before is chosen: the run waits.
        """
        fitting = [one for one in self.workers.values() if device in ("", one.endpoint.device)]
        fitting = [one for one in fitting if host in ("", one.endpoint.host)]
        named = WorkerEndpoint(device or "any device", host or "any host")
        if not fitting:
            raise BadInput("; ".join(filter(None, (f"device: no worker has offered {named}", self.problem))))
        open_now = [one for one in fitting if not one.problem]
        if not open_now and not self.problem:
            raise BadInput(f"device: {fitting[0].problem}")
        return (open_now or fitting)[0].endpoint

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
            except Exception as error:  # noqa: BLE001 - the dispatcher must outlive whatever one look brings
                log.warning("the dispatcher cannot look for runs, it tries again: %s", error)
                self._stopped.wait(2.0)

    def _poll(self) -> None:
        try:
            offered = self._offered()
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
        self.workers, self.problem = dict(sorted((away | offered).items())), ""
        self._collect()
        self._dispatch()

    def _offered(self) -> dict[WorkerEndpoint, WorkerStatus]:
        """What the workers say of themselves; OSError where the scheduler is away."""
        if self._client is None or self._client.status == "closed":
            self._leave()
            self._client = Client(
                self._scheduler, security=self._security, timeout=CONNECT_TIMEOUT_S, set_as_default=False
            )
        if self._client.status != "running":
            raise OSError("connecting")
        workers: dict[str, Any] = self._client.scheduler_info()["workers"]
        said = [one[WORKER_INFO] for one in workers.values() if WORKER_INFO in one]
        endpoints = [(WorkerEndpoint(one["device"], one["host"]), one["version"]) for one in said]
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
            offer = self.workers.get(endpoint)
            if offer is None or offer.problem or endpoint in self._dispatched:
                continue
            # By resource, not by name: Dask makes an address of a name at once, and a restarted worker has another.
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
        """Frees the endpoints whose run has ended, and ends a run whose worker has died."""
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
            cause = str(error).strip().splitlines() or [type(error).__name__]
            store.finish(db, run_id, run["runner"], "failed", f"{endpoint} could not take it: {cause[0][:500]}")
        elif run["status"] == store.RUNNING:  # one that still waits is handed over again
            store.finish(db, run_id, run["runner"], "lost", f"the worker of {endpoint} was killed or went away")
