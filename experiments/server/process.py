"""The server's end of the inference process: starts it, hands it batches, and starts it again when it dies."""

import asyncio
import contextlib
import json
import logging
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.machine.toolchain import child_environment
from experiments.server import frames
from experiments.server.settings import InferenceSettings

SECONDS = struct.Struct("<d")
IN_THIS_PROCESS = {"PARALLEL": "0"}  # tinygrad's pool of compiling processes would stay, and outlive a kill
START_S = 600.0  # compiling everything for a new machine takes minutes at most
HANG_S = 30.0  # a batch that takes longer is taken for a hanging driver
LOG = logging.getLogger(__name__)
PAUSES_S = (0.05, 0.5, 2.0, 10.0)  # before the next start, longer while starts fail


class EngineUnavailable(Exception):
    """There is no inference process, or it died over this batch."""


class BatchFailed(Exception):
    """The engine raised over this batch; it goes on."""


@dataclass(frozen=True)
class ComputedBatch:
    """The logits of a batch, and the seconds that the engine computed."""

    logits: Array
    seconds: float


class InferenceProcess:
    """One inference process at a time, supervised. `on_down` is called whenever it has ended."""

    def __init__(self, inference: InferenceSettings, classes: int, on_down: Callable[[], None] = lambda: None) -> None:
        self._inference, self._classes, self.on_down = inference, classes, on_down
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
        """The inference process that runs now."""
        return self._process.pid if self._process else None

    async def run(self, parts: Sequence[Array]) -> ComputedBatch:
        """The logits of all rows of `parts` together, in their order. Raises EngineUnavailable or BatchFailed."""
        if not self.ready.is_set() or self._writer is None:
            raise EngineUnavailable("the inference process is starting")
        self._number = (self._number + 1) % 2**32
        number, rows = self._number, sum(len(part) for part in parts)
        answer = self._pending[number] = asyncio.get_running_loop().create_future()
        head = frames.header(frames.BATCH, sum(part.nbytes for part in parts), number, rows)
        self._writer.write(b"".join([head, *(part.tobytes() for part in parts)]))
        try:
            async with asyncio.timeout(HANG_S):
                computed: ComputedBatch = await answer
                return computed
        except TimeoutError:
            self._kill()
            raise EngineUnavailable(f"the inference process did not answer within {HANG_S:g} s") from None
        finally:
            self._pending.pop(number, None)

    async def close(self) -> None:
        """Ends the process."""
        self._supervisor.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._supervisor

    async def _supervise(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                cause = await self._one_life()
            finally:
                self._end()
            if self.starts == 0 and cause:
                self.failed.set_result(cause)  # it never ran: a second start would say the same
                return
            LOG.warning("%s; another one starts", cause)
            failures = 0 if time.monotonic() - began > PAUSES_S[-1] else min(failures + 1, len(PAUSES_S) - 1)
            await asyncio.sleep(PAUSES_S[failures])

    async def _one_life(self) -> str:
        """Starts the process and reads its answers until it ends; why it could not start, if it could not."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "experiments.server.worker", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                [*command, json.dumps(asdict(self._inference))],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=child_environment(self._inference.device) | IN_THIS_PROCESS,
            )
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        try:
            async with asyncio.timeout(START_S):
                head, payload = await _frame(reader)
            if head.kind == frames.FATAL:
                return payload.decode(errors="replace")
            self.buckets = json.loads(payload)
            self.starts += 1
            self.ready.set()
            if self.starts > 1:
                LOG.warning("the inference process is ready again")
            while True:
                self._answer(*await _frame(reader))
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return f"the inference process ended with code {await asyncio.to_thread(self._process.wait)}"
        except TimeoutError:
            return f"the inference process was not ready within {START_S:g} s"

    def _answer(self, head: frames.Header, payload: bytes) -> None:
        waiting = self._pending.get(head.number)
        if waiting is None or waiting.done():
            return
        if head.kind == frames.FAILED:
            waiting.set_exception(BatchFailed(payload.decode(errors="replace")))
            return
        logits = np.frombuffer(payload, "<f4", offset=SECONDS.size).reshape(head.rows, self._classes)
        waiting.set_result(ComputedBatch(logits, SECONDS.unpack_from(payload)[0]))

    def _end(self) -> None:
        """No process any more: whoever waits for it hears so."""
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


async def _frame(reader: asyncio.StreamReader) -> tuple[frames.Header, bytes]:
    head = frames.parse(await reader.readexactly(frames.HEADER.size))
    return head, await reader.readexactly(head.size)
