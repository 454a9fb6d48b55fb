"""Sparse layers as a program: for each output only the inputs that it uses are fetched and multiplied.

Rows are as long as the fullest output's, the shorter ones filled with zeros (the ELLPACK layout), so that one
kernel without branches serves all outputs. Only linear layers that are sparse enough are written so.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.network import Linear, Network, apply_tinygrad

MOST_KEPT = 0.5  # share of the inputs of the fullest output, above which a layer stays dense


def build_gather(network: Network, weights: Mapping[str, Array], device: str) -> Callable[[Any], Any] | None:
    """The network as a function of a realised float32 tensor (n, pixels) to realised logits (n, classes).

    None where no layer is sparse enough to be written as a gather. Weights and indices are realised on `device` once.
    """
    from experiments.bench.tinygrad.runtime import tensor

    stages: list[Callable[[Any], Any]] = []
    gathers = False
    for place in network.walk():
        weight = weights[place.weight]
        bias = tensor(weights[place.bias], device)
        fullest = int((weight != 0).reshape(len(weight), -1).sum(axis=1).max())
        if isinstance(place.layer, Linear) and fullest <= MOST_KEPT * place.layer.inputs:
            indices, values = (tensor(one, device) for one in rows_of(weight))
            stages.append(_gather(place.layer, indices, values, bias))
            gathers = True
        else:
            dense = tensor(np.ascontiguousarray(weight), device)
            stages.append(_dense(place.layer, place.input_shape, dense, bias))

    def forward(x: Any) -> Any:
        for stage in stages:
            x = stage(x)
        return x.realize()

    return forward if gathers else None


def rows_of(weight: Array) -> tuple[Array, Array]:
    """The nonzero inputs of every output of a weight [out, in], and their weights: int32 and float32 [out, fullest]."""
    used = weight != 0
    fullest = max(1, int(used.sum(axis=1).max()))
    indices = np.argsort(~used, axis=1, kind="stable")[:, :fullest]
    return indices.astype(np.int32), np.take_along_axis(weight, indices, axis=1).astype(np.float32)


def _gather(layer: Linear, indices: Any, values: Any, bias: Any) -> Callable[[Any], Any]:
    def stage(x: Any) -> Any:
        x = x.reshape(x.shape[0], -1)
        x = (x[:, indices] * values).sum(-1) + bias
        return x.relu().contiguous() if layer.relu else x

    return stage


def _dense(layer: Any, shape: tuple[int, ...], weight: Any, bias: Any) -> Callable[[Any], Any]:
    flat = isinstance(layer, Linear)
    return lambda x: apply_tinygrad(layer, weight, bias, x.reshape(x.shape[0], *((layer.inputs,) if flat else shape)))
