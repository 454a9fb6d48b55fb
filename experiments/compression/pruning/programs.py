"""Timed programs of a pruned network: dense kernels on the stored model, or gathers that skip the zero weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.compression.pruning.pruning_and_fine_tuning import PrunedModel
from experiments.models.compiled import CapturedNetwork, capture_network
from experiments.models.sequential.forward import apply_tinygrad, forward_numpy
from experiments.models.sequential.network import Linear, Network
from experiments.models.techniques.quantization.tinygrad_backend import build_forward

MAX_GATHER_SHARE = 0.5  # nonzero inputs of the fullest output, as a share; above it a layer stays dense


@dataclass(frozen=True)
class PrunedProgram:
    """A captured program whose `form` is dense, smaller or gather."""

    form: str
    program: CapturedNetwork


def programs_of(
    network: Network, name: str, pruned: PrunedModel, device: str, images: Array
) -> dict[str, PrunedProgram]:
    """The programs of a pruned model of `network`, by name, captured on `device` for `images` (n, pixels).

    `name` runs the model restored from its file. `name gather` is added where weights were pruned and a layer is
    sparse enough. Both are checked against the whole network with zeros, in numpy float64.
    """
    smaller = pruned.model.network != network
    functions = {name: ("smaller" if smaller else "dense", build_forward(pruned.model, device))}
    if not smaller and (gather := build_gather(network, pruned.weights, device)):
        functions[f"{name} gather"] = ("gather", gather)
    exact = {key: weight.astype(np.float64) for key, weight in pruned.weights.items()}
    reference = forward_numpy(network, exact, images.astype(np.float64))[:, pruned.outputs]
    return {
        key: PrunedProgram(form, capture_network(function, images, reference, device))
        for key, (form, function) in functions.items()
    }


def build_gather(network: Network, weights: Mapping[str, Array], device: str) -> Callable[[Any], Any] | None:
    """The network as a function from a realized float32 tensor (n, pixels) to realized logits (n, classes).

    For each output of a sparse linear layer only the inputs with a nonzero weight are fetched and multiplied. Rows
    are padded with zeros to the longest one (the ELLPACK layout), so that one kernel without branches computes all
    outputs. None if no layer is sparse enough. Weights and indices are realized on `device` once.
    """
    from experiments.bench.tinygrad.runtime import tensor

    layers: list[Callable[[Any], Any]] = []
    gathers = False
    for place in network.walk():
        weight = weights[place.weight]
        bias = tensor(weights[place.bias], device)
        fullest = int((weight != 0).reshape(len(weight), -1).sum(axis=1).max())
        if isinstance(place.layer, Linear) and fullest <= MAX_GATHER_SHARE * place.layer.inputs:
            indices, values = (tensor(array, device) for array in nonzero_rows(weight))
            layers.append(_gather(place.layer, indices, values, bias))
            gathers = True
        else:
            dense = tensor(np.ascontiguousarray(weight), device)
            layers.append(_dense(place.layer, place.input_shape, dense, bias))

    def forward(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x.realize()

    return forward if gathers else None


def nonzero_rows(weight: Array) -> tuple[Array, Array]:
    """Indices (int32) and weights (float32) of the nonzero inputs of every output of `weight` [out, in].

    Both are [out, longest row]; shorter rows are padded with zero weights.
    """
    used = weight != 0
    longest = max(1, int(used.sum(axis=1).max()))
    indices = np.argsort(~used, axis=1, kind="stable")[:, :longest]
    return indices.astype(np.int32), np.take_along_axis(weight, indices, axis=1).astype(np.float32)


def _gather(layer: Linear, indices: Any, values: Any, bias: Any) -> Callable[[Any], Any]:
    def forward(x: Any) -> Any:
        x = x.reshape(x.shape[0], -1)
        x = (x[:, indices] * values).sum(-1) + bias
        return x.relu().contiguous() if layer.relu else x

    return forward


def _dense(layer: Any, shape: tuple[int, ...], weight: Any, bias: Any) -> Callable[[Any], Any]:
    flat = isinstance(layer, Linear)
    return lambda x: apply_tinygrad(layer, weight, bias, x.reshape(x.shape[0], *((layer.inputs,) if flat else shape)))
