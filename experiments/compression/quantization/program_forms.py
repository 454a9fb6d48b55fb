"""Several ways to write the same network as a program: where the compiler matters as much as the bits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.models.sequential.network import Linear
from experiments.models.techniques.quantization.post_training import QuantizedNetwork
from experiments.models.techniques.quantization.tinygrad_backend import build_forward

LANES = 16  # float32 numbers of the widest vector registers


@dataclass(frozen=True)
class Form:
    """A program for the variant `of`; `noopt` compiles it without tinygrad's optimisations."""

    of: str
    function: Callable[[Any], Any]
    noopt: bool = False


def forms_of(made: Mapping[str, QuantizedNetwork], batch: int, device: str) -> dict[str, Form]:
    """Every variant as it is, and for one layer at batch 1 also the forms that suit a CPU's compiler.

    An integer sum may be reordered by the C compiler, a float sum may not: without tinygrad's own unrolling the
    integer loop is vectorised, and float32 gets the same chance by 16 partial sums side by side.
    """
    forms = {name: Form(name, build_forward(one, device)) for name, one in made.items()}
    for name, one in made.items():
        layers = one.network.layers
        if batch > 1 or len(layers) > 1 or not isinstance(layers[0], Linear):
            continue
        if one.spec.scheme == "float32":
            forms[f"{name} {LANES} lanes"] = Form(name, lanes(one, device))
        if one.spec.scheme == "static":
            forms[f"{name} noopt"] = Form(name, forms[name].function, noopt=True)
    return forms


def lanes(quantized: QuantizedNetwork, device: str) -> Callable[[Any], Any]:
    """One image (1, in) through one linear float32 layer, with 16 partial sums for each output."""
    from experiments.bench.tinygrad.runtime import tensor

    weights = quantized.float_weights()
    weight, bias = (tensor(weights[f"layers.0.{name}"], device) for name in ("weight", "bias"))
    outputs, into = weight.shape
    parts = weight.reshape(1, outputs, into // LANES, LANES)
    return lambda x: ((x.reshape(1, 1, into // LANES, LANES) * parts).sum(2).sum(2) + bias).realize()
