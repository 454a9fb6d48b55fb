"""The operations that shapes are tried on: their shapes, their tinygrad function, their float64 numpy reference."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.bench.arrays import Array
from experiments.models.functions import layers, tensors

TensorShape = tuple[int, ...]

SEED = 1
MAX_SIZE = 8192
CHANNELS, KERNEL = 16, 3  # the course's weight of 16x3x3x3
HIDDEN, CLASSES = 128, 10


@dataclass(frozen=True)
class Operation:
    """A function of one realized tensor, with its weights on the device, and its numpy reference."""

    function: Callable[[Any], Any]
    reference: Callable[[Array], Array]


def parse_shape(text: str) -> TensorShape:
    """The sizes of a shape written as `1x3x32x32`; a ValueError states the allowed values."""
    parts = text.lower().split("x")
    if not all(part.isdecimal() and len(part) < 9 and 1 <= int(part) <= MAX_SIZE for part in parts):
        raise ValueError(f"{text[:40]} is not a shape; give sizes from 1 to {MAX_SIZE} joined by x, such as 1x3x32x32")
    return tuple(int(part) for part in parts)


def format_shape(shape: TensorShape) -> str:
    """A shape as the columns have it: `1x3x32x32`."""
    return "x".join(map(str, shape))


def check_shapes(name: str, shapes: Sequence[TensorShape]) -> None:
    """Raises ValueError if the operation `name` cannot be applied to all these shapes with the same weight."""
    rank, dimensions = (4, "batch x channels x height x width") if name == "conv2d" else (2, "batch x features")
    for shape in shapes:
        text = format_shape(shape)
        if len(shape) != rank:
            raise ValueError(f"{text} is not allowed for {name}; give {dimensions}")
        if shape[1] != shapes[0][1]:
            first = format_shape(shapes[0])
            raise ValueError(f"{text} is not allowed with {first}: the weight requires the same second size")
        if name == "conv2d" and min(shape[2:]) < KERNEL:
            raise ValueError(f"{text} is not allowed; height and width must be at least {KERNEL}")


def output_shape(name: str, shape: TensorShape) -> TensorShape:
    """The shape of the result for an input of `shape`."""
    if name == "conv2d":
        return shape[0], CHANNELS, shape[2] - KERNEL + 1, shape[3] - KERNEL + 1
    return shape[0], CLASSES if name == "mlp" else shape[1]


def operation(name: str, second: int, device: str) -> Operation:
    """The operation `name` for inputs whose second size (channels or features) is `second`.

    conv2d: a weight of 16 x channels x 3 x 3; matmul: a square weight; mlp: features-128-10 with ReLU between.
    """
    import numpy as np

    if name == "mlp":
        workload = layers(device, [second, HIDDEN, CLASSES])
        return Operation(workload.function, workload.reference)
    shape: TensorShape = (CHANNELS, second, KERNEL, KERNEL) if name == "conv2d" else (second, second)
    scale = (math.prod(shape) / shape[0]) ** -0.5  # results of order one
    weight = (np.random.default_rng(SEED).standard_normal(shape) * scale).astype(np.float32)
    (on_device,) = tensors(device, weight)
    if name == "conv2d":
        return Operation(lambda x: x.conv2d(on_device).realize(), lambda x: convolve(x.astype(np.float64), weight))
    return Operation(lambda x: (x @ on_device).realize(), lambda x: x.astype(np.float64) @ weight)


def convolve(x: Array, weight: Array) -> Array:
    """The convolution of images with a weight, stride 1 and no padding: (n, c, h, w) to (n, k, h - 2, w - 2)."""
    import numpy as np

    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    summed: Array = np.einsum("nchwij,kcij->nkhw", windows, weight, optimize=True)
    return summed
