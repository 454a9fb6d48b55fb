"""Exports a network as a C program: captured on the CPU device, with all files of its zip.

`python -m experiments.export_c.export SPEC FILE` writes the zip of an ExportSpec (as JSON).
"""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.c_program import CProgram, NotExportable
from experiments.export_c.archive import archive
from experiments.export_c.source import header, source
from experiments.export_c.spec import ExportSpec
from experiments.export_c.steps import ExportStep, steps
from experiments.models.data.mnist import mnist
from experiments.models.sequential.description import describe_network
from experiments.models.sequential.network import Linear
from experiments.models.techniques.prune_units import layer_widths

DEVICE = "CPU"  # the device whose kernels are C
VECTOR_IMAGES = 16


@dataclass(frozen=True, eq=False)
class ExportedProgram:
    """A C program and its texts, with the captured TinyJit, its function and the input tensor of the capture."""

    program: CProgram
    jit: Any
    function: Callable[[Any], Any]
    input: Any
    title: str
    texts: dict[str, str]

    @classmethod
    def of(cls, step: ExportStep, label: str, row: Array) -> "ExportedProgram":
        """Captures the network of `step` at batch 1; raises NotExportable if it cannot be written in C."""
        from experiments.bench.tinygrad.c_kernels import export
        from experiments.bench.tinygrad.runtime import tensor

        image = tensor(np.ascontiguousarray(row, np.float32).reshape(1, -1), DEVICE)
        function = step.build(DEVICE)
        jit, program = export(function, image, noopt=step.noopt)
        title = f"{step.network.name} {shape(step)}, {label}"
        texts = {"model.c": source(program, title, version("tinygrad")), "model.h": header(program, title)}
        return cls(program, jit, function, image, title, texts)

    def zip(self, spec: ExportSpec, step: ExportStep, images: Array) -> bytes:
        """The zip, with a test vector of the first `images`."""
        first = images[:VECTOR_IMAGES]
        recipe = {
            "choice": spec.chosen(),
            "network": describe_network(step.network),
            "accuracy": step.accuracy,
            "exact": step.noopt,
            "tinygrad": version("tinygrad"),
            "model.c sha256": hashlib.sha256(self.texts["model.c"].encode()).hexdigest(),
        }
        return archive(self.program, self.title, self.texts, first, step.logits(first), recipe)


def shape(step: ExportStep) -> str:
    """`784-64-10`; for a convolutional network the outputs of its layers."""
    first = step.network.layers[0]
    widths = layer_widths(step.network)
    return f"{first.inputs}-{widths}" if isinstance(first, Linear) else widths


def main(spec_json: str, file: str) -> int:
    """Exit status 0, or 1 with one line on standard error."""
    spec, images = ExportSpec.model_validate_json(spec_json), mnist().test.images
    try:
        last = steps(spec, DEVICE, lambda _, message: _print(message))[-1]
        exported = ExportedProgram.of(last, spec.label, images[0])
    except (NotExportable, ValueError) as error:
        _print(str(error))
        return 1
    Path(file).write_bytes(exported.zip(spec, last, images))
    program = exported.program
    _print(
        f"{exported.title}: {last.accuracy:.2%} of the test images; model.c has {len(exported.texts['model.c']):,} "
        f"bytes, its constants {program.weights_bytes:,}, its arena {program.arena_bytes:,}"
    )
    return 0


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
