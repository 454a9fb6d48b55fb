"""The weights of a network and its forward pass: logits in numpy, the reference, and in tinygrad."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.network import Conv, Layer, Linear, Network, Weights

LayerHook = Callable[[str, Any], Any]

CHUNK_FLOATS = 2**22  # im2col of a whole test set would need gigabytes


def initial_weights(network: Network, seed: int) -> Weights:
    """Seeded float32 weights before training: normal with variance 2 / inputs of a unit; biases are zero.

    Source: He et al. 2015, Delving Deep into Rectifiers.
    """
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for node in network.walk():
        shape = node.layer.weight_shape
        scale = math.sqrt(2 / math.prod(shape[1:]))
        weights[node.weight] = (rng.standard_normal(shape) * scale).astype(np.float32)
        weights[node.bias] = np.zeros(shape[0], np.float32)
    return weights


def check_weights(network: Network, weights: Mapping[str, Array]) -> None:
    """Raises ValueError with a one-line message unless `weights` are finite numbers in the shapes of `network`."""
    wanted = network.shapes()
    if missing := sorted(wanted.keys() ^ weights.keys()):
        raise ValueError(f"weights of another network: {network.name} has {', '.join(wanted)}; differs in {missing[0]}")
    for name, shape in wanted.items():
        if weights[name].shape != shape:
            raise ValueError(f"weights of another network: {name} is {weights[name].shape}, {network.name} has {shape}")
        if not np.isfinite(weights[name]).all():
            raise ValueError(f"{name} contains NaN or infinity")


def forward_numpy(
    network: Network, weights: Mapping[str, Array], images: Array, before: LayerHook | None = None
) -> Array:
    """Logits (n, classes) of images (n, pixels) in the precision of `weights` and `images`.

    `before(name, x)` is called with the input of each layer, in the layer's input shape, and returns the input to
    use: to observe activations (return x) or to replace them. Convolutions are computed in chunks of images.
    """
    return np.concatenate([_forward_chunk(network, weights, chunk, before) for chunk in image_chunks(network, images)])


def image_chunks(network: Network, images: Array) -> list[Array]:
    """`images` in at least one part, each small enough for the im2col convolutions of `network`."""
    step = len(images) or 1
    for node in network.walk():
        if isinstance(node.layer, Conv):
            unrolled = math.prod(node.layer.positions(node.input_shape)) * math.prod(node.layer.weight_shape[1:])
            step = min(step, max(1, CHUNK_FLOATS // unrolled))
    return [images[start : start + step] for start in range(0, len(images), step)] or [images]


def _forward_chunk(network: Network, weights: Mapping[str, Array], images: Array, before: LayerHook | None) -> Array:
    x = images
    for node in network.walk():
        flat = isinstance(node.layer, Linear)
        x = x.reshape(len(x), *((node.layer.inputs,) if flat else node.input_shape))
        x = before(node.name, x) if before else x
        x = apply_numpy(node.layer, weights[node.weight], weights[node.bias], x)
    return x


def apply_numpy(layer: Layer, weight: Array, bias: Array, x: Array) -> Array:
    """One layer in numpy: product, bias, ReLU, pooling. x is (n, inputs) or (n, channels, height, width)."""
    x = product_numpy(layer, weight, x)
    x += bias.reshape(-1, *[1] * (x.ndim - 2))
    if layer.relu:
        np.maximum(x, 0, out=x)
    return pool_numpy(layer, x)


def product_numpy(layer: Layer, weight: Array, x: Array) -> Array:
    """The product alone, without bias, ReLU and pooling; integer inputs give integer results."""
    if isinstance(layer, Linear):
        return np.asarray(x @ weight.T)
    if layer.padding:
        edge = (layer.padding, layer.padding)
        x = np.pad(x, ((0, 0), (0, 0), edge, edge))
    windows = np.lib.stride_tricks.sliding_window_view(x, (layer.kernel, layer.kernel), axis=(2, 3))
    windows = windows[:, :, :: layer.stride, :: layer.stride].transpose(0, 1, 4, 5, 2, 3)
    count, rows, columns = len(x), *windows.shape[-2:]
    unrolled = windows.reshape(count, weight[0].size, rows * columns)
    return np.asarray(weight.reshape(layer.outputs, -1) @ unrolled).reshape(count, layer.outputs, rows, columns)


def pool_numpy(layer: Layer, x: Array) -> Array:
    """The pooling of a layer, if it has one; an odd last row or column is dropped."""
    if isinstance(layer, Linear) or layer.pool == "none":
        return x
    if layer.pool == "average":
        return np.asarray(x.mean(axis=(2, 3)))
    rows, columns = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    x = np.maximum(x[:, :, 0:rows:2, :columns], x[:, :, 1:rows:2, :columns])
    return np.asarray(
        np.maximum(x[..., 0::2], x[..., 1::2])
    )  # numpy takes 20 times as long for a maximum over tiny axes


def accuracy_numpy(network: Network, weights: Mapping[str, Array], images: Array, labels: Array) -> float:
    """The share of `images` whose largest logit is that of their label, 0..1."""
    return float((forward_numpy(network, weights, images).argmax(axis=1) == labels).mean())


def forward_tinygrad(network: Network, tensors: Mapping[str, Any], x: Any) -> Any:
    """Logits of a tinygrad tensor of images (n, pixels).

    Each layer's result is made contiguous: otherwise tinygrad 0.14.0 computes it a second time in the backward pass.
    """
    for node in network.walk():
        flat = isinstance(node.layer, Linear)
        x = x.reshape(x.shape[0], -1) if flat else x.reshape(x.shape[0], *node.input_shape)
        x = apply_tinygrad(node.layer, tensors[node.weight], tensors[node.bias], x)
    return x


def apply_tinygrad(layer: Layer, weight: Any, bias: Any, x: Any) -> Any:
    """One layer of tinygrad tensors, as `apply_numpy`."""
    if isinstance(layer, Linear):
        x = x.linear(weight.transpose(), bias)
        return x.relu().contiguous() if layer.relu else x
    x = x.conv2d(weight, bias, stride=layer.stride, padding=layer.padding)
    if layer.pool == "average":  # otherwise the gradient of the mean is computed again for every weight of the kernel
        x = x.contiguous_backward()
    x = (x.relu() if layer.relu else x).contiguous()
    if layer.pool == "average":
        return x.mean((2, 3)).contiguous()
    return _halve(x) if layer.pool == "max2" else x


def _halve(x: Any) -> Any:
    """The maximum of each 2x2 square; written as one maximum, its gradient is twice as fast as max_pool2d's."""
    count, channels, rows, columns = x.shape
    x = x.shrink((None, None, (0, rows // 2 * 2), (0, columns // 2 * 2)))
    return x.reshape(count, channels, rows // 2, 2, columns // 2, 2).max((3, 5)).contiguous()
