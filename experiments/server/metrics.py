"""Metrics of the server in Prometheus' text format."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCIES_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one server, in their own registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("tinylab_requests", "Answered requests", ["status"], registry=self._registry)
        self._latency = self._histogram("request_seconds", "From the request's headers to its answer", LATENCIES_S)
        self._batch = self._histogram("batch_rows", "Rows per batch", BATCHES)
        self._compute = self._histogram("batch_seconds", "From sending a batch to receiving its logits", LATENCIES_S)

    def _histogram(self, name: str, text: str, bounds: tuple[float, ...]) -> Histogram:
        return Histogram(f"tinylab_{name}", text, buckets=bounds, registry=self._registry)

    def add_gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Adds a gauge whose value `read` returns at each scrape."""
        Gauge(f"tinylab_{name}", text, registry=self._registry).set_function(read)

    def request(self, status: int, seconds: float) -> None:
        """Records one answered request."""
        self._requests.labels(status).inc()
        self._latency.observe(seconds)

    def batch(self, rows: int, seconds: float) -> None:
        """Records one computed batch."""
        self._batch.observe(rows)
        self._compute.observe(seconds)

    def text(self) -> bytes:
        """All metrics in the exposition format."""
        return generate_latest(self._registry)
