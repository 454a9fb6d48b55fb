"""Timed programs of quantized variants; for one layer on a CPU also forms that the C compiler can vectorize."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.models.sequential.network import Linear
from experiments.models.techniques.quantization.post_training import QuantizedNetwork
from experiments.models.techniques.quantization.tinygrad_backend import build_forward

LANES = 16  # float32 numbers of the widest vector registers


@dataclass(frozen=True)
class QuantizedProgram:
    """A program of the variant `of`; `noopt` compiles it without tinygrad's optimizations."""

    of: str
    function: Callable[[Any], Any]
    noopt: bool = False


def programs_of(variants: Mapping[str, QuantizedNetwork], batch: int, device: str) -> dict[str, QuantizedProgram]:
    """One program per variant; for one linear layer at batch 1 also `noopt` (static) and `16 lanes` (float32).

    A C compiler may reorder an integer sum but not a float sum: without tinygrad's unrolling it vectorizes the
    integer loop, and 16 partial sums allow the same for float32.
    """
    programs = {name: QuantizedProgram(name, build_forward(model, device)) for name, model in variants.items()}
    for name, model in variants.items():
        layers = model.network.layers
        if batch > 1 or len(layers) > 1 or not isinstance(layers[0], Linear):
            continue
        if model.spec.scheme == "float32":
            programs[f"{name} {LANES} lanes"] = QuantizedProgram(name, in_lanes(model, device))
        if model.spec.scheme == "static":
            programs[f"{name} noopt"] = QuantizedProgram(name, programs[name].function, noopt=True)
    return programs


def in_lanes(quantized: QuantizedNetwork, device: str) -> Callable[[Any], Any]:
    """One linear float32 layer for one image (1, inputs), with 16 partial sums for each output."""
    from experiments.bench.tinygrad.runtime import tensor

    weights = quantized.float_weights()
    weight, bias = (tensor(weights[f"layers.0.{name}"], device) for name in ("weight", "bias"))
    outputs, inputs = weight.shape
    parts = weight.reshape(1, outputs, inputs // LANES, LANES)
    return lambda x: ((x.reshape(1, 1, inputs // LANES, LANES) * parts).sum(2).sum(2) + bias).realize()
