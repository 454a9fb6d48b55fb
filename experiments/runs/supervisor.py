"""Executes one claimed run in a child process, and stops it on cancellation and at its time and memory limits."""

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

import psutil
from filelock import FileLock, Timeout
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from experiments.bench.errors import BadInput, first_line, last_line
from experiments.bench.events import (
    ArtifactEvent,
    DetailEvent,
    EndEvent,
    EnvironmentEvent,
    Event,
    FailedEvent,
    ProgressEvent,
    RowEvent,
    decode,
)
from experiments.bench.machine import variables
from experiments.bench.machine.environment import fingerprint, key
from experiments.bench.machine.neighbors import NeighborWatch
from experiments.bench.machine.toolchain import child_environment
from experiments.bench.spec import Spec, parse
from experiments.registry import find
from experiments.runs import remarks, store
from experiments.runs.locks import hardware_locks

HEARTBEAT_S = 0.5
GRACE_S = 1.0  # between SIGTERM and SIGKILL
KILL_TIMEOUT_S = 10.0
LOG_TAIL_BYTES = 4000
AT_THE_TERMINAL = "cancelled at the terminal"

log = logging.getLogger("tinylab")

EventListener = Callable[[Event], None]


def ignore_event(_: Event) -> None:
    """The default listener: ignores every event."""


def execute(database_url: str, run_id: str, runner: str, on_event: EventListener = ignore_event) -> str:
    """Waits for the run's device, claims the run unless `runner` has claimed it already, and runs it to its end.

    Returns the end state, or an empty string where the run belongs to another runner or no longer exists. `on_event`
    receives every event. KeyboardInterrupt cancels the run. Raises only where the end state cannot be written either.
    """
    db = store.engine(database_url)
    try:
        return _execute(db, run_id, runner, on_event)
    except KeyboardInterrupt:
        return _abort(db, run_id, runner, "cancelled", AT_THE_TERMINAL)
    except Exception as error:
        if not isinstance(error, store.StoreError | OSError):
            log.exception("the runner of run %s failed", run_id)
        with contextlib.suppress(SQLAlchemyError, store.StoreError):  # the reaper ends what cannot be written here
            return _abort(db, run_id, runner, "failed", f"the executing process stopped: {first_line(error)}")
        raise


def _execute(db: Engine, run_id: str, runner: str, on_event: EventListener) -> str:
    if (run := store.get_run(db, run_id)) is None:
        return ""
    with contextlib.ExitStack() as stack:
        if not _wait_for_devices(db, run, runner, stack):
            return _state(db, run_id)
        store.claim(db, run_id, runner)
        run = store.get_run(db, run_id)
        if run is None or (run["status"], run["runner"]) != (store.RUNNING, runner):
            return ""
        return RunSupervisor(db, run, runner, on_event).execute()


def _abort(db: Engine, run_id: str, runner: str, status: str, message: str) -> str:
    """Ends a run whose child is not running, also one that was still queued."""
    store.claim(db, run_id, runner)
    store.finish(db, run_id, runner, status, message)
    return _state(db, run_id)


def _wait_for_devices(db: Engine, run: Any, runner: str, stack: contextlib.ExitStack) -> bool:
    """Acquires the locks of all hardware of the run; False if it ended or was cancelled while it waited."""
    locks = hardware_locks(_devices_used(run))
    return all(_wait_for_lock(db, run["id"], run["device"], runner, lock, stack) for lock in locks)


def _devices_used(run: Any) -> tuple[str, ...]:
    """The devices on which a run measures."""
    try:
        spec: Spec = parse(find(run["experiment"]).spec, run["spec"])
    except BadInput:  # which its child will report
        return (run["device"],)
    return spec.devices_used()


def _wait_for_lock(
    db: Engine, run_id: str, device: str, runner: str, lock: FileLock, stack: contextlib.ExitStack
) -> bool:
    """Acquires a lock, with a heartbeat while it waits; False if the run ended or was cancelled."""
    waiting = store.Batch()
    waiting.changes = {"message": f"waiting for {device}: another run is measuring"}
    while True:
        try:
            stack.enter_context(lock.acquire(timeout=HEARTBEAT_S))
        except Timeout:
            run = store.get_run(db, run_id)
            if run is None or run["status"] in store.ENDED:
                return False
            if run["status"] == store.RUNNING:
                mine, cancel = store.write(db, run_id, runner, waiting, 0, 0)
                if cancel:
                    store.finish(db, run_id, runner, "cancelled", "cancelled before it started")
                if cancel or not mine:
                    return False
        else:
            return True


def _state(db: Engine, run_id: str) -> str:
    run = store.get_run(db, run_id)
    return run["status"] if run else ""


class RunSupervisor:
    """One running child: the events received, how many of them are written, and how the run ended."""

    def __init__(self, db: Engine, run: Any, runner: str, on_event: EventListener) -> None:
        self._db, self._run, self._runner, self._on_event = db, run, runner, on_event
        self._events: queue.Queue[Event] = queue.Queue()
        self._rows_written = self._chunks_written = 0
        self._batch = store.Batch()
        self._batch.changes = {"started": time.time(), "message": ""}  # it may have waited for its device
        self._started = time.monotonic()
        self._environment: dict[str, Any] = {}
        self._set_aside = variables.set_aside()
        self._neighbors = NeighborWatch()
        self._failed: FailedEvent | None = None
        self._ended = False

    def execute(self) -> str:
        """Runs the child until it ends or must be stopped; writes and returns the end state."""
        with tempfile.TemporaryFile() as log:
            child, events = self._start(log)
            reader = threading.Thread(target=self._read, args=(events,), daemon=True)
            reader.start()
            status, message = "", ""
            try:
                while not status and child.poll() is None:
                    status, message = self._heartbeat(child)
            except KeyboardInterrupt:
                status, message = "cancelled", AT_THE_TERMINAL
            finally:
                _stop(child)
            reader.join(timeout=5)
            self._take_events()
            if not status:
                status, message = self._end_state(child.returncode, _tail(log))
        return self._finish(status, message)

    def _start(self, log: IO[bytes]) -> tuple[subprocess.Popen[bytes], IO[str]]:
        job = {
            "experiment": self._run["experiment"],
            "spec": self._run["spec"],
            "ceilings": store.known_ceilings(self._db, key(fingerprint(self._run["device"]))),
        }
        read, write = os.pipe()  # must not raise after Popen: the child would be orphaned
        try:
            child = subprocess.Popen(
                [sys.executable, "-m", "experiments.runs.child", str(write)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(write,),
                start_new_session=True,
                env=child_environment(self._run["device"]),
            )
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        assert child.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):  # a child that ended at once is judged by its exit code
            child.stdin.write(json.dumps(job).encode() + b"\n")
            child.stdin.flush()
        return child, os.fdopen(read, encoding="utf-8", errors="replace")

    def _read(self, events: IO[str]) -> None:
        with events, contextlib.suppress(ValueError):  # a killed child may leave half a line, the last
            for line in events:
                self._events.put(decode(line))

    def _heartbeat(self, child: subprocess.Popen[bytes]) -> tuple[str, str]:
        """Waits half a second and writes once; returns an end state and a message where the child must be stopped."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(HEARTBEAT_S)
        self._take_events()
        mine, cancel = self._write()
        limit, memory_limit = self._run["time_limit_s"], self._run["memory_limit_bytes"]
        if not mine:
            return "lost", "another process ended this run"
        if child.poll() is not None:  # it ended by itself, which decides its end state
            return "", ""
        family = _family(child.pid)
        self._neighbors.update(family)
        if cancel:
            return "cancelled", "cancelled"
        if time.monotonic() - self._started > limit:
            return "timeout", f"stopped at its time limit of {limit:g} s"
        if memory_limit and (used := _memory(family)) > memory_limit:
            shown = f"{used / 2**30:.1f} GB used, {memory_limit / 2**30:.1f} GB allowed"
            return "crashed", f"stopped at its memory limit: {shown}"
        return "", ""

    def _take_events(self) -> None:
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return
            self._take(event)
            self._on_event(event)

    def _take(self, event: Event) -> None:
        match event:
            case ProgressEvent(fraction, message):
                self._batch.changes |= {"progress": fraction, "message": message}
            case RowEvent(row):
                self._batch.rows.append(row)
            case DetailEvent(name, records):
                self._batch.details.append((name, records))
            case ArtifactEvent(name, digest, content):
                self._batch.artifacts.append((name, digest, content))
            case EnvironmentEvent(facts, volatile):
                told = {remarks.SET_ASIDE: " ".join(self._set_aside)} if self._set_aside else {}
                self._environment = facts | volatile | told
                self._batch.changes |= {"environment": self._environment, "fingerprint": key(facts)}
            case FailedEvent():
                self._failed = event
            case EndEvent():
                self._ended = True

    def _write(self) -> tuple[bool, bool]:
        batch = self._batch
        result = store.write(self._db, self._run["id"], self._runner, batch, self._rows_written, self._chunks_written)
        self._rows_written += len(batch.rows)
        self._chunks_written += len(batch.details)
        self._batch = store.Batch()  # only after the write: a batch that could not be written is written next time
        return result

    def _end_state(self, code: int, log: str) -> tuple[str, str]:
        """The end state and message of a child that ended by itself."""
        if self._failed:
            return "failed", self._failed.message
        if self._ended and code == 0:
            return "done", "done"
        if code < 0:
            return "crashed", f"the child process was ended by {signal.Signals(-code).name}"
        return "crashed", f"the child process ended with exit code {code}: {last_line(log, 'it printed nothing')}"

    def _finish(self, status: str, message: str) -> str:
        if self._environment:
            self._batch.changes["environment"] = self._environment | self._neighbors.facts()
        mine, _ = self._write()
        if mine:
            traceback = self._failed.traceback if self._failed else ""
            store.finish(self._db, self._run["id"], self._runner, status, message, traceback)
        return _state(self._db, self._run["id"])


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ends the child's process group with SIGTERM, then SIGKILL; harmless after its end."""
    for number, timeout in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, KILL_TIMEOUT_S)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout)
    if child.stdin:
        with contextlib.suppress(OSError):
            child.stdin.close()


def _family(pid: int) -> list[psutil.Process]:
    """The child and its descendants."""
    with contextlib.suppress(psutil.Error):
        child = psutil.Process(pid)
        return [child, *child.children(recursive=True)]
    return []


def _memory(family: Sequence[psutil.Process]) -> int:
    """Resident bytes of these processes."""
    total = 0
    for one in family:
        with contextlib.suppress(psutil.Error):
            total += int(one.memory_info().rss)
    return total


def _tail(log: IO[bytes]) -> str:
    """The end of the child's standard output and error."""
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - LOG_TAIL_BYTES))
    return log.read().decode(errors="replace")
