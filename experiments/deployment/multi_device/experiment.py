"""The same work on one device and on several: what the layouts gain, and what they must send."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from experiments.bench.columns import TIMED, Column, Value
from experiments.bench.errors import BadInput
from experiments.bench.machine.device import Device
from experiments.bench.machine.devices import card_count
from experiments.bench.rows import Row
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.spec import MeasuredSpec, Need, experiment

if TYPE_CHECKING:
    import pandas as pd

    from experiments.deployment.multi_device.workload import MultiDeviceWorkload


BASELINE = "one device"
ATOL, RTOL = 1e-4, 1e-3  # float32 sums in another order against numpy in float64, of the largest result
LAYOUTS = {
    "replicas": "replicas round robin",
    "data_parallel": "data parallel",
    "tensor_parallel": "tensor parallel",
    "processes": "replicas in processes",
}
MAX_VIRTUAL_DEVICES = 16  # of the processor; they run one after another in one process


class MultiDeviceSpec(MeasuredSpec):
    """The work of one call, and the layouts that spread it."""

    work: Literal["mlp", "matmul"] = Field(
        "mlp", title="Workload", description="mlp: the course's 784-128-10; matmul: relu(x @ w) with a square w"
    )
    size: int = Field(
        1000,
        ge=2,
        le=16_384,
        title="Matrix size",
        description="of the matmul; a power of two makes a CPU's caches collide, which looks like a gain where there "
        "is none",
    )
    batch: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(
        [256], min_length=1, max_length=6, title="Batch sizes", description="rows of each batch"
    )
    batches: int = Field(4, ge=1, le=64, title="Batches", description="of one call")
    devices: list[Annotated[int, Field(ge=2, le=16)]] = Field(
        [2], min_length=1, max_length=6, title="Devices", description="how many, the first of their kind"
    )
    layout: list[Literal["replicas", "data_parallel", "tensor_parallel", "processes"]] = Field(
        ["replicas", "data_parallel", "tensor_parallel", "processes"],
        min_length=1,
        max_length=4,
        title="Layouts",
        description="replicas: whole batches take turns; data_parallel: each batch is cut; tensor_parallel: the "
        "weights are cut; processes: replicas, each in a process of its own",
    )
    inputs: list[Literal["resident", "first_device"]] = Field(
        ["resident"],
        min_length=1,
        max_length=2,
        title="Inputs",
        description="resident: each device holds its share; first_device: batches come from the first device and "
        "results go back to it, which is in the time",
    )

    def need(self) -> Need:
        """All batches and weights on the first device."""
        inputs, weights = (784, 101_770) if self.work == "mlp" else (self.size, self.size**2)
        held = 4 * (2 * max(self.batch) * inputs * self.batches + weights * (len(self.layout) + 1))
        return Need(held, f"{self.batches} batches of {max(self.batch)} rows and the weights of each layout")


@dataclass(frozen=True)
class ParallelVariant:
    """One layout on so many placements."""

    layout: str
    devices: int

    @property
    def name(self) -> str:
        """As the table shows it."""
        return f"{LAYOUTS[self.layout]} x{self.devices}"


@experiment(
    section="Deployment",
    title="Several devices",
    question="How much faster do several devices serve the same batches, and which layout wastes least?",
    compares="one device, replicas, data parallel, tensor parallel, processes",
    spec=MultiDeviceSpec,
    presets={
        "course": MultiDeviceSpec(batch=[16], layout=["replicas"]),
        "scaling": MultiDeviceSpec(
            work="matmul", size=2000, batch=[2000], batches=2, inputs=["resident", "first_device"], budget_s=10
        ),
        "quick": MultiDeviceSpec(batch=[16], batches=2, budget_s=0.3),
    },
    columns=[
        Column("work", "text", "the network"),
        Column("batch", "integer", "rows of each batch"),
        Column("batches", "integer", "of one call"),
        Column("inputs", "text", "where batches come from: resident on each device, or the first device"),
        Column("layout", "text", "how the work is spread"),
        Column("devices", "integer", "that work on a call"),
        *TIMED,
        Column("efficiency", "number", "speedup over the number of devices: 1 wastes nothing"),
        "throughput_per_s",
        Column("transfer_bytes", "integer", "copied between devices in one call"),
        "kernels",
        "max_abs_error",
    ],
    grid=("work", "batch", "inputs"),
    summary=(
        *("batch", "inputs", "variant", "devices", "latency_ms", "speedup", "verdict", "efficiency"),
        *("cpu_per_wall", "transfer_bytes"),
    ),
    answer=lambda frame: answer(frame),
)
def multi_device(spec: MultiDeviceSpec, bench: Bench) -> Iterator[Row]:
    """Computes the same batches in every layout, through TinyJit, and waits for all devices before it reads the clock.

    The baseline computes all batches on the first device. Tensor parallel cuts one layer by its outputs and the next
    by its inputs, so that activations stay cut between them. What does not divide evenly is filled up with zeros,
    which are computed and then dropped. `cpu_per_wall` is how many cores were busy, in all processes of a layout.
    On the CPU, devices beyond the first are virtual: tinygrad runs their kernels one after another on one core, so
    that nothing can be gained within a process, and a gain would be a trick of the caches; replicas in processes of
    their own do use further cores. They get no batches from elsewhere: their inputs are always resident.
    On CUDA a tensor parallel call whose input comes from the first device is launched kernel by kernel: tinygrad's
    graph gets it wrong.
    Not measured: several hosts, training, gathering results that are resident.
    Source: the course's distributed inference; Shoeybi et al. 2019 (tensor parallel).
    """
    from experiments.deployment.multi_device.workload import MultiDeviceWorkload

    _check_devices(spec, bench.device)
    points = [(batch, inputs) for batch in dict.fromkeys(spec.batch) for inputs in dict.fromkeys(spec.inputs)]
    for number, (batch, inputs) in enumerate(points):
        bench.progress(number / len(points), f"batch {batch}, {inputs.replace('_', ' ')}: capturing and measuring")
        work: dict[str, Any] = {"kind": spec.work, "size": spec.size, "rows": batch, "batches": spec.batches}
        yield from _measure(spec, bench, work, MultiDeviceWorkload.of(**work), inputs == "resident")


def _check_devices(spec: MultiDeviceSpec, device: str) -> None:
    """BadInput where there are fewer devices than asked for, before anything is compiled."""
    parsed = Device.parse(device)
    base = parsed.family.name
    if parsed.index:
        raise BadInput(f"device: {device} is not allowed here; give {base}, whose first devices are used")
    there = card_count(device) or MAX_VIRTUAL_DEVICES
    if max(spec.devices) > there:
        raise BadInput(f"devices: {max(spec.devices)} is not allowed; this machine has {there} of {base}")


def _measure(
    spec: MultiDeviceSpec, bench: Bench, given: dict[str, Any], work: "MultiDeviceWorkload", resident: bool
) -> Iterator[Row]:
    from experiments.deployment.multi_device import placements
    from experiments.deployment.multi_device.processes import ReplicaProcesses

    chosen = {
        ParallelVariant(layout, count).name: ParallelVariant(layout, count)
        for layout in spec.layout
        for count in spec.devices
    }
    if not resident:
        chosen = {name: one for name, one in chosen.items() if one.layout != "processes"}
    build = {
        "replicas": placements.replicas,
        "data_parallel": placements.data_parallel,
        "tensor_parallel": placements.tensor_parallel,
    }
    with ExitStack() as started:
        laid: dict[str, Any] = {BASELINE: placements.replicas(work, [bench.device], resident)}
        for name, one in chosen.items():
            there = placements.names(bench.device, one.devices)
            if one.layout == "processes":
                laid[name] = ReplicaProcesses(given, there)
                started.callback(laid[name].close)
            else:
                laid[name] = build[one.layout](work, there, resident)
        reference = work.reference()
        errors = {name: max_abs_error(one.results(), reference) for name, one in laid.items()}
        measured = bench.compare({name: partial(_call, one) for name, one in laid.items()}, BASELINE)
    for name, one in laid.items():
        variant = chosen.get(name)
        row = timed_row(
            measured,
            name,
            wrong=errors[name] > tolerance(reference, ATOL, RTOL),
            work=spec.work,
            batch=given["rows"],
            batches=spec.batches,
            inputs="resident" if resident else "first device",
            layout=variant.layout.replace("_", " ") if variant else BASELINE,
            devices=variant.devices if variant else 1,
            throughput_per_s=given["rows"] * spec.batches / measured.latency(name).median,
            max_abs_error=errors[name],
        )
        row.values.update(_further(row.values, one))
        yield row


def _call(laid: Any) -> None:
    laid.call()


def _further(values: dict[str, Value], laid: Any) -> dict[str, Value]:
    """What a layout says of itself beside its times."""
    from experiments.deployment.multi_device.processes import ReplicaProcesses

    further: dict[str, Value] = {}
    if isinstance(laid, ReplicaProcesses):
        further |= {"cpu_per_wall": laid.cpu_s / laid.wall_s if laid.wall_s else None, "transfer_bytes": 0}
    else:
        further["kernels"], further["transfer_bytes"] = laid.counted()
    speedup, devices = values.get("speedup"), values["devices"]
    if isinstance(speedup, float) and isinstance(devices, int):
        further["efficiency"] = speedup / devices
    return further


def answer(frame: "pd.DataFrame") -> str:
    """The best layout within one process, the processes beside it, and on a CPU why there is nothing to gain."""
    from experiments.deployment.multi_device.answer import sentence

    return sentence(frame)
