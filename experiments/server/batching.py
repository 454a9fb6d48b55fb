"""Dynamic batching: requests wait in a bounded queue and are computed together."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from experiments.bench.arrays import Array
from experiments.server.metrics import Metrics
from experiments.server.options import BatchingPolicy
from experiments.server.process import BatchFailed, ComputedBatch, EngineUnavailable


class InferenceEngine(Protocol):
    """What the batcher requires of an inference process."""

    ready: asyncio.Event

    async def run(self, parts: Sequence[Array]) -> ComputedBatch:
        """The logits of all parts, computed together."""


class QueueFull(Exception):
    """The queue holds as many requests as it may."""


@dataclass(frozen=True)
class Prediction:
    """The logits of one request, and how its latency splits up (seconds).

    `queued_s`: waiting for the engine to finish the previous batch; `gathering_s`: batch formation delay, waiting for
    others although the engine was idle; `handed_s`: IPC; `computing_s`: in the engine.
    """

    logits: Array
    batch: int
    queued_s: float
    gathering_s: float
    handed_s: float
    computing_s: float


@dataclass(eq=False, slots=True)
class QueuedRequest:
    """A waiting request."""

    rows: Array
    arrived: float
    answer: "asyncio.Future[Prediction]"


class Batcher:
    """Forms batches of the waiting requests by `policy` and computes them, one after the other."""

    def __init__(self, engine: InferenceEngine, policy: BatchingPolicy, metrics: Metrics) -> None:
        self._engine, self._policy, self._metrics = engine, policy, metrics
        self._loop = asyncio.get_running_loop()
        self._queue: deque[QueuedRequest] = deque()
        self._rows = 0
        self._some, self._full = asyncio.Event(), asyncio.Event()
        self._idle_since = self._loop.time()
        self._task = asyncio.create_task(self._work())

    def __len__(self) -> int:
        """The number of waiting requests."""
        return len(self._queue)

    async def submit(self, rows: Array) -> Prediction:
        """The answer to one request. Raises QueueFull, EngineUnavailable or BatchFailed.

        A request that is cancelled while it waits is not computed.
        """
        if not self._engine.ready.is_set():
            raise EngineUnavailable("the inference process is starting")
        if len(self._queue) >= self._policy.queue:
            raise QueueFull(f"the queue is full: {len(self._queue)} requests are waiting")
        request = QueuedRequest(rows, self._loop.time(), self._loop.create_future())
        self._queue.append(request)
        self._rows += len(rows)
        self._some.set()
        if self._rows >= self._policy.max_batch:
            self._full.set()
        return await request.answer

    def fail_all(self) -> None:
        """Fails every waiting request: there is no inference process."""
        _fail(self._queue, EngineUnavailable("the inference process died"))
        self._queue.clear()
        self._rows = 0

    async def close(self) -> None:
        """Stops batching; waiting requests fail."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self.fail_all()

    async def _work(self) -> None:
        while True:
            await self._some.wait()
            await self._gather()
            batch = self._take()
            if batch:
                await self._compute(batch)
                self._idle_since = self._loop.time()
            if not self._queue:
                self._some.clear()

    async def _gather(self) -> None:
        """Returns when a full batch waits or the first request has waited for `max_wait_ms`."""
        if not self._queue:
            return
        left = self._queue[0].arrived + self._policy.max_wait_ms / 1e3 - self._loop.time()
        if left <= 0 or self._rows >= self._policy.max_batch:
            return
        self._full.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._full.wait()

    def _take(self) -> list[QueuedRequest]:
        """Takes the next batch off the queue, without cancelled requests."""
        batch: list[QueuedRequest] = []
        room = self._policy.max_batch
        while self._queue and len(self._queue[0].rows) <= room:
            request = self._queue.popleft()
            self._rows -= len(request.rows)
            if not request.answer.done():
                batch.append(request)
                room -= len(request.rows)
        return batch

    async def _compute(self, batch: list[QueuedRequest]) -> None:
        began, rows = self._loop.time(), sum(len(request.rows) for request in batch)
        try:
            computed = await self._engine.run([request.rows for request in batch])
        except (EngineUnavailable, BatchFailed) as error:
            _fail(batch, error)
            return
        took = self._loop.time() - began
        self._metrics.batch(rows, took)
        start = 0
        for request in batch:
            logits = computed.logits[start : start + len(request.rows)]
            start += len(request.rows)
            if not request.answer.done():
                queued = max(0.0, self._idle_since - request.arrived)
                gathering = began - request.arrived - queued
                handed = max(0.0, took - computed.seconds)
                request.answer.set_result(Prediction(logits, rows, queued, gathering, handed, computed.seconds))


def _fail(requests: deque[QueuedRequest] | list[QueuedRequest], error: Exception) -> None:
    for request in requests:
        if not request.answer.done():
            request.answer.set_exception(type(error)(str(error)))  # each its own: a raised error keeps its traceback
