"""How requests become batches, with an engine that records the sizes of its batches."""

import asyncio

import numpy as np
import pytest

from experiments.server.batching import Batcher, QueueFull
from experiments.server.metrics import Metrics
from experiments.server.options import BatchingPolicy
from experiments.server.process import BatchFailed, ComputedBatch, EngineUnavailable


class RecordingEngine:
    """Returns each row doubled once `go` is set; records the sizes of its batches."""

    def __init__(self):
        self.ready, self.go = asyncio.Event(), asyncio.Event()
        self.ready.set()
        self.go.set()
        self.batches = []
        self.error = None

    async def run(self, parts):
        self.batches.append(sum(len(part) for part in parts))
        await self.go.wait()
        if self.error:
            raise self.error
        return ComputedBatch(np.concatenate(parts) * 2, 0.0)


def row(value):
    return np.full((1, 2), value, np.float32)


def under(policy, check):
    """Runs `check(batcher, engine)` in a new event loop."""

    async def run():
        engine = RecordingEngine()
        batcher = Batcher(engine, policy, Metrics())
        try:
            await check(batcher, engine)
        finally:
            await batcher.close()

    asyncio.run(run())


async def started(*submissions):
    tasks = [asyncio.create_task(one) for one in submissions]
    await asyncio.sleep(0.01)
    return tasks


def test_requests_that_arrive_during_a_batch_form_the_next_one():
    async def check(batcher, engine):
        engine.go.clear()
        tasks = await started(*(batcher.submit(row(value)) for value in range(6)))
        engine.go.set()
        answers = await asyncio.gather(*tasks)
        assert [answer.logits[0, 0] for answer in answers] == [0, 2, 4, 6, 8, 10]
        assert engine.batches[0] <= 6
        assert sum(engine.batches) == 6

    under(BatchingPolicy(max_batch=8, max_wait_ms=0), check)


def test_no_batch_exceeds_the_largest_batch():
    async def check(batcher, engine):
        await asyncio.gather(*(batcher.submit(np.zeros((2, 2), np.float32)) for _ in range(9)))
        assert max(engine.batches) <= 5
        assert sum(engine.batches) == 18

    under(BatchingPolicy(max_batch=5, max_wait_ms=0), check)


def test_a_request_waits_for_others_and_a_full_batch_does_not_wait():
    async def check(batcher, engine):
        tasks = await started(batcher.submit(row(1)))
        assert engine.batches == []
        await asyncio.gather(*tasks, *(batcher.submit(row(1)) for _ in range(3)))
        assert engine.batches == [4]

    under(BatchingPolicy(max_batch=4, max_wait_ms=60_000), check)


def test_a_single_request_is_computed_after_the_longest_wait():
    async def check(batcher, engine):
        answer = await batcher.submit(row(1))
        assert engine.batches == [1]
        assert answer.gathering_s >= 0.018

    under(BatchingPolicy(max_batch=4, max_wait_ms=20), check)


def test_requests_beyond_the_queue_are_rejected():
    async def check(batcher, engine):
        engine.go.clear()
        tasks = await started(batcher.submit(row(1)))
        assert engine.batches == [1]
        tasks += await started(*(batcher.submit(row(1)) for _ in range(3)))
        with pytest.raises(QueueFull, match="3 requests are waiting"):
            await batcher.submit(row(1))
        engine.go.set()
        assert len(await asyncio.gather(*tasks)) == 4

    under(BatchingPolicy(max_batch=1, max_wait_ms=0, queue=3), check)


def test_a_cancelled_request_is_not_computed():
    async def check(batcher, engine):
        engine.go.clear()
        first, second, third = await started(*(batcher.submit(row(value)) for value in (1, 2, 3)))
        second.cancel()
        await asyncio.sleep(0)
        engine.go.set()
        await asyncio.gather(first, third)
        assert sum(engine.batches) == 2

    under(BatchingPolicy(max_batch=1, max_wait_ms=0), check)


@pytest.mark.parametrize("error", [EngineUnavailable("it died"), BatchFailed("it raised")])
def test_an_error_of_the_engine_reaches_every_request_of_the_batch_and_the_next_is_computed(error):
    async def check(batcher, engine):
        engine.error = error
        seen = await asyncio.gather(*(batcher.submit(row(1)) for _ in range(3)), return_exceptions=True)
        assert {type(one) for one in seen} == {type(error)}
        engine.error = None
        assert (await batcher.submit(row(2))).logits[0, 0] == 4

    under(BatchingPolicy(max_batch=4, max_wait_ms=0), check)


def test_when_the_engine_dies_waiting_requests_fail_and_new_ones_are_rejected():
    async def check(batcher, engine):
        engine.go.clear()
        tasks = await started(*(batcher.submit(row(1)) for _ in range(3)))
        engine.ready.clear()
        batcher.fail_all()
        with pytest.raises(EngineUnavailable, match="starting"):
            await batcher.submit(row(1))
        engine.go.set()
        seen = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in seen[1:]] == [EngineUnavailable, EngineUnavailable]
        assert len(batcher) == 0

    under(BatchingPolicy(max_batch=1, max_wait_ms=0), check)
