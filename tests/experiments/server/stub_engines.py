"""Engines that need no compiler, for servers under test: they compute with numpy, slowly or with a stall."""

import time
from pathlib import Path

import numpy as np

from experiments.models.format.packed import unpack
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.server.runner import buckets

STALL_S, STALLS_AT, SLOW_S = 0.2, 100, 0.4


class Numpy:
    """The packed model's logits by numpy, for one batch size."""

    path, why = "numpy", ""

    def __init__(self, model, batch):
        self.batch = batch
        self.input = np.zeros((batch, int(np.prod(model.network.image))), np.float32)
        self.run = lambda: logits_numpy(model, self.input)


def numpy_engine(inference):
    model = unpack(Path(inference.model).read_bytes())
    return [Numpy(model, size) for size in buckets(inference.max_batch)]


def slow_engine(inference):
    """Every batch takes a while."""

    def slowly(run):
        def slow():
            time.sleep(SLOW_S)
            return run()

        return slow

    made = numpy_engine(inference)
    for one in made:
        one.run = slowly(one.run)
    return made


def stalling_engine(inference):
    """One batch takes long, once."""
    runs = iter(range(10**9))

    def stalling(run):
        def stall():
            if next(runs) == STALLS_AT:
                time.sleep(STALL_S)
            return run()

        return stall

    made = numpy_engine(inference)
    for one in made:
        one.run = stalling(one.run)
    return made


def broken_engine(inference):
    """Cannot start."""
    raise RuntimeError("no such device\nand more")
