"""A network with batch normalization after its convolutions: computed in numpy and tinygrad, and folded away.

The weights are those of the network and, for each convolution, `layers.0.norm.scale`, `.shift`, `.mean` and
`.variance`, one number per channel. Source: Ioffe & Szegedy 2015, Batch Normalization.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.forward import apply_tinygrad, image_chunks, pool_numpy, product_numpy
from experiments.models.sequential.network import NORMED, Conv, Network, Weights, cnn

EPSILON = 1e-5
PARTS = ("scale", "shift", "mean", "variance")
NormFunction = Callable[[str, Any], Any]  # layer name and its output before normalization -> normalized


def cnn_with_batch_norm() -> Network:
    """The cnn, named as the bundled file of its weights with batch normalization."""
    return dataclasses.replace(cnn(), name=NORMED)


def convolutions(network: Network) -> dict[str, int]:
    """The layers that are followed by batch normalization, and their channels."""
    return {node.name: node.layer.outputs for node in network.walk() if isinstance(node.layer, Conv)}


def check_normed(network: Network, weights: Mapping[str, Array]) -> None:
    """Raises ValueError if a normalization parameter is missing, misshapen, not finite, or a negative variance."""
    for layer, channels in convolutions(network).items():
        for part in PARTS:
            values = weights.get(f"{layer}.norm.{part}")
            if values is None or values.shape != (channels,) or not np.isfinite(values).all():
                raise ValueError(f"{layer}.norm.{part} is not {channels} finite numbers")
        if (weights[f"{layer}.norm.variance"] < 0).any():
            raise ValueError(f"{layer}.norm.variance contains a negative variance")


def fold(network: Network, weights: Mapping[str, Array]) -> Weights:
    """The weights of the equivalent network without normalization: it becomes part of weight and bias.

    Computed in float64, rounded to float32 once.
    """
    check_normed(network, weights)
    folded = {name: weights[name] for name in network.shapes()}
    for layer in convolutions(network):
        scale, shift, mean, variance = (weights[f"{layer}.norm.{part}"].astype(np.float64) for part in PARTS)
        factor = scale / np.sqrt(variance + EPSILON)
        weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        folded[f"{layer}.weight"] = (weight * factor.reshape(-1, 1, 1, 1)).astype(np.float32)
        folded[f"{layer}.bias"] = ((bias - mean) * factor + shift).astype(np.float32)
    return folded


def forward_normed_numpy(network: Network, weights: Mapping[str, Array], images: Array) -> Array:
    """Logits (n, classes) of images (n, pixels), with every normalization computed separately."""
    return np.concatenate([_forward_chunk(network, weights, chunk) for chunk in image_chunks(network, images)])


def _forward_chunk(network: Network, weights: Mapping[str, Array], x: Array) -> Array:
    for node in network.walk():
        layer, convolution = node.layer, isinstance(node.layer, Conv)
        x = x.reshape(len(x), *(node.input_shape if convolution else (-1,)))
        x = product_numpy(layer, weights[node.weight], x)
        x = x + weights[node.bias].reshape(-1, *[1] * (x.ndim - 2))
        if convolution:
            parts = (weights[f"{node.name}.norm.{part}"].reshape(-1, 1, 1) for part in PARTS)
            scale, shift, mean, variance = parts
            x = (x - mean) / np.sqrt(variance + np.float32(EPSILON)) * scale + shift
        x = pool_numpy(layer, np.maximum(x, 0) if layer.relu else x)
    return x


def build_normed(network: Network, weights: Mapping[str, Array], device: str) -> Callable[[Any], Any]:
    """The network as a function of a realized float32 tensor (n, pixels), normalization inside its kernels."""
    from experiments.bench.tinygrad.runtime import tensor

    check_normed(network, weights)
    tensors = {name: tensor(values, device) for name, values in weights.items()}

    def normalize(layer: str, x: Any) -> Any:
        return apply_norm(tensors, layer, x, tensors[f"{layer}.norm.mean"], tensors[f"{layer}.norm.variance"])

    return lambda x: forward_normed(network, tensors, x, normalize).realize()


def forward_normed(network: Network, tensors: Mapping[str, Any], x: Any, normalize: NormFunction) -> Any:
    """Logits of a tinygrad tensor of images (n, pixels), with `normalize(layer, x)` after each convolution."""
    for node in network.walk():
        layer, weight, bias = node.layer, tensors[node.weight], tensors[node.bias]
        if not isinstance(layer, Conv):
            x = apply_tinygrad(layer, weight, bias, x.reshape(x.shape[0], -1))
            continue
        x = x.reshape(x.shape[0], *node.input_shape)
        x = x.conv2d(weight, bias, stride=layer.stride, padding=layer.padding)
        x = normalize(node.name, x)
        x = (x.relu() if layer.relu else x).contiguous()
        match layer.pool:
            case "average":
                x = x.mean((2, 3)).contiguous()
            case "max2":
                x = x.max_pool2d(2).contiguous()
    return x


def apply_norm(tensors: Mapping[str, Any], layer: str, x: Any, mean: Any, variance: Any) -> Any:
    scale, shift = (tensors[f"{layer}.norm.{part}"].reshape(1, -1, 1, 1) for part in ("scale", "shift"))
    return (x - mean.reshape(1, -1, 1, 1)) / (variance.reshape(1, -1, 1, 1) + EPSILON).sqrt() * scale + shift
