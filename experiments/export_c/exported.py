"""One step of a choice as a program: captured on the CPU device, checked against Python, with all texts."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.c_program import CProgram
from experiments.export_c.archive import archive
from experiments.export_c.source import header, source
from experiments.export_c.spec import ExportSpec
from experiments.export_c.steps import ExportStep
from experiments.models.sequential.description import describe_network
from experiments.models.sequential.network import Linear
from experiments.models.techniques.prune_units import layer_widths

DEVICE = "CPU"  # the device whose kernels are C
VECTOR_IMAGES = 16


@dataclass(frozen=True, eq=False)
class ExportedProgram:
    """A program, its captured TinyJit and function with the input they ran on, and the texts made of it."""

    program: CProgram
    jit: Any
    function: Callable[[Any], Any]
    input: Any
    title: str
    texts: dict[str, str]

    @classmethod
    def of(cls, step: ExportStep, label: str, row: Array) -> "ExportedProgram":
        """Captures the network of `step` at batch 1; raises NotExportable where C cannot be made of it."""
        from experiments.bench.tinygrad.c_kernels import export
        from experiments.bench.tinygrad.runtime import tensor

        given = tensor(np.ascontiguousarray(row, np.float32).reshape(1, -1), DEVICE)
        function = step.build(DEVICE)
        jit, program = export(function, given, noopt=step.noopt)
        title = f"{step.network.name} {shape(step)}, {label}"
        texts = {"model.c": source(program, title, version("tinygrad")), "model.h": header(program, title)}
        return cls(program, jit, function, given, title, texts)

    def zip(self, choice: ExportSpec, step: ExportStep, images: Array) -> bytes:
        """The archive, with a test vector of the first `images`."""
        few = images[:VECTOR_IMAGES]
        recipe = {
            "choice": choice.chosen(),
            "network": describe_network(step.network),
            "accuracy": step.accuracy,
            "exact": step.noopt,
            "tinygrad": version("tinygrad"),
            "model.c sha256": hashlib.sha256(self.texts["model.c"].encode()).hexdigest(),
        }
        return archive(self.program, self.title, self.texts, few, step.logits(few), recipe)


def shape(step: ExportStep) -> str:
    """`784-64-10`; a network of convolutions by the outputs of its layers."""
    first = step.network.layers[0]
    return f"{first.inputs}-{layer_widths(step.network)}" if isinstance(first, Linear) else layer_widths(step.network)
