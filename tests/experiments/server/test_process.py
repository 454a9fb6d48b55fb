"""The supervisor of the inference process."""

import asyncio
import os
import signal

import pytest

from experiments.server.process import EngineUnavailable, InferenceProcess
from experiments.server.protocol import InferenceSettings
from tests.experiments.server.conftest import STUBS


def test_a_batch_written_to_a_process_that_just_died_fails_and_the_process_is_restarted(served):
    async def check():
        settings = InferenceSettings(str(served.model), max_batch=4, engine=f"{STUBS}:numpy_engine")
        engine = InferenceProcess(settings, classes=10)
        try:
            async with asyncio.timeout(30):
                await engine.ready.wait()
                first = engine.pid
                os.kill(first, signal.SIGKILL)
                os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)  # before the event loop can see that it died
                with pytest.raises(EngineUnavailable, match="died"):
                    await engine.run([served.images[:1]])  # its socket is closed: EPIPE, not an end of file
                await engine.ready.wait()
                assert engine.pid != first
                assert (await engine.run([served.images[:1]])).logits == pytest.approx(served.logits[:1], abs=1e-4)
        finally:
            await engine.close()

    asyncio.run(check())
