"""What a load generator is to do: how requests arrive, for how long, and at which address."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from experiments.bench.arrays import Array

Arrival = Literal["single", "closed", "open", "offline"]
MAX_CONNECTIONS = 256  # beyond them a request waits at the client, as in any pool; the clock runs

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
"""One request: times since the start, NaN where there is none; status 0 is no answer; `error` is the largest
difference of its logits from the expected ones; the server's own account of its time in between."""


@dataclass(frozen=True)
class LoadPlan:
    """One load on the server at `port`.

    `closed` (and `single`, with one client): each client sends its next request when the last one is answered.
    `open`: requests arrive as a Poisson process, whether or not the earlier ones are answered; as many as `rate_per_s`
    says, at times that are then uniform.
    `offline`: `requests` of them wait at the start and are sent as fast as the clients can. The first two last
    `seconds`. Each request carries `rows` of the payload's images.
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
        """The scheduled arrivals in seconds since the start, of an open or offline load."""
        if self.arrival == "offline":
            return np.zeros(self.requests)
        count = max(1, round(self.rate_per_s * self.seconds))
        return np.sort(np.random.default_rng(self.seed).uniform(0, self.seconds, count))
