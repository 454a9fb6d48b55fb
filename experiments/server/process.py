"""The server's side of the inference process: starts it, sends it batches and restarts it when it dies."""

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.machine.toolchain import child_environment
from experiments.server import protocol
from experiments.server.protocol import InferenceSettings

SERIAL_COMPILER = {"PARALLEL": "0"}  # tinygrad's pool of compiler processes would survive a kill
START_TIMEOUT_S = 600.0  # compiling every batch size on a new machine takes minutes
BATCH_TIMEOUT_S = 30.0  # a slower batch means that the driver hangs
RESTART_DELAYS_S = (0.05, 0.5, 2.0, 10.0)  # after each failed start the next one waits longer
LOG = logging.getLogger(__name__)


class EngineUnavailable(Exception):
    """There is no inference process, or it died while it computed this batch."""


class BatchFailed(Exception):
    """The engine raised an error for this batch; the inference process continues."""


@dataclass(frozen=True)
class ComputedBatch:
    """The logits of a batch, and the seconds that the engine took."""

    logits: Array
    seconds: float


class InferenceProcess:
    """A supervised inference process, one at a time. `on_down` is called whenever it has ended."""

    def __init__(self, settings: InferenceSettings, classes: int, on_down: Callable[[], None] = lambda: None) -> None:
        self._settings, self._classes, self.on_down = settings, classes, on_down
        self.ready = asyncio.Event()
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.buckets: list[dict[str, Any]] = []
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pending: dict[int, asyncio.Future[ComputedBatch]] = {}
        self._number = 0
        self._supervisor = asyncio.create_task(self._supervise())

    @property
    def pid(self) -> int | None:
        """The process id; None while no inference process runs."""
        return self._process.pid if self._process else None

    async def run(self, parts: Sequence[Array]) -> ComputedBatch:
        """The logits of all rows of `parts`, in their order. Raises EngineUnavailable or BatchFailed."""
        if not self.ready.is_set() or self._writer is None:
            raise EngineUnavailable("the inference process is starting")
        self._number = (self._number + 1) % 2**32
        number, rows = self._number, sum(len(part) for part in parts)
        answer = self._pending[number] = asyncio.get_running_loop().create_future()
        head = protocol.header(protocol.BATCH, sum(part.nbytes for part in parts), number, rows)
        self._writer.write(b"".join([head, *(part.tobytes() for part in parts)]))
        try:
            async with asyncio.timeout(BATCH_TIMEOUT_S):
                computed: ComputedBatch = await answer
                return computed
        except TimeoutError:
            self._kill()
            raise EngineUnavailable(f"the inference process did not answer within {BATCH_TIMEOUT_S:g} s") from None
        finally:
            self._pending.pop(number, None)

    async def close(self) -> None:
        """Stops the process."""
        self._supervisor.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._supervisor

    async def _supervise(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                cause = await self._run_once()
            finally:
                self._clean_up()
            if self.starts == 0 and cause:
                self.failed.set_result(cause)  # it never ran: another start would fail in the same way
                return
            LOG.warning("%s; restarting it", cause)
            lasted_s = time.monotonic() - began
            failures = 0 if lasted_s > RESTART_DELAYS_S[-1] else min(failures + 1, len(RESTART_DELAYS_S) - 1)
            await asyncio.sleep(RESTART_DELAYS_S[failures])

    async def _run_once(self) -> str:
        """Starts the process and reads its messages until it ends; returns why it ended."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "experiments.server.worker", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                [*command, json.dumps(asdict(self._settings))],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=child_environment(self._settings.device) | SERIAL_COMPILER,
            )
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                head, payload = await _frame(reader)
            if head.kind == protocol.FATAL:
                return payload.decode(errors="replace")
            self.buckets = json.loads(payload)
            self.starts += 1
            self.ready.set()
            if self.starts > 1:
                LOG.warning("the inference process is ready again")
            while True:
                self._complete(*await _frame(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            return f"the inference process ended with code {await asyncio.to_thread(self._process.wait)}"
        except TimeoutError:
            return f"the inference process was not ready within {START_TIMEOUT_S:g} s"

    def _complete(self, head: protocol.FrameHeader, payload: bytes) -> None:
        """Hands the result or error of a batch to its waiting `run`."""
        waiting = self._pending.get(head.number)
        if waiting is None or waiting.done():
            return
        if head.kind == protocol.FAILED:
            waiting.set_exception(BatchFailed(payload.decode(errors="replace")))
            return
        logits = np.frombuffer(payload, "<f4", offset=protocol.SECONDS.size).reshape(head.rows, self._classes)
        waiting.set_result(ComputedBatch(logits, protocol.SECONDS.unpack_from(payload)[0]))

    def _clean_up(self) -> None:
        """Kills the process and fails every pending batch."""
        self.ready.clear()
        self._kill()
        if self._process:
            self._process.wait()
        if self._writer:
            self._writer.close()
        self._process = self._writer = None
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(EngineUnavailable("the inference process died"))
        self.on_down()

    def _kill(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()


async def _frame(reader: asyncio.StreamReader) -> tuple[protocol.FrameHeader, bytes]:
    head = protocol.parse(await reader.readexactly(protocol.HEADER.size))
    return head, await reader.readexactly(head.size)
