"""The fields of the serving experiment, and the servers that they describe."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from experiments.bench.spec import Spec

PARTS = {
    "queue_ms": "waiting for the engine to finish the previous batch",
    "gather_ms": "batch formation delay: waiting for other requests while the engine is idle",
    "handover_ms": "IPC between the HTTP process and the inference process",
    "compute_ms": "computing in the engine",
    "transport_ms": "everything else: HTTP, loopback and the event loops of both ends",
    "unsent_ms": "client-side delay: from the scheduled arrival until the generator sends the request",
}


@dataclass(frozen=True)
class ServingVariant:
    """One server: its batching policy, and the path of a batch through tinygrad."""

    max_batch: int
    max_wait_ms: float
    path: Literal["fast", "plain"]

    @property
    def policy(self) -> str:
        """The policy as text."""
        if self.max_batch == 1:
            return "no batching"
        return f"batch {self.max_batch}, " + (f"wait {self.max_wait_ms:g} ms" if self.max_wait_ms else "drain")

    @property
    def name(self) -> str:
        """The policy, and the path if it is not the fast one."""
        return self.policy if self.path == "fast" else f"{self.policy}, plain path"


class ServingSpec(Spec):
    """A model, the batching policies to compare, and the loads."""

    network: Literal["mlp", "lenet_300_100", "cnn", "lenet_5"] = Field(
        "mlp", title="Network", description="network with a bundled checkpoint, trained on MNIST"
    )
    scheme: Literal["float32", "float16", "static", "weight_only"] = Field(
        "float32", title="Stored as", description="quantization of the served model; static uses integer arithmetic"
    )
    max_batch: list[Annotated[int, Field(ge=1, le=256)]] = Field(
        [1, 32],
        min_length=1,
        max_length=8,
        title="Largest batch",
        description="rows per batch; 1 is no batching",
    )
    max_wait_ms: list[Annotated[float, Field(ge=0, le=100)]] = Field(
        [0.0, 2.0],
        min_length=1,
        max_length=4,
        title="Longest wait [ms]",
        description="longest wait of a request for others to join its batch; 0 batches what is queued",
    )
    plain: bool = Field(
        True,
        title="Also the plain path",
        description="the last policy once more, except for open loads, with ordinary tensors instead of direct access "
        "to the captured buffers",
    )
    arrival: list[Literal["single", "closed", "open", "offline", "search"]] = Field(
        ["single", "closed", "open", "offline", "search"],
        min_length=1,
        max_length=5,
        title="Arrivals",
        description="single: one client, one request at a time; closed: each client sends when it is answered; "
        "open: Poisson at given rates; offline: all images at once; search: the highest rate within the SLO",
    )
    clients: list[Annotated[int, Field(ge=1, le=256)]] = Field(
        [32], min_length=1, max_length=8, title="Clients", description="number of clients of a closed load"
    )
    target_per_s: float = Field(
        50.0, ge=1, le=20_000, title="Expected rate [1/s]", description="rate that the recommendation is for"
    )
    rate_per_s: list[Annotated[float, Field(ge=1, le=20_000)]] = Field(
        [],
        max_length=12,
        title="Further rates [1/s]",
        description="rates of open loads, in addition to the expected rate",
    )
    objective_ms: float = Field(
        10.0,
        ge=0.1,
        le=10_000,
        title="Latency SLO [ms]",
        description="99% of the requests must be answered within it",
    )
    samples: int = Field(
        3200,
        ge=32,
        le=100_000,
        title="Offline images",
        description="images of an offline load, sent at once in requests of the largest batch",
    )
    queue: int = Field(
        128,
        ge=1,
        le=10_000,
        title="Queue",
        description="maximum number of waiting requests; further requests are rejected with status 503",
    )
    seconds: float = Field(
        1.0,
        ge=0.2,
        le=120,
        title="Seconds per load",
        description="duration of a load; up to three times as long at the expected rate",
    )

    @property
    def policies(self) -> list[ServingVariant]:
        """The servers to compare; the one with the plain path is last."""
        found = dict.fromkeys(
            ServingVariant(batch, wait if batch > 1 else 0.0, "fast")
            for batch in self.max_batch
            for wait in self.max_wait_ms
        )
        last = list(found)[-1]
        return [*found, *([ServingVariant(last.max_batch, last.max_wait_ms, "plain")] if self.plain else [])]
