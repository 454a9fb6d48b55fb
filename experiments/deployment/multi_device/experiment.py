"""The same batches on one device and on several: speedup and transfers of the parallelism strategies."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from experiments.bench.columns import TIMED, Column, Value
from experiments.bench.errors import BadInput
from experiments.bench.machine.device import Device
from experiments.bench.rows import Row
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.spec import MeasuredSpec, Need, experiment

if TYPE_CHECKING:
    import pandas as pd

    from experiments.deployment.multi_device.workload import MultiDeviceWorkload


BASELINE = "one device"
ATOL, RTOL = 1e-4, 1e-3  # float32 sums in a different order, against numpy in float64, relative to the largest result
LAYOUTS = {
    "replicas": "replicas round robin",
    "data_parallel": "data parallel",
    "tensor_parallel": "tensor parallel",
    "processes": "replicas in processes",
}
MAX_VIRTUAL_DEVICES = 16  # on a CPU; they run one after another in one process


class MultiDeviceSpec(MeasuredSpec):
    """The workload of one call, and the parallelism strategies."""

    work: Literal["mlp", "matmul"] = Field(
        "mlp", title="Workload", description="mlp: the course's 784-128-10; matmul: relu(x @ w) with a square w"
    )
    size: int = Field(
        1000,
        ge=2,
        le=16_384,
        title="Matrix size",
        description="rows and columns of the matmul; a power of two causes cache conflicts on a CPU, which look "
        "like a speedup",
    )
    batch: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(
        [256], min_length=1, max_length=6, title="Batch sizes", description="rows of each batch"
    )
    batches: int = Field(4, ge=1, le=64, title="Batches", description="batches per call")
    devices: list[Annotated[int, Field(ge=2, le=16)]] = Field(
        [2],
        min_length=1,
        max_length=6,
        title="Devices",
        description="number of devices, the first ones of their family",
    )
    layout: list[Literal["replicas", "data_parallel", "tensor_parallel", "processes"]] = Field(
        ["replicas", "data_parallel", "tensor_parallel", "processes"],
        min_length=1,
        max_length=4,
        title="Strategies",
        description="replicas: whole batches round robin; data_parallel: each batch is split; tensor_parallel: the "
        "weights are split; processes: replicas, each in its own process",
    )
    inputs: list[Literal["resident", "first_device"]] = Field(
        ["resident"],
        min_length=1,
        max_length=2,
        title="Input placement",
        description="resident: each device holds its share; first_device: batches come from the first device and "
        "results return to it, included in the latency",
    )

    def need(self) -> Need:
        """Memory of all batches and weights on the first device."""
        inputs, weights = (784, 101_770) if self.work == "mlp" else (self.size, self.size**2)
        held = 4 * (2 * max(self.batch) * inputs * self.batches + weights * (len(self.layout) + 1))
        return Need(held, f"{self.batches} batches of {max(self.batch)} rows and the weights of each strategy")

    def devices_used(self) -> tuple[str, ...]:
        """The first devices of the family, as many as the largest strategy uses."""
        family = Device.parse(self.device).family
        return tuple(Device(family, index).name for index in range(max(self.devices)))


@dataclass(frozen=True)
class ParallelVariant:
    """One strategy on a number of devices."""

    layout: str
    devices: int

    @property
    def name(self) -> str:
        """The name of the variant in rows."""
        return f"{LAYOUTS[self.layout]} x{self.devices}"


@experiment(
    section="Deployment",
    title="Several devices",
    question="How much faster do several devices compute the same batches, and which strategy is most efficient?",
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
        Column("work", "text", "the workload: mlp or matmul"),
        Column("batch", "integer", "rows of each batch"),
        Column("batches", "integer", "batches per call"),
        Column("inputs", "text", "where the batches are: resident on each device, or on the first device"),
        Column("layout", "text", "parallelism strategy"),
        Column("devices", "integer", "devices used by a call"),
        *TIMED,
        Column("efficiency", "number", "speedup divided by the number of devices; 1 is ideal"),
        "throughput_per_s",
        Column("transfer_bytes", "integer", "bytes copied between devices in one call"),
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
    """Computes the same batches with every strategy through TinyJit; times include waiting for all devices.

    The baseline computes all batches on the first device. Tensor parallelism splits one layer by its outputs and the
    next by its inputs, so activations stay split between them. Sizes that do not divide evenly are padded with zeros,
    which are computed and then dropped. `cpu_per_wall` is the number of busy cores, over all processes of a strategy.
    On the CPU, devices beyond the first are virtual: tinygrad runs their kernels one after another on one core, so a
    process cannot gain, and an observed speedup is a cache effect. Replicas in their own processes do use more cores;
    their inputs are always resident.
    On CUDA a tensor-parallel call whose input comes from the first device is launched kernel by kernel, because
    tinygrad's graph computes it incorrectly.
    Not measured: several hosts, training, gathering resident results.
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
    """Raises BadInput if there are fewer devices than requested, before anything is compiled."""
    parsed = Device.parse(device)
    base = parsed.family.name
    if parsed.index:
        raise BadInput(f"device: {device} is not allowed here; give {base} alone: the first ones are used")
    from experiments.bench.machine.devices import card_count

    available = card_count(device) or MAX_VIRTUAL_DEVICES
    if max(spec.devices) > available:
        raise BadInput(f"devices: {max(spec.devices)} is not allowed; this machine has {available} {base} devices")


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
        placed: dict[str, Any] = {BASELINE: placements.replicas(work, [bench.device], resident)}
        for name, one in chosen.items():
            devices = placements.device_names(bench.device, one.devices)
            if one.layout == "processes":
                placed[name] = ReplicaProcesses(given, devices)
                started.callback(placed[name].close)
            else:
                placed[name] = build[one.layout](work, devices, resident)
        reference = work.reference()
        errors = {name: max_abs_error(one.results(), reference) for name, one in placed.items()}
        movers = {name: one.move for name, one in placed.items() if isinstance(one, ReplicaProcesses)}
        measured = bench.compare({name: partial(_call, one) for name, one in placed.items()}, BASELINE, movers=movers)
    for name, one in placed.items():
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
        row.values.update(_extra_columns(row.values, one))
        yield row


def _call(placement: Any) -> None:
    placement.call()


def _extra_columns(values: dict[str, Value], placement: Any) -> dict[str, Value]:
    """Kernels, transfers, busy cores of processes, and efficiency."""
    from experiments.deployment.multi_device.processes import ReplicaProcesses

    extra: dict[str, Value] = {}
    if isinstance(placement, ReplicaProcesses):
        extra |= {"cpu_per_wall": placement.cpu_s / placement.wall_s if placement.wall_s else None, "transfer_bytes": 0}
    else:
        extra["kernels"], extra["transfer_bytes"] = placement.kernels_and_transfers()
    speedup, devices = values.get("speedup"), values["devices"]
    if isinstance(speedup, float) and isinstance(devices, int):
        extra["efficiency"] = speedup / devices
    return extra


def answer(frame: "pd.DataFrame") -> str:
    """The best strategy within one process, the processes, and on a CPU why there is no speedup."""
    from experiments.deployment.multi_device.answer import sentence

    return sentence(frame)
