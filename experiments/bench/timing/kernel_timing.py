"""Paired, interleaved times of kernels on the device: a call without its launches."""

import math
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.bench.timing.measure import (
    CONTROL,
    MIN_SAMPLE_S,
    Budget,
    Comparison,
    Redraw,
    Timing,
    interleave,
    settle,
)
from experiments.bench.tinygrad.capture import replay
from experiments.bench.tinygrad.runtime import synchronizer

MAX_REPLAYS = 20  # per sample: a replay has an overhead that is not measured


def compare_kernels(
    device: str,
    captured: Mapping[str, tuple[Any, Sequence[Any]]],
    baseline: str,
    budget: Budget,
    rng: random.Random,
    redraw: Redraw,
) -> Comparison:
    """Seconds of all kernels of one replay of each captured TinyJit, launched one by one; blocks in random order.

    A sample is the sum over the kernels of their medians over enough replays for 1 ms, at most 20, in fresh memory.
    """
    synchronize = synchronizer(device)

    def kernel_s(name: str, rounds: int) -> float:
        jit, inputs = captured[name]
        return sum(one.kernel_s for one in replay(jit, inputs, synchronize, rounds))

    inner = {
        name: max(1, min(MAX_REPLAYS, math.ceil(MIN_SAMPLE_S / max(kernel_s(name, 3), 1e-7)))) for name in captured
    }

    timings = {name: Timing(inner[name], redrawn=True) for name in captured}

    def sample(name: str) -> float:
        timings[name].redrawn &= redraw(name)
        settle(lambda: kernel_s(name, 1), synchronize, time.perf_counter)
        return kernel_s(name, inner[name])

    samples = interleave(list(captured), baseline, sample, budget, rng)
    for name, timing in timings.items():
        timing.blocks = samples[name]
    return Comparison(baseline, timings, Timing(inner[baseline], samples[CONTROL]))
