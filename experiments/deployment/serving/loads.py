"""Loads on a server: how requests arrive, what is recorded of each, and the search for the highest rate."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from experiments.bench.arrays import Array

Arrival = Literal["single", "closed", "open", "offline"]
MAX_CONNECTIONS = 256  # further requests wait at the client, which counts as latency
GROWTH, MIN_RATE, RESOLUTION = 2.0, 5.0, 1.15

RECORD = np.dtype(
    [
        ("scheduled_s", "f8"),
        ("sent_s", "f8"),
        ("finished_s", "f8"),
        ("status", "i4"),
        ("rows", "i4"),
        ("batch", "i4"),
        ("queue_ms", "f8"),
        ("gather_ms", "f8"),
        ("handover_ms", "f8"),
        ("compute_ms", "f8"),
        ("error", "f8"),
    ]
)
"""One request: times since the start of the load (NaN if missing), HTTP status (0: no answer), the parts of the latency
that the server reports, and the largest difference of its logits from the expected ones (`error`)."""


@dataclass(frozen=True)
class LoadPlan:
    """One load on the server at `port`.

    `closed` (and `single`, with one client): each client sends its next request when the last one is answered.
    `open`: requests arrive as a Poisson process of `rate_per_s`, independent of the answers; their number is fixed,
    so their times are uniform. `offline`: all `requests` are available at the start and are sent as fast as possible.
    All but `offline` last `seconds`. Each request contains `rows` of the payload's images.
    """

    port: int
    arrival: Arrival
    clients: int = 1
    rate_per_s: float = 0.0
    seconds: float = 1.0
    requests: int = 0
    rows: int = 1
    seed: int = 0
    timeout_s: float = 10.0

    def schedule(self) -> Array:
        """The scheduled arrivals of an open or offline load, in seconds since the start."""
        if self.arrival == "offline":
            return np.zeros(self.requests)
        count = max(1, round(self.rate_per_s * self.seconds))
        return np.sort(np.random.default_rng(self.seed).uniform(0, self.seconds, count))


def highest_rate(meets: Callable[[float], bool], start: float, trials: int) -> float | None:
    """The highest tried rate for which `meets` is true; None if there is none.

    The rate is doubled from `start` until a trial fails, or halved until one succeeds. Then the interval between the
    highest success and the lowest failure is bisected on a logarithmic scale until it is below 15%, with at most
    `trials` trials. MLPerf's Server scenario searches in the same way.
    """
    met: float | None = None
    missed: float | None = None
    rate = max(start, MIN_RATE)
    for _ in range(trials):
        if meets(rate):
            met = rate
        else:
            missed = rate
        if met and missed and missed / met <= RESOLUTION:
            break
        if met is None and rate <= MIN_RATE:
            break
        rate = _next(met, missed)
    return met


def _next(met: float | None, missed: float | None) -> float:
    """The next rate to try, rounded to three digits."""
    if met and missed:
        return float(f"{math.sqrt(met * missed):.3g}")
    return met * GROWTH if met else max((missed or MIN_RATE) / GROWTH, MIN_RATE)
