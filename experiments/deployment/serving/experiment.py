"""A model server under load: which batching policy to use, and where the time of a request goes."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from experiments.bench.challenge import Achievement, Challenge, rows_where
from experiments.bench.columns import Column
from experiments.bench.errors import BadInput
from experiments.bench.rows import Row
from experiments.bench.session import Bench, tolerance
from experiments.bench.spec import Spec, experiment
from experiments.deployment.serving.session import PARTS, ServingSession, ServingVariant

if TYPE_CHECKING:
    import pandas as pd

ATOL, RTOL = 1e-4, 1e-3  # answers over HTTP against the numpy twin, of the largest logit
PAYLOAD_IMAGES = 1024


class ServingSpec(Spec):
    """A model, the batching policies that compete to serve it, and the loads that they meet."""

    network: Literal["mlp", "lenet_300_100", "cnn", "lenet_5"] = Field(
        "mlp", title="Network", description="with the checkpoint that the project carries, trained on MNIST"
    )
    scheme: Literal["float32", "float16", "static", "weight_only"] = Field(
        "float32", title="Stored as", description="how the served model is quantised; static computes in integers"
    )
    max_batch: list[Annotated[int, Field(ge=1, le=256)]] = Field(
        [1, 32],
        min_length=1,
        max_length=8,
        title="Largest batch",
        description="rows computed together; 1 is no batching",
    )
    max_wait_ms: list[Annotated[float, Field(ge=0, le=100)]] = Field(
        [0.0, 2.0],
        min_length=1,
        max_length=4,
        title="Longest wait [ms]",
        description="of a request for others to join its batch; 0 takes what is queued and waits for nobody",
    )
    plain: bool = Field(
        True,
        title="Plain path too",
        description="the last policy once more, but for open loads, with the usual way from numpy to tensor and back "
        "instead of writing into the captured buffers",
    )
    arrival: list[Literal["single", "closed", "open", "offline", "search"]] = Field(
        ["single", "closed", "open", "offline", "search"],
        min_length=1,
        max_length=5,
        title="Arrivals",
        description="single: one client, one request at a time; closed: clients that send when they are answered; "
        "open: Poisson at given rates; offline: all samples at once; search: the highest rate meeting the objective",
    )
    clients: list[Annotated[int, Field(ge=1, le=256)]] = Field(
        [32], min_length=1, max_length=8, title="Clients", description="of a closed loop"
    )
    target_per_s: float = Field(
        50.0, ge=1, le=20_000, title="Expected rate [1/s]", description="the rate that a policy is recommended for"
    )
    rate_per_s: list[Annotated[float, Field(ge=1, le=20_000)]] = Field(
        [], max_length=12, title="Further rates [1/s]", description="of an open load, beside the expected one"
    )
    objective_ms: float = Field(
        10.0,
        ge=0.1,
        le=10_000,
        title="Objective [ms]",
        description="within which 99 % of the requests must be answered",
    )
    samples: int = Field(
        3200, ge=32, le=100_000, title="Offline samples", description="sent at once, in requests of the largest batch"
    )
    queue: int = Field(
        128,
        ge=1,
        le=10_000,
        title="Queue",
        description="requests that may wait; a server refuses further ones with 503",
    )
    seconds: float = Field(
        1.0,
        ge=0.2,
        le=120,
        title="Seconds per load",
        description="up to three times as long at the expected rate",
    )

    @property
    def policies(self) -> list[ServingVariant]:
        """The policies, those that wait after those that do not; last the plain path."""
        found = dict.fromkeys(
            ServingVariant(batch, wait if batch > 1 else 0.0, "fast")
            for batch in self.max_batch
            for wait in self.max_wait_ms
        )
        last = list(found)[-1]
        return [*found, *([ServingVariant(last.max_batch, last.max_wait_ms, "plain")] if self.plain else [])]


POINT = [
    Column("arrival", "text", "how requests arrive: single, closed, open or offline"),
    Column("clients", "integer", "of a closed loop; connections of an offline load"),
    Column("rate_per_s", "number", "scheduled arrivals of an open load"),
]


@experiment(
    section="Deployment",
    title="Serving under load",
    question="Which batching policy serves this rate within this objective, and how much more could it take?",
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
        Column("max_batch", "integer", "rows computed together at most"),
        Column("max_wait_ms", "number", "that a request waits for others at most"),
        *POINT,
        Column("objective_ms", "number", "within which 99 % must be answered"),
        Column("requests", "integer", "sent"),
        Column("achieved_per_s", "number", "right answers, counted in rows"),
        Column("p50_ms", "number", "median latency, from the scheduled arrival to the whole answer"),
        Column("p50_lo_ms", "number", "lower end of its 95 % interval, as if requests were independent"),
        Column("p50_hi_ms", "number", "upper end of it"),
        *("p95_ms", "p99_ms"),
        Column("worst_ms", "number", "the slowest answer"),
        Column("mean_ms", "number", "mean latency: what the parts add up to"),
        Column("mean_batch", "number", "rows of the batch that a request was computed in, mean over requests"),
        *(Column(name, "number", f"mean time that a request {what}") for name, what in PARTS.items()),
        Column("errors", "integer", "requests with a wrong answer, an error or no answer"),
        Column("rejected", "integer", "refused with 503 because the queue was full"),
        Column("in_time", "number", "share of all requests that were answered rightly within the objective"),
        Column("in_time_lo", "number", "lower end of its 95 % Wilson interval"),
        Column("in_time_hi", "number", "upper end of it"),
        Column("slo_met", "boolean", "at least 99 % were in time"),
        Column("highest", "boolean", "the highest rate of the search that met the objective"),
        Column("remark", "text", "which percentile the sample cannot support"),
        "max_abs_error",
    ],
    grid=("arrival", "clients", "rate_per_s"),
    summary=(
        *("variant", "arrival", "clients", "rate_per_s", "achieved_per_s", "p50_ms", "p95_ms", "p99_ms"),
        *("mean_batch", "errors", "rejected", "slo_met"),
    ),
    details={
        "requests": [
            Column("variant", "text", "the server"),
            *POINT,
            Column("arrived_ms", "number", "scheduled arrival since the start of the load"),
            Column("request_ms", "number", "its latency; empty where no answer came"),
            Column("in_flight", "integer", "requests that had arrived and were not answered at that moment"),
            Column("rows", "integer", "of the batch that it was computed in"),
            Column("status", "integer", "HTTP status; 0 is no answer"),
        ],
        "distribution": [
            Column("variant", "text", "the server"),
            *POINT,
            Column("share", "number", "of the answers"),
            Column("request_ms", "number", "latency below which they lie"),
        ],
        "paths": [
            Column("rows", "integer", "of the batch"),
            Column("path", "text", "fast or plain"),
            Column("part", "text", "what of the way is timed"),
            Column("latency_ms", "number", "median"),
            Column("latency_lo_ms", "number", "lower end of its 95 % interval"),
            Column("latency_hi_ms", "number", "upper end of it"),
        ],
    },
    answer=lambda frame: answer(frame),
    challenge=Challenge(
        goal="Serve at least 500 requests per second, arriving at random (open), 99 % of them within 20 ms.",
        question="Where does a request spend its time: waiting in the queue, being computed, or on its way?",
        start="exercise",
        met=lambda frame: five_hundred(frame),
    ),
)
def serving(spec: ServingSpec, bench: Bench) -> Iterator[Row]:
    """Starts the real server once for each policy and sends it loads over loopback HTTP, in random order at each load.

    The server is what `python -m experiments serve` starts: HTTP in one process, inference in another. The generator
    is a third process; it measures from the scheduled arrival, keeps every request and compares every answer with
    numpy's. Percentiles are given only where there are enough answers (p95 from 20, p99 from 100). A policy meets the
    objective at a rate if at least 99 % of all requests are answered rightly within it; refused ones are late ones.
    The parts of a latency are means, told by the server in each answer. Requests near one another in time meet the
    same disturbance, so that intervals over requests are the least that must be doubted.
    Not measured: a network, TLS, several servers; server and generator share this machine's cores.
    Source: MLPerf Inference (scenarios), Tene's coordinated omission, Clipper (adaptive batching).
    """
    from experiments.server import missing
    from experiments.server.launch import ServerProcess

    if package := missing():
        raise BadInput(f"{package} is not installed, which the server needs; `pip install {package}`")
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
    """The packed model's file, the payload's file, and by how much an answer may differ from numpy's."""
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
    """The detail `paths`: one batch from numpy to numpy, in this process, by both paths and in parts."""
    from experiments.deployment.serving.paths import timed_paths
    from experiments.models.format.packed import unpack

    bench.progress(0.1, "timing the way of a batch through tinygrad")
    quantized = unpack(model.read_bytes())
    for rows in dict.fromkeys((1, max(spec.max_batch))):
        bench.detail("paths", timed_paths(quantized, rows, bench, spec.seconds))


def answer(frame: "pd.DataFrame") -> str:
    """The policy for the expected rate, and the highest rates that were found."""
    from experiments.deployment.serving.answer import recommendation

    return recommendation(frame)


def five_hundred(frame: "pd.DataFrame") -> Achievement | None:
    """The policy that meets the challenge at the highest rate: open arrivals, 500/s or more, 99 % within 20 ms."""
    asked = (frame["arrival"] == "open", frame["rate_per_s"] >= 500, frame["objective_ms"] <= 20)
    rows = rows_where(frame, *asked, frame["slo_met"])
    if rows.empty:
        return None
    best = rows.sort_values("rate_per_s").iloc[-1]
    longest = max(PARTS, key=lambda name: float(best[name]))
    return Achievement(
        f"{best['variant']} answers {best['in_time']:.1%} of {best['rate_per_s']:,.0f} requests/s within "
        f"{best['objective_ms']:g} ms on {best['device']}.",
        f"The longest part of the mean {best['mean_ms']:.3g} ms is {longest.removesuffix('_ms')}: "
        f"{best[longest]:.3g} ms {PARTS[longest]}.",
    )
