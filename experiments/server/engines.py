"""Engines: what the inference process computes with. An engine is one runner for each batch size that it compiles."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from experiments.bench.arrays import Array
from experiments.server.settings import InferenceSettings

LANES = 16  # partial sums side by side: what lets the C compiler use vectors in a float sum
LANED_BATCH = 4  # beyond it several rows side by side do the same, and lanes only cost
TIMED_RUNS = 20


class BatchRunner(Protocol):
    """Computes `batch` rows at once: write them into `input`, call `run` for the logits, shaped (batch, classes)."""

    batch: int
    input: Array
    run: Callable[[], Array]
    path: str
    why: str


def tinygrad_engine(inference: InferenceSettings) -> Sequence[BatchRunner]:
    """Every bucket compiled by tinygrad, smallest first, each in the form that was the fastest here and now."""
    from experiments.models.format.packed import unpack
    from experiments.models.techniques.quantization.tinygrad_backend import build_forward
    from experiments.server.runner import TinygradRunner, buckets

    model, device = unpack(Path(inference.model).read_bytes()), inference.device
    pixels = int(np.prod(model.network.image))
    integers = model.spec.scheme in ("static", "dynamic")

    @functools.cache
    def forward(lanes: int) -> Callable[[Any], Any]:
        return build_forward(model, device, lanes)  # once for all buckets, which share its weights

    def fastest(batch: int) -> BatchRunner:
        """Small float batches are tried with and without lanes."""
        tried = [1] if integers or batch > LANED_BATCH or device != "CPU" else [1, LANES]
        made: list[BatchRunner] = [
            TinygradRunner(forward(one), batch, pixels, device, inference.path == "fast") for one in tried
        ]
        return min(made, key=_shortest_s) if len(made) > 1 else made[0]

    return [fastest(size) for size in buckets(inference.max_batch)]


def _shortest_s(runner: BatchRunner) -> float:
    times = []
    for _ in range(TIMED_RUNS):
        began = time.perf_counter()
        runner.run()
        times.append(time.perf_counter() - began)
    return min(times)


def described(runners: Sequence[BatchRunner]) -> list[Mapping[str, str | int]]:
    """How each bucket is computed, and why not on the fast path where it is not."""
    return [{"batch": one.batch, "path": one.path, "why": one.why} for one in runners]
