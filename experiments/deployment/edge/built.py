"""One step of a choice as a program of this machine: exported, built, checked, loaded, timed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.columns import Value
from experiments.bench.session import tolerance
from experiments.bench.tinygrad.runtime import tensor
from experiments.deployment.edge.checks import COMPARED_IMAGES, CheckedBuild, ReferenceOutputs, check_host
from experiments.deployment.edge.native import NativeLibrary
from experiments.export_c.exported import DEVICE, ExportedProgram
from experiments.export_c.steps import ExportStep
from experiments.export_c.targets import TARGETS, zig
from experiments.models.data.mnist import mnist

ATOL, RTOL = 1e-4, 1e-3  # float32 kernels, which a compiler may fuse otherwise; integers must agree to the bit


@dataclass(frozen=True, eq=False)
class BuiltProgram:
    """A step, its texts in `source`'s folder, what Python says, the checked build, and the library in this process."""

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
        """The images whose logits are compared, and that calls are timed with."""
        return self.reference.images[:COMPARED_IMAGES]

    def sizes(self) -> dict[str, Value]:
        """The columns that are the same for every target."""
        return {
            "source_bytes": len(self.exported.texts["model.c"]),
            "weights_bytes": self.exported.program.weights_bytes,
            "arena_bytes": self.exported.program.arena_bytes,
        }

    def inside(self, native: NativeLibrary, calls: int, deadline_us: float) -> dict[str, Value]:
        """Calls timed in C, without Python: median, tail, and how far from only reading the constants."""
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
        """Whether a build that ran says something else: other bits of integers, or floats beyond rounding."""
        if checked.error is None:
            return False
        if self.step.noopt:
            return not checked.values["identical"]
        return checked.error > tolerance(self.reference.logits, ATOL, RTOL)

    def portable(self, target: str, checked: CheckedBuild) -> NativeLibrary | None:
        """The library of a target that is this kind of machine, built as portably as its program, to be timed."""
        compiler = zig()
        if compiler is None or not TARGETS[target].is_host or checked.values["ran"] != "ran":
            return None
        source = self.source.with_name("portable.c")
        source.write_text(self.exported.texts["model.c"])
        return NativeLibrary([*compiler, "-O2", "-mcpu=baseline"], source, self.exported.program.outputs)
