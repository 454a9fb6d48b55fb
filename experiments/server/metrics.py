"""What the server counts, in Prometheus' text form."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCIES_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counters of one server, with a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("tinylab_requests", "Answered requests", ["status"], registry=self._registry)
        self._latency = self._histogram("request_seconds", "From a whole request to its answer", LATENCIES_S)
        self._batch = self._histogram("batch_rows", "Rows computed together", BATCHES)
        self._compute = self._histogram("batch_seconds", "From handing a batch over to its logits", LATENCIES_S)

    def _histogram(self, name: str, what: str, bounds: tuple[float, ...]) -> Histogram:
        return Histogram(f"tinylab_{name}", what, buckets=bounds, registry=self._registry)

    def watch(self, name: str, what: str, read: Callable[[], float]) -> None:
        """A gauge whose value is read when it is asked for."""
        Gauge(f"tinylab_{name}", what, registry=self._registry).set_function(read)

    def request(self, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(status).inc()
        self._latency.observe(seconds)

    def batch(self, rows: int, seconds: float) -> None:
        """One batch was computed."""
        self._batch.observe(rows)
        self._compute.observe(seconds)

    def text(self) -> bytes:
        """Everything, in the exposition format."""
        return generate_latest(self._registry)
