"""What can be set of a server."""

from dataclasses import dataclass

MAX_BATCH, MAX_QUEUE, MAX_WAIT_MS = 1024, 100_000, 1000.0
TINYGRAD = "experiments.server.engines:tinygrad_engine"


@dataclass(frozen=True)
class BatchingPolicy:
    """How requests become batches.

    A batch holds up to `max_batch` rows. Its first request waits at most `max_wait_ms` for others; 0 drains what is
    queued and waits for nobody. Beyond `queue` waiting requests new ones are refused. A request that has no answer
    after `deadline_ms` gets an error.
    """

    max_batch: int = 32
    max_wait_ms: float = 2.0
    queue: int = 512
    deadline_ms: float = 5000.0


@dataclass(frozen=True)
class InferenceSettings:
    """How the inference process computes: the packed model's file, the device, the path (fast or plain).

    `engine` names the function that makes an engine out of the model, so that another one can stand in its place.
    """

    model: str
    device: str = "CPU"
    path: str = "fast"
    max_batch: int = 32
    engine: str = TINYGRAD
