"""Engines for servers under test that need no compiler: numpy, at once, slowly or with a stall."""

import time
from pathlib import Path

import numpy as np

from experiments.models.format.packed import unpack
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.server.runner import buckets

STALL_S, STALLS_AT, SLOW_S = 0.2, 100, 0.4


class NumpyRunner:
    """The packed model's logits by numpy, for one batch size."""

    path, why = "numpy", ""

    def __init__(self, model, batch):
        self.batch = batch
        self.input = np.zeros((batch, int(np.prod(model.network.image))), np.float32)
        self.run = lambda: logits_numpy(model, self.input)


def numpy_engine(settings):
    model = unpack(Path(settings.model).read_bytes())
    return [NumpyRunner(model, size) for size in buckets(settings.max_batch)]


def slow_engine(settings):
    """Every batch takes SLOW_S longer."""

    def slowly(run):
        def slow():
            time.sleep(SLOW_S)
            return run()

        return slow

    runners = numpy_engine(settings)
    for runner in runners:
        runner.run = slowly(runner.run)
    return runners


def stalling_engine(settings):
    """One batch takes STALL_S longer."""
    runs = iter(range(10**9))

    def stalling(run):
        def stall():
            if next(runs) == STALLS_AT:
                time.sleep(STALL_S)
            return run()

        return stall

    runners = numpy_engine(settings)
    for runner in runners:
        runner.run = stalling(runner.run)
    return runners


def broken_engine(settings):
    """Cannot start."""
    raise RuntimeError("no such device\nand more")
