"""From a trained network to one small C program: its size, its speed, and whether its logits equal Python's."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from experiments.bench.answers import describe_speedup
from experiments.bench.columns import TIMED, Column, Value
from experiments.bench.machine.device import Device
from experiments.bench.rows import Row
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.spec import MeasuredSpec, experiment
from experiments.bench.statistics.intervals import wilson
from experiments.bench.timing.measure import Call
from experiments.export_c.spec import ExportSpec

if TYPE_CHECKING:
    import pandas as pd

    from experiments.bench.arrays import Array
    from experiments.deployment.edge.builds import BuiltProgram, CheckedBuild
    from experiments.deployment.edge.native import NativeLibrary
    from experiments.export_c.steps import ExportStep

BASELINE = "python jit"
TargetName = Literal["x86_64", "aarch64", "arm", "riscv64", "wasm32", "windows"]


class EdgeSpec(ExportSpec, MeasuredSpec):
    """A network, the techniques applied to it, and the targets that it is compiled for."""

    targets: list[TargetName] = Field(
        ["x86_64", "aarch64", "wasm32"],
        max_length=6,
        title="Targets",
        description="cross-compiled with zig; the first build for a target takes up to a minute. x86_64, aarch64, arm "
        "and riscv64 are static Linux programs; wasm32 is a module without a system interface (WASI)",
    )
    deadline_us: float = Field(
        100.0, ge=0.1, le=1e6, title="Deadline [µs]", description="the 99th percentile of the calls must be below it"
    )
    calls: int = Field(
        5000,
        ge=100,
        le=100_000,
        title="Calls",
        description="number of calls timed one by one inside the compiled program",
    )

    def devices_used(self) -> tuple[str, ...]:
        """The device of Python's calls, and the processor, which runs the compiled programs."""
        return tuple(dict.fromkeys((self.device, "CPU")))


@experiment(
    section="Deployment",
    title="Edge",
    question="How small and fast is the network as one C program, and are its results the same?",
    compares="python jit, C at each number format, a build for each target",
    spec=EdgeSpec,
    presets={
        "course": EdgeSpec(width=0.5, targets=["x86_64", "aarch64", "arm", "riscv64", "wasm32", "windows"]),
        "cnn": EdgeSpec(network="cnn_normed"),
        "quick": EdgeSpec(targets=["wasm32"], calls=500, budget_s=0.5),
    },
    columns=[
        Column("network", "text", "layer widths"),
        Column("target", "text", "the target machine; empty for Python"),
        Column("flags", "text", "compiler flags: optimization level and instruction set"),
        Column("ran", "text", "result: ran; built, not run; no compiler; failed"),
        Column("source_bytes", "integer", "size of model.c with its weights"),
        Column("binary_bytes", "integer", "size of the stripped program; static ones include their C library"),
        Column("weights_bytes", "integer", "size of the program's constants"),
        Column("arena_bytes", "integer", "memory of the intermediate results, as planned by tinygrad"),
        *TIMED,
        Column("inside_us", "number", "median of single calls timed inside the compiled program"),
        Column("inside_p95_us", "number", "95th percentile of these calls"),
        Column("inside_p99_us", "number", "99th percentile of these calls"),
        Column("bandwidth_ratio", "number", "inside_us over the time of reading all constants once"),
        Column("suitable", "boolean", "whether inside_p99_us is within the deadline"),
        Column("startup_ms", "number", "time from process start to exit, for one image"),
        "max_abs_error",
        Column("identical", "boolean", "whether the logits of 100 images are bit-identical to Python's"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("note", "text", "why a step failed or was skipped"),
    ],
    grid=("network",),
    summary=(
        *("variant", "ran", "flags", "binary_bytes", "arena_bytes", "latency_ms", "speedup", "verdict"),
        *("inside_us", "inside_p95_us", "inside_p99_us", "bandwidth_ratio", "suitable"),
        *("identical", "accuracy", "note"),
    ),
    details={
        "steps": [
            Column("step", "text", "name of the step"),
            Column("what", "text", "result of the step"),
            Column(
                "accuracy", "number", "top-1 accuracy on the 10,000 test images, in numpy with this step's arithmetic"
            ),
            Column("weights_bytes", "integer", "constants of the program after the step"),
            Column("arena_bytes", "integer", "intermediate results, with planned memory"),
            Column("unplanned_bytes", "integer", "intermediate results, with one buffer each"),
            Column("inside_us", "number", "median of single calls of this machine's program"),
            Column("changed", "number", "largest change of a logit by this step, over 100 images"),
        ]
    },
    answer=lambda frame: answer(frame),
)
def edge(spec: EdgeSpec, bench: Bench) -> Iterator[Row]:
    """Exports the kernels that tinygrad captured on the CPU device at batch 1 as one C file, builds and runs it.

    The C program computes 100 test images, whose logits are compared with Python's (bit by bit if all arithmetic is
    on integers), and then the MNIST test set of 10,000, which gives its accuracy; Python's accuracy comes from numpy
    with the same arithmetic. Latency is one call from Python in both cases: a replay of the captured network with its
    image on the device, or the compiled function through ctypes; `inside_us` is the compiled function timed in C.
    `c int8` is built with -O3 for this machine's instruction set, targets portably with -O2. Programs for other
    machines run under qemu and WebAssembly under wasmtime to check their results; their speed is not shown because an
    emulator's says nothing about the machine. `binary_bytes` excludes the C library for this machine and includes it
    for targets. `startup_ms` is a whole process for one image. Weights of fewer than 8 bits take a byte each in C.
    `bandwidth_ratio` compares with a C loop that only reads as many bytes, with equally warm caches.
    Not measured: energy, the speed on other machines, threads, the first call with cold caches.
    Source: tinygrad's memory planner and renderer; Jacob et al. 2018 for integer-only arithmetic.
    """
    from experiments.bench.machine.toolchain import NO_COMPILER, compiler
    from experiments.deployment.edge.builds import BuiltProgram
    from experiments.export_c.steps import steps

    done = steps(spec, bench.device, lambda fraction, message: bench.progress(fraction * 0.4, message))
    last = done[-1]
    if compiler() is None:
        yield from _without_compiler(spec, bench, last, NO_COMPILER)
        return
    with tempfile.TemporaryDirectory(prefix="tinylab-edge-") as folder:
        programs = []
        for number, step in enumerate(done):
            bench.progress(0.4 + 0.2 * number / len(done), f"{step.name}: capturing, exporting, building, checking")
            programs.append(BuiltProgram.of(step, spec.label, Path(folder) / str(number)))
        _report(spec, bench, programs)
        yield from _compare(spec, bench, programs)


def _without_compiler(spec: EdgeSpec, bench: Bench, last: "ExportStep", cause: str) -> Iterator[Row]:
    """The baseline alone, and a failed row with `cause` for each program: the exported kernels are those of the CPU."""
    from experiments.export_c.export import shape

    python, _ = _python(bench, last)
    measured = bench.compare({BASELINE: python}, BASELINE, synchronize=_synchronized)
    yield timed_row(measured, BASELINE, network=shape(last), ran="ran")
    for name in ("this machine", *spec.targets):
        values: dict[str, Value] = {"network": shape(last), "target": name, "ran": "no compiler", "note": cause}
        yield Row({"variant": _variant(spec, name), "verdict": "failed", **values})


def _variant(spec: EdgeSpec, target: str) -> str:
    return f"c {spec.label}" if target == "this machine" else f"c {spec.label} {target}"


def _python(bench: Bench, step: "ExportStep") -> tuple[Any, Any]:
    """A synchronized replay on the device, and a function that computes the logits of images with it."""
    import numpy as np
    from tinygrad import Context

    from experiments.bench.tinygrad.capture import capture
    from experiments.bench.tinygrad.runtime import synchronizer, tensor
    from experiments.models.data.mnist import mnist

    row = mnist().test.images[:1]
    held = tensor(np.ascontiguousarray(row), bench.device)
    noopt = step.noopt and Device.parse(bench.device).is_cpu  # on a GPU it would leave most of the device idle
    with Context(NOOPT=int(noopt)):  # compiled here; a replay needs no context
        jit, _ = capture(step.build(bench.device), held)

    def logits(images: Any) -> Any:
        each = (tensor(np.ascontiguousarray(image[None]), bench.device) for image in images)
        return np.concatenate([jit(one).numpy() for one in each])

    synchronize = synchronizer(bench.device)

    def call() -> None:
        jit(held)
        synchronize()

    return call, logits


def _report(spec: EdgeSpec, bench: Bench, programs: list["BuiltProgram"]) -> None:
    """The detail `steps`: one record for each program, then the memory plan and the binary."""
    import numpy as np

    from experiments.bench.tinygrad.capture import planned_bytes

    before = None
    for one in programs:
        exported = one.exported
        planned, unplanned = planned_bytes(exported.jit, exported.function, [exported.input])
        record: dict[str, Value] = {
            "step": one.step.name,
            "what": one.step.description,
            "accuracy": one.step.accuracy,
            "weights_bytes": exported.program.weights_bytes,
            "arena_bytes": planned,
            "unplanned_bytes": unplanned,
            "inside_us": float(np.median(one.native.seconds(one.images, spec.calls))) * 1e6,
            "changed": None if before is None else max_abs_error(one.reference.logits, before.reference.logits),
        }
        bench.detail("steps", [record])
        before = one
    saved = f"{planned:,} bytes for intermediate results, aligned and shared; {unplanned:,} with one buffer each"
    built = f"{one.checked.values['binary_bytes']:,} bytes of program for this machine"
    bench.detail("steps", [{"step": "plan memory", "what": saved}, {"step": "export", "what": built}])


def _compare(spec: EdgeSpec, bench: Bench, steps: list["BuiltProgram"]) -> Iterator[Row]:
    """The rows: Python, this machine's programs, timed together, and the programs for the targets."""
    from experiments.deployment.edge.builds import check_target

    last = steps[-1]
    name = f"{last.step.network.name} {spec.label}"
    bench.artifact(f"{name}.zip", last.exported.zip(spec, last.step, last.reference.images))
    programs = {_variant(spec, "this machine"): last}
    if not last.step.is_float and steps[-2].step.quantized is not None:
        programs["c float32"] = steps[-2]
    targets: dict[str, CheckedBuild] = {}
    for number, target in enumerate(spec.targets):
        bench.progress(0.6 + 0.3 * number / len(spec.targets), f"{target}: building, running")
        checked = check_target(target, last.source, last.exported.program.outputs, last.reference)
        targets[target] = checked
        if target == "wasm32" and checked.binary:
            bench.artifact(f"{name}.wasm", checked.binary)
    bench.progress(0.9, "measuring")
    yield from _measured(spec, bench, programs, targets)


def _measured(
    spec: EdgeSpec, bench: Bench, programs: dict[str, "BuiltProgram"], targets: dict[str, "CheckedBuild"]
) -> Iterator[Row]:
    from experiments.deployment.edge.builds import ATOL, RTOL, startup_ms
    from experiments.export_c.export import shape

    last = next(iter(programs.values()))
    row, network = last.images[0], {"network": shape(last.step)}
    python, logits = _python(bench, last.step)
    portable = {target: last.portable(target, checked) for target, checked in targets.items()}
    natives = {name: one.native for name, one in programs.items()}
    natives |= {_variant(spec, target): native for target, native in portable.items() if native}
    calls: dict[str, Call] = {BASELINE: python} | {name: native.caller(row) for name, native in natives.items()}
    movers = {name: partial(_move, calls, name, native, row) for name, native in natives.items()}
    measured = bench.compare(calls, BASELINE, movers=movers, synchronize=_synchronized)

    expected = last.step.logits(last.images)
    error = max_abs_error(logits(last.images), expected)
    labels = last.reference.labels
    accuracy = wilson(round(last.step.accuracy * len(labels)), len(labels))
    values: dict[str, Any] = {**network, "ran": "ran", "max_abs_error": error}
    values |= {"accuracy": accuracy.median, "accuracy_lo": accuracy.lo, "accuracy_hi": accuracy.hi}
    yield timed_row(measured, BASELINE, wrong=error > tolerance(expected, ATOL, RTOL), **values)

    builds = [(name, one, one.checked) for name, one in programs.items()]
    builds += [(_variant(spec, target), last, checked) for target, checked in targets.items()]
    for name, one, checked in builds:
        values, wrong = {**network, **one.sizes(), **checked.values}, one.wrong(checked)
        if name in natives:
            values |= one.inside(natives[name], spec.calls, spec.deadline_us)
            values["startup_ms"] = startup_ms(checked.command or [], row)
            yield timed_row(measured, name, wrong=wrong, **values)
        else:
            failed = "failed" if checked.values["ran"] in ("failed", "no compiler") else None
            yield Row({"variant": name, "verdict": "wrong" if wrong else failed, **values})


def _synchronized() -> None:
    """A call of C is done when it returns, and the replay waits for its device itself."""


def _move(calls: dict[str, Call], name: str, native: "NativeLibrary", row: "Array") -> None:
    """Other memory for a C program; the call in `calls` is replaced, since a detour would cost a part of its time."""
    native.move()
    calls[name] = native.caller(row)


def answer(frame: "pd.DataFrame") -> str:
    """Time, size and accuracy of this machine's program, and the targets that it also ran on."""
    here = frame[(frame["target"] == "this machine") & frame["speedup"].notna()]
    if here.empty:
        return ""
    one = here.iloc[0]
    others = frame[frame["target"].notna() & (frame["target"] != "this machine")]
    ran = others.loc[others["ran"] == "ran", "target"].tolist()
    built = others.loc[others["ran"] == "built, not run", "target"].tolist()
    text = (
        f"On {one['device']}, {one['variant']} of {one['network']} takes {one['inside_us']:.3g} µs per image in a C "
        f"program of {one['binary_bytes']:,} bytes, classifies {one['accuracy']:.2%} of the test set correctly, and "
        f"{describe_speedup(one, 'a call from Python')}, compared with a JIT replay"
    )
    text += f"; builds for {', '.join(ran)} also ran here" if ran else ""
    return f"{text}{'; built, not run: ' + ', '.join(built) if built else ''}."
