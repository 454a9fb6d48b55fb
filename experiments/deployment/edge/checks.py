"""Programs built, run and compared with Python: what is said of one build, as columns of a row."""

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.columns import Value
from experiments.bench.session import max_abs_error
from experiments.bench.statistics.intervals import median, wilson
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
)

COMPARED_IMAGES = 100
WHOLE_SET_S = 60.0  # an emulator that would take longer for all test images runs the compared ones alone
STARTS = 15
RAN, BUILT, NO_COMPILER, FAILED = "ran", "built, not run", "no compiler", "failed"


@dataclass(frozen=True, eq=False)
class ReferenceOutputs:
    """What a program must say: test images (n, pixels) and labels, and Python's logits of the first ones."""

    images: Array
    labels: Array
    logits: Array


@dataclass
class CheckedBuild:
    """One build: `values` are columns, `binary` the file, `command` what starts it here, or None."""

    values: dict[str, Value] = field(default_factory=dict)
    binary: bytes = b""
    command: list[str] | None = None

    @property
    def error(self) -> float | None:
        """The largest difference from Python's logits, None where it did not run."""
        seen = self.values.get("max_abs_error")
        return float(seen) if isinstance(seen, float) else None


def check_target(name: str, source: Path, outputs: int, reference: ReferenceOutputs) -> CheckedBuild:
    """Builds `source` for a target, and runs it where something here can; what goes wrong becomes the row's note."""
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
            checked.values["note"] = f"{target.emulator or 'nothing that runs it'} is not installed"
        else:
            checked.command = [*start, str(output)]
            _compare(checked, lambda rows: run([*start, str(output)], rows), reference, outputs)
    except ProgramError as error:
        missing = "pip install" in str(error)
        checked.values |= {"ran": NO_COMPILER if missing else FAILED, "note": str(error)}
    return checked


def check_host(source: Path, outputs: int, reference: ReferenceOutputs) -> tuple[CheckedBuild, list[str]]:
    """Builds and runs `source` for this machine's own instruction set; also the compiler's call, without a file.

    ProgramError where this machine has no C compiler.
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
    """Median milliseconds from starting the program to its end with the logits of one row."""
    seconds = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run(command, input=row.astype(np.float32).tobytes(), capture_output=True, check=True, timeout=60)
        seconds.append(time.perf_counter() - began)
    return median(seconds) * 1e3


def _compare(checked: CheckedBuild, program: Any, reference: ReferenceOutputs, outputs: int) -> None:
    """Feeds the compared images, then the whole test set where that does not take too long."""
    few = reference.images[:COMPARED_IMAGES]
    began = time.perf_counter()
    seen = _logits(program, few, outputs)
    each_s = (time.perf_counter() - began) / len(few)
    wanted = reference.logits[: len(few)]
    checked.values |= {
        "ran": RAN,
        "max_abs_error": max_abs_error(seen, wanted),
        "identical": bool(np.array_equal(seen.view(np.int32), wanted.view(np.int32))),
    }
    if each_s * len(reference.images) > WHOLE_SET_S:
        checked.values["note"] = f"only {len(few)} images: the emulator is slow"
        return
    said = _logits(program, reference.images, outputs).argmax(axis=1)
    right = wilson(int((said == reference.labels).sum()), len(said))
    checked.values |= {"accuracy": right.median, "accuracy_lo": right.lo, "accuracy_hi": right.hi}


def _logits(program: Any, images: Array, outputs: int) -> Array:
    made = np.frombuffer(program(images.astype(np.float32).tobytes()), np.float32)
    if made.size != len(images) * outputs:
        raise ProgramError(f"the program wrote {made.size} numbers for {len(images)} rows of {outputs}")
    return made.reshape(-1, outputs)
