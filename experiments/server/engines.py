"""Engines of the inference process: functions from InferenceSettings to one BatchRunner per compiled batch size."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from experiments.bench.arrays import Array
from experiments.server.protocol import InferenceSettings

LANES = 16  # interleaved partial sums of a float sum, which let the C compiler vectorize it
MAX_LANED_BATCH = 4  # larger batches vectorize over rows; lanes only cost there
TIMED_RUNS = 20


class BatchRunner(Protocol):
    """Computes `batch` rows at once: write them into `input`, call `run` for the logits, shape (batch, classes).

    `path` names how; `why` is the reason if it is not the fast path.
    """

    batch: int
    input: Array
    run: Callable[[], Array]
    path: str
    why: str


def tinygrad_engine(settings: InferenceSettings) -> Sequence[BatchRunner]:
    """Every batch size compiled by tinygrad, smallest first, in the form that is fastest on this machine."""
    from experiments.models.format.packed import unpack
    from experiments.models.techniques.quantization.tinygrad_backend import build_forward
    from experiments.server.runner import TinygradRunner, buckets

    model, device = unpack(Path(settings.model).read_bytes()), settings.device
    pixels = int(np.prod(model.network.image))
    integers = model.spec.scheme in ("static", "dynamic")

    @functools.cache
    def forward(lanes: int) -> Callable[[Any], Any]:
        return build_forward(model, device, lanes)  # cached: all batch sizes share its weights

    def fastest(batch: int) -> BatchRunner:
        """The runner of one batch size; small float batches are compiled with and without lanes."""
        candidates = [1] if integers or batch > MAX_LANED_BATCH or device != "CPU" else [1, LANES]
        fast = settings.path == "fast"
        runners: list[BatchRunner] = [
            TinygradRunner(forward(lanes), batch, pixels, device, fast) for lanes in candidates
        ]
        return min(runners, key=_shortest_s) if len(runners) > 1 else runners[0]

    return [fastest(size) for size in buckets(settings.max_batch)]


def _shortest_s(runner: BatchRunner) -> float:
    times = []
    for _ in range(TIMED_RUNS):
        began = time.perf_counter()
        runner.run()
        times.append(time.perf_counter() - began)
    return min(times)


def descriptions(runners: Sequence[BatchRunner]) -> list[Mapping[str, str | int]]:
    """How each batch size is computed, as JSON values."""
    return [{"batch": runner.batch, "path": runner.path, "why": runner.why} for runner in runners]
