"""A model server under load: which batching policy to use, and where the time of a request goes."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.bench.challenge import Achievement, Challenge, rows_where
from experiments.bench.columns import Column
from experiments.bench.errors import BadInput
from experiments.bench.rows import Row
from experiments.bench.session import Bench, tolerance
from experiments.bench.spec import experiment
from experiments.deployment.serving.spec import PARTS, ServingSpec, ServingVariant

if TYPE_CHECKING:
    import pandas as pd

ATOL, RTOL = 1e-4, 1e-3  # logits over HTTP against numpy, relative to the largest logit
PAYLOAD_IMAGES = 1024


POINT = [
    Column("arrival", "text", "how requests arrive: single, closed, open or offline"),
    Column("clients", "integer", "number of clients of a closed load, of connections of an offline load"),
    Column("rate_per_s", "number", "scheduled arrivals of an open load"),
]


@experiment(
    section="Deployment",
    title="Serving under load",
    question="Which batching policy serves this rate within this latency SLO, and what is its highest rate?",
    compares="no batching, batching with and without waiting, fast and plain path",
    spec=ServingSpec,
    presets={
        "course": ServingSpec(max_batch=[32], max_wait_ms=[2], arrival=["single", "offline"], samples=320),
        "exercise": ServingSpec(
            max_batch=[1, 4, 16, 64],
            max_wait_ms=[2],
            arrival=["single", "closed", "offline", "search"],
            clients=[1, 4, 16, 64],
            plain=False,
        ),
        "hockey stick": ServingSpec(
            arrival=["open"], rate_per_s=[200, 500, 1000, 2000, 3000, 4000, 6000, 8000, 12_000], seconds=2, plain=False
        ),
        "quick": ServingSpec(
            max_batch=[1, 8],
            max_wait_ms=[0],
            arrival=["single", "closed", "open"],
            clients=[8],
            target_per_s=200,
            samples=64,
            seconds=0.4,
            plain=False,
        ),
    },
    columns=[
        Column("policy", "text", "how requests become batches"),
        Column("path", "text", "fast: captured buffers and kernels directly; plain: tensor, replay, read back"),
        Column("max_batch", "integer", "rows per batch at most"),
        Column("max_wait_ms", "number", "longest wait of a request for others"),
        *POINT,
        Column("objective_ms", "number", "latency SLO: 99% of the requests must be answered within it"),
        Column("requests", "integer", "number of requests sent"),
        Column("achieved_per_s", "number", "rows answered correctly per second"),
        Column("p50_ms", "number", "median latency, from the scheduled arrival to the complete answer"),
        Column("p50_lo_ms", "number", "lower end of the 95% interval of p50_ms, which assumes independent requests"),
        Column("p50_hi_ms", "number", "upper end of the 95% interval of p50_ms"),
        *("p95_ms", "p99_ms"),
        Column("worst_ms", "number", "latency of the slowest answer"),
        Column("mean_ms", "number", "mean latency, the sum of its parts"),
        Column("mean_batch", "number", "mean over requests of the rows in their batch"),
        *(Column(name, "number", f"part of mean_ms: {what}") for name, what in PARTS.items()),
        Column("errors", "integer", "requests with wrong logits, an error or no answer"),
        Column("rejected", "integer", "requests rejected with status 503: the queue was full"),
        Column("in_time", "number", "share of all requests that were answered correctly within the SLO"),
        Column("in_time_lo", "number", "lower end of the 95% Wilson interval of in_time"),
        Column("in_time_hi", "number", "upper end of the 95% interval of in_time"),
        Column("slo_met", "boolean", "whether at least 99% were answered within the SLO"),
        Column("highest", "boolean", "whether this is the highest rate of the search within the SLO"),
        Column("remark", "text", "percentiles for which there are too few answers"),
        "max_abs_error",
    ],
    grid=("arrival", "clients", "rate_per_s"),
    summary=(
        *("variant", "arrival", "clients", "rate_per_s", "achieved_per_s", "p50_ms", "p95_ms", "p99_ms"),
        *("mean_batch", "errors", "rejected", "slo_met"),
    ),
    details={
        "requests": [
            Column("variant", "text", "policy and path of the server"),
            *POINT,
            Column("arrived_ms", "number", "scheduled arrival since the start of the load"),
            Column("request_ms", "number", "latency; empty if there was no answer"),
            Column("in_flight", "integer", "requests in flight at its arrival"),
            Column("rows", "integer", "rows of its batch"),
            Column("status", "integer", "HTTP status; 0: no answer"),
        ],
        "distribution": [
            Column("variant", "text", "policy and path of the server"),
            *POINT,
            Column("share", "number", "share of the answers"),
            Column("request_ms", "number", "latency below which that share lies"),
        ],
        "paths": [
            Column("rows", "integer", "rows of the batch"),
            Column("path", "text", "fast or plain"),
            Column("part", "text", "the timed part"),
            Column("latency_ms", "number", "median latency"),
            Column("latency_lo_ms", "number", "lower end of the 95% interval of latency_ms"),
            Column("latency_hi_ms", "number", "upper end of the 95% interval of latency_ms"),
        ],
    },
    answer=lambda frame: answer(frame),
    challenge=Challenge(
        goal="Serve at least 500 requests per second, arriving at random (open), 99% of them within 20 ms.",
        question="Where does a request spend its time: in the queue, in computation, or in transport?",
        start="exercise",
        met=lambda frame: five_hundred(frame),
    ),
)
def serving(spec: ServingSpec, bench: Bench) -> Iterator[Row]:
    """Starts the real server once for each policy and sends it loads over loopback HTTP, in random order at each load.

    The server is what `python -m experiments serve` starts: HTTP in one process, inference in another. The load
    generator is a third process: it measures latency from the scheduled arrival, records every request and compares
    every answer with numpy. Percentiles need enough answers (p95 at least 20, p99 at least 100). A policy meets the
    SLO at a rate if at least 99% of all requests are answered correctly within it; rejected requests count as late.
    The parts of a latency are means of the times that the server reports with each answer. Disturbances affect
    neighboring requests together, so the true uncertainty is larger than the intervals over requests.
    Not measured: a network, TLS, several servers; server and generator share this machine's cores.
    Source: MLPerf Inference (scenarios), Tene (coordinated omission), Clipper (adaptive batching).
    """
    from experiments.deployment.serving.session import ServingSession
    from experiments.server import missing
    from experiments.server.launch import ServerProcess

    if package := missing():
        raise BadInput(f"the server needs {package}, which is not installed; `pip install {package}`")
    with tempfile.TemporaryDirectory(prefix="tinylab-serving-") as folder, ExitStack() as started:
        model, payload, limit = _prepare(spec, bench, Path(folder))
        servers = {}
        for variant in spec.policies:
            servers[variant] = ServerProcess(model, *_options(variant, spec.queue, bench.device))
            started.callback(servers[variant].stop)
        bench.progress(0.05, f"starting {len(servers)} servers")
        ports = {variant: server.wait() for variant, server in servers.items()}
        _paths(spec, bench, model)
        session = ServingSession(spec, bench, ports, payload, limit)
        session.warm()
        yield from session.measure()


def _options(variant: ServingVariant, queue: int, device: str) -> list[str]:
    options = {
        "--device": device,
        "--max-batch": variant.max_batch,
        "--max-wait-ms": variant.max_wait_ms,
        "--path": variant.path,
        "--queue": queue,
    }
    return [str(part) for pair in options.items() for part in pair]


def _prepare(spec: ServingSpec, bench: Bench, folder: Path) -> tuple[Path, Path, float]:
    """The files of the packed model and of the payload, and the tolerance of the logits."""
    import numpy as np

    from experiments.models.data.mnist import mnist
    from experiments.models.format.packed import unpack
    from experiments.models.recipe import Recipe
    from experiments.models.techniques.quantization.numpy_backend import logits_numpy
    from experiments.models.techniques.quantization.spec import QuantSpec
    from experiments.server.packed_model import packed

    bench.progress(0.0, f"{spec.network}: loading and packing")
    recipe = Recipe(spec.network, quant=QuantSpec(spec.scheme))
    model, payload = folder / "model.tinylab", folder / "payload.npz"
    model.write_bytes(
        packed(recipe, bench.device, lambda part, what, _: bench.progress(part / 20, f"training: {what}"))
    )
    images = mnist().test.images[:PAYLOAD_IMAGES]
    logits = logits_numpy(unpack(model.read_bytes()), images)
    np.savez(payload, images=images, logits=logits)
    return model, payload, tolerance(logits, ATOL, RTOL)


def _paths(spec: ServingSpec, bench: Bench, model: Path) -> None:
    """The detail `paths`: one batch from numpy to numpy in this process, by both paths and in parts."""
    from experiments.deployment.serving.paths import timed_paths
    from experiments.models.format.packed import unpack

    bench.progress(0.1, "timing the parts of a batch in tinygrad")
    quantized = unpack(model.read_bytes())
    for rows in dict.fromkeys((1, max(spec.max_batch))):
        bench.detail("paths", timed_paths(quantized, rows, bench, spec.seconds))


def answer(frame: "pd.DataFrame") -> str:
    """The policy for the expected rate, and the highest rates found."""
    from experiments.deployment.serving.answer import recommendation

    return recommendation(frame)


def five_hundred(frame: "pd.DataFrame") -> Achievement | None:
    """The policy that meets the challenge at the highest rate: open arrivals, 500/s or more, 99% within 20 ms."""
    conditions = (frame["arrival"] == "open", frame["rate_per_s"] >= 500, frame["objective_ms"] <= 20)
    rows = rows_where(frame, *conditions, frame["slo_met"])
    if rows.empty:
        return None
    best = rows.sort_values("rate_per_s").iloc[-1]
    longest = max(PARTS, key=lambda name: float(best[name]))
    return Achievement(
        f"{best['variant']} answers {best['in_time']:.1%} of {best['rate_per_s']:,.0f} requests/s within "
        f"{best['objective_ms']:g} ms on {best['device']}.",
        f"The longest part of the mean {best['mean_ms']:.3g} ms is {longest.removesuffix('_ms')}: "
        f"{best[longest]:.3g} ms, {PARTS[longest]}.",
    )
