"""Exported programs built for this machine and for targets, run, and compared with Python."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.columns import Value
from experiments.bench.session import max_abs_error, tolerance
from experiments.bench.statistics.intervals import wilson
from experiments.bench.tinygrad.runtime import tensor
from experiments.deployment.edge.native import NativeLibrary
from experiments.export_c.export import DEVICE, ExportedProgram
from experiments.export_c.steps import ExportStep
from experiments.export_c.targets import (
    TARGETS,
    ProgramError,
    build,
    compile_c,
    has_wasm,
    host_compiler,
    run,
    run_wasm,
    runner,
    zig,
)
from experiments.models.data.mnist import mnist

ATOL, RTOL = 1e-4, 1e-3  # for float32 kernels, which a compiler may fuse differently; integers must be bit-identical
COMPARED_IMAGES = 100
MAX_TEST_SET_S = 60.0  # an emulator that would take longer for the test set runs only the compared images
STARTS = 15
RAN, BUILT, NO_COMPILER, FAILED = "ran", "built, not run", "no compiler", "failed"


@dataclass(frozen=True, eq=False)
class ReferenceOutputs:
    """Test images (n, pixels) and labels, and Python's logits of the first COMPARED_IMAGES."""

    images: Array
    labels: Array
    logits: Array


RunProgram = Callable[[bytes], bytes]  # from float32 rows to float32 logits


@dataclass
class CheckedBuild:
    """One build: `values` are columns, `binary` the file, `command` runs it on this machine (None: cannot run)."""

    values: dict[str, Value] = field(default_factory=dict)
    binary: bytes = b""
    command: list[str] | None = None

    @property
    def error(self) -> float | None:
        """The largest difference from Python's logits; None if the program did not run."""
        error = self.values.get("max_abs_error")
        return error if isinstance(error, float) else None


def check_target(name: str, source: Path, outputs: int, reference: ReferenceOutputs) -> CheckedBuild:
    """Builds `source` for a target and runs it if this machine can; errors become the row's note."""
    target, output = TARGETS[name], source.with_name(f"model-{name}")
    flags = " ".join(["zig cc", *(flag for flag in target.flags if flag.startswith(("-O", "-static", "-m")))])
    checked = CheckedBuild({"target": name, "flags": flags, "ran": FAILED})
    try:
        build(target, source, output)
        checked.binary = output.read_bytes()
        checked.values |= {"binary_bytes": len(checked.binary), "ran": BUILT}
        if target.is_wasm:
            if not has_wasm():
                checked.values["note"] = "wasmtime is not installed"
            else:
                width = reference.images.shape[1]
                _compare(checked, lambda rows: run_wasm(checked.binary, rows, width, outputs), reference, outputs)
        elif (start := runner(target)) is None:
            checked.values["note"] = f"{target.emulator or 'an emulator'} is not installed"
        else:
            checked.command = [*start, str(output)]
            _compare(checked, lambda rows: run([*start, str(output)], rows), reference, outputs)
    except ProgramError as error:
        missing = "pip install" in str(error)
        checked.values |= {"ran": NO_COMPILER if missing else FAILED, "note": str(error)}
    return checked


def check_host(source: Path, outputs: int, reference: ReferenceOutputs) -> tuple[CheckedBuild, list[str]]:
    """Builds `source` for this machine's instruction set and runs it; also returns the compiler command without files.

    Raises ProgramError if this machine has no C compiler.
    """
    found = host_compiler()
    if found is None:
        raise ProgramError("no C compiler on this machine: run `pip install ziglang`")
    compiler, native = found
    command, output = [*compiler, "-O3", *native], source.with_name("model-host")
    compile_c([*command, "-s"], [source], output)
    checked = CheckedBuild(
        {
            "target": "this machine",
            "flags": f"{'zig cc' if 'zig' in compiler[0] else compiler[0]} -O3 {' '.join(native)}",
        },
        output.read_bytes(),
    )
    checked.values["binary_bytes"] = len(checked.binary)
    checked.command = [str(output)]
    _compare(checked, lambda rows: run([str(output)], rows), reference, outputs)
    return checked, command


def startup_ms(command: list[str], row: Array) -> float:
    """Median milliseconds from the start of the process to its exit, for one row."""
    seconds = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run(command, input=row.astype(np.float32).tobytes(), capture_output=True, check=True, timeout=60)
        seconds.append(time.perf_counter() - began)
    return median(seconds) * 1e3


def _compare(checked: CheckedBuild, program: RunProgram, reference: ReferenceOutputs, outputs: int) -> None:
    """Runs the compared images, then the whole test set unless that would take too long."""
    compared = reference.images[:COMPARED_IMAGES]
    began = time.perf_counter()
    logits = _logits(program, compared, outputs)
    each_s = (time.perf_counter() - began) / len(compared)
    expected = reference.logits[: len(compared)]
    checked.values |= {
        "ran": RAN,
        "max_abs_error": max_abs_error(logits, expected),
        "identical": bool(np.array_equal(logits.view(np.int32), expected.view(np.int32))),
    }
    if each_s * len(reference.images) > MAX_TEST_SET_S:
        checked.values["note"] = f"only {len(compared)} images: the emulator is slow"
        return
    predictions = _logits(program, reference.images, outputs).argmax(axis=1)
    accuracy = wilson(int((predictions == reference.labels).sum()), len(predictions))
    checked.values |= {"accuracy": accuracy.median, "accuracy_lo": accuracy.lo, "accuracy_hi": accuracy.hi}


def _logits(program: RunProgram, images: Array, outputs: int) -> Array:
    logits = np.frombuffer(program(images.astype(np.float32).tobytes()), np.float32)
    if logits.size != len(images) * outputs:
        raise ProgramError(f"the program wrote {logits.size} numbers for {len(images)} rows of {outputs}")
    return logits.reshape(-1, outputs)


@dataclass(frozen=True, eq=False)
class BuiltProgram:
    """The program of one step on this machine: exported, built, compared with Python, and loaded as a library."""

    step: ExportStep
    exported: ExportedProgram
    source: Path
    reference: ReferenceOutputs
    checked: CheckedBuild
    native: NativeLibrary

    @classmethod
    def of(cls, step: ExportStep, label: str, folder: Path) -> "BuiltProgram":
        """Writes, builds and checks the program of `step` in a new folder; ProgramError without a compiler."""
        test = mnist().test
        exported = ExportedProgram.of(step, "float32" if step.is_float else label, test.images[0])
        source = folder / "model.c"
        folder.mkdir()
        for name, text in exported.texts.items():
            source.with_name(name).write_text(text)
        rows = (tensor(np.ascontiguousarray(image[None]), DEVICE) for image in test.images[:COMPARED_IMAGES])
        logits = np.concatenate([exported.jit(row).numpy() for row in rows])
        reference = ReferenceOutputs(test.images, test.labels, logits)
        checked, command = check_host(source, exported.program.outputs, reference)
        return cls(step, exported, source, reference, checked, NativeLibrary(command, source, exported.program.outputs))

    @property
    def images(self) -> Array:
        """The images whose logits are compared, which are also those of timed calls."""
        return self.reference.images[:COMPARED_IMAGES]

    def sizes(self) -> dict[str, Value]:
        """The columns that are the same for all targets."""
        return {
            "source_bytes": len(self.exported.texts["model.c"]),
            "weights_bytes": self.exported.program.weights_bytes,
            "arena_bytes": self.exported.program.arena_bytes,
        }

    def inside(self, native: NativeLibrary, calls: int, deadline_us: float) -> dict[str, Value]:
        """Columns of calls timed in C: median, tail, and the ratio to only reading the constants."""
        seconds = native.seconds(self.images, calls)
        reads = float(np.median(native.read_seconds(self.exported.program.weights_bytes, calls)))
        middle, p95, p99 = np.quantile(seconds, [0.5, 0.95, 0.99]).tolist()
        return {
            "inside_us": middle * 1e6,
            "inside_p95_us": p95 * 1e6,
            "inside_p99_us": p99 * 1e6,
            "bandwidth_ratio": middle / reads,
            "suitable": p99 * 1e6 <= deadline_us,
        }

    def wrong(self, checked: CheckedBuild) -> bool:
        """Whether the logits of a build differ: integers in any bit, floats by more than the tolerance."""
        if checked.error is None:
            return False
        if self.step.noopt:
            return not checked.values["identical"]
        return checked.error > tolerance(self.reference.logits, ATOL, RTOL)

    def portable(self, target: str, checked: CheckedBuild) -> NativeLibrary | None:
        """The library of a target that this machine runs natively, built with its portable flags, to be timed."""
        compiler = zig()
        if compiler is None or not TARGETS[target].is_host or checked.values["ran"] != "ran":
            return None
        source = self.source.with_name("portable.c")
        source.write_text(self.exported.texts["model.c"])
        return NativeLibrary([*compiler, "-O2", "-mcpu=baseline"], source, self.exported.program.outputs)
