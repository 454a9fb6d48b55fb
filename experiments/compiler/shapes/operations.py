"""The operations whose shapes change: each checks the shapes it is given, and has its twin in numpy float64."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.compiler.shapes.shape import Shape, numbers, text_of
from experiments.models.functions import layers, tensors

SEED = 1
CHANNELS, KERNEL = 16, 3  # the course's weight of 16x3x3x3
HIDDEN, CLASSES = 128, 10


@dataclass(frozen=True)
class Operation:
    """A function of one realised tensor, with its weights on the device, and the same in numpy."""

    function: Callable[[Any], Any]
    reference: Callable[[Array], Array]


def check_shapes(name: str, shapes: Sequence[Shape]) -> None:
    """ValueError where the operation called `name` cannot be applied to these shapes with one and the same weight."""
    rank, what = (4, "batch x channels x height x width") if name == "conv2d" else (2, "batch x features")
    for shape in shapes:
        if len(shape) != rank:
            raise ValueError(f"{text_of(shape)} is not allowed for {name}; give {what}")
        if shape[1] != shapes[0][1]:
            raise ValueError(
                f"{text_of(shape)} is not allowed beside {text_of(shapes[0])}: the weight wants the same second size"
            )
        if name == "conv2d" and min(shape[2:]) < KERNEL:
            raise ValueError(f"{text_of(shape)} is not allowed; height and width must be at least {KERNEL}")


def output_shape(name: str, shape: Shape) -> Shape:
    """The shape of the result on an input of `shape`."""
    if name == "conv2d":
        return shape[0], CHANNELS, shape[2] - KERNEL + 1, shape[3] - KERNEL + 1
    return shape[0], CLASSES if name == "mlp" else shape[1]


def operation(name: str, second: int, device: str) -> Operation:
    """The operation called `name` for inputs whose second size (channels or features) is `second`.

    conv2d: a weight of 16 x channels x 3 x 3; matmul: a square weight; mlp: features-128-10 with ReLU between.
    """
    if name == "mlp":
        workload = layers(device, [second, HIDDEN, CLASSES])
        return Operation(workload.function, workload.reference)
    shape: Shape = (CHANNELS, second, KERNEL, KERNEL) if name == "conv2d" else (second, second)
    scale = (numbers(shape) / shape[0]) ** -0.5  # results of the order of one
    weight = (np.random.default_rng(SEED).standard_normal(shape) * scale).astype(np.float32)
    (held,) = tensors(device, weight)
    if name == "conv2d":
        return Operation(lambda x: x.conv2d(held).realize(), lambda x: convolved(x.astype(np.float64), weight))
    return Operation(lambda x: (x @ held).realize(), lambda x: x.astype(np.float64) @ weight)


def convolved(x: Array, weight: Array) -> Array:
    """The convolution of images with a weight, stride 1 and no padding: (n, c, h, w) to (n, k, h - 2, w - 2)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    summed: Array = np.einsum("nchwij,kcij->nkhw", windows, weight, optimize=True)
    return summed
