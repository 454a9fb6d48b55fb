"""Dynamic batching: requests wait in a bounded queue and are computed together."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from experiments.bench.arrays import Array
from experiments.server.metrics import Metrics
from experiments.server.process import BatchFailed, ComputedBatch, EngineUnavailable
from experiments.server.settings import BatchingPolicy


class InferenceEngine(Protocol):
    """What the batcher needs of an inference process."""

    ready: asyncio.Event

    async def run(self, parts: Sequence[Array]) -> ComputedBatch:
        """The logits of all parts together."""


class QueueFull(Exception):
    """As many requests as allowed are waiting."""


@dataclass(frozen=True)
class Prediction:
    """The logits of one request, and where its time went (seconds).

    `queued_s` waited for the engine to finish the batch before, `gathering_s` for others to join although the engine
    was idle, `computing_s` in the engine; `handed_s` between the two processes.
    """

    logits: Array
    batch: int
    queued_s: float
    gathering_s: float
    handed_s: float
    computing_s: float


@dataclass(eq=False, slots=True)
class QueuedRequest:
    """A request in the queue."""

    rows: Array
    arrived: float
    answer: "asyncio.Future[Prediction]"


class Batcher:
    """Gathers what waits into batches by `policy` and has them computed, one batch after the other."""

    def __init__(self, engine: InferenceEngine, policy: BatchingPolicy, metrics: Metrics) -> None:
        self._engine, self._policy, self._metrics = engine, policy, metrics
        self._loop = asyncio.get_running_loop()
        self._queue: deque[QueuedRequest] = deque()
        self._rows = 0
        self._some, self._full = asyncio.Event(), asyncio.Event()
        self._idle_since = self._loop.time()
        self._task = asyncio.create_task(self._work())

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    async def submit(self, rows: Array) -> Prediction:
        """The answer to one request. Raises QueueFull, EngineUnavailable or BatchFailed; a cancelled one is skipped."""
        if not self._engine.ready.is_set():
            raise EngineUnavailable("the inference process is starting")
        if len(self._queue) >= self._policy.queue:
            raise QueueFull(f"{len(self._queue)} requests are waiting")
        waiting = QueuedRequest(rows, self._loop.time(), self._loop.create_future())
        self._queue.append(waiting)
        self._rows += len(rows)
        self._some.set()
        if self._rows >= self._policy.max_batch:
            self._full.set()
        return await waiting.answer

    def fail_all(self) -> None:
        """Gives every request that waits an error: there is nobody to compute it."""
        for waiting in self._queue:
            if not waiting.answer.done():
                waiting.answer.set_exception(EngineUnavailable("the inference process died"))
        self._queue.clear()
        self._rows = 0

    async def close(self) -> None:
        """Ends the work; who still waits gets an error."""
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
        """Returns when a whole batch waits, or its first request has waited long enough."""
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
        """The next batch off the queue, without those that nobody waits for any more."""
        batch: list[QueuedRequest] = []
        room = self._policy.max_batch
        while self._queue and len(self._queue[0].rows) <= room:
            waiting = self._queue.popleft()
            self._rows -= len(waiting.rows)
            if not waiting.answer.done():
                batch.append(waiting)
                room -= len(waiting.rows)
        return batch

    async def _compute(self, batch: list[QueuedRequest]) -> None:
        began, rows = self._loop.time(), sum(len(one.rows) for one in batch)
        try:
            computed = await self._engine.run([one.rows for one in batch])
        except (EngineUnavailable, BatchFailed) as error:
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(type(error)(str(error)))
            return
        took = self._loop.time() - began
        self._metrics.batch(rows, took)
        start = 0
        for waiting in batch:
            logits = computed.logits[start : start + len(waiting.rows)]
            start += len(waiting.rows)
            if not waiting.answer.done():
                queued = max(0.0, self._idle_since - waiting.arrived)
                gathering = began - waiting.arrived - queued
                handed = max(0.0, took - computed.seconds)
                waiting.answer.set_result(Prediction(logits, rows, queued, gathering, handed, computed.seconds))
