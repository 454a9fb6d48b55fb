"""Functions of one or a few kernels for BEAM search, each with seeded inputs and a float64 numpy reference."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.compiler.beam.spec import FILTER, KernelName, NumberFormat
from experiments.models.functions import SEED, FunctionModel


def matmul(dtype: NumberFormat) -> FunctionModel:
    """The product of two n x n matrices."""
    return FunctionModel(
        function=lambda a, b: (a @ b).realize(),
        sample=lambda n: _normal(dtype, (n, n), (n, n)),
        reference=lambda a, b: a.astype(np.float64) @ b.astype(np.float64),
    )


def conv2d(dtype: NumberFormat, images: int, channels: int, filters: int) -> FunctionModel:
    """A convolution of images of n x n pixels with 3 x 3 filters, padded to preserve the size."""
    return FunctionModel(
        function=lambda x, w: x.conv2d(w, padding=FILTER // 2).realize(),
        sample=lambda n: _normal(dtype, (images, channels, n, n), (filters, channels, FILTER, FILTER)),
        reference=_convolved,
    )


def _convolved(x: Array, w: Array) -> Array:
    n, reach = x.shape[-1], FILTER // 2
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    out: Array = np.zeros((len(x), len(w), n, n))
    for i, j in itertools.product(range(FILTER), repeat=2):
        out += np.einsum("icyx,fc->ifyx", padded[:, :, i : i + n, j : j + n], w[:, :, i, j], optimize=True)
    return out


def reduce(axis: int) -> FunctionModel:
    """The sums of an n x n matrix along its rows (axis 1) or its columns (axis 0)."""
    return FunctionModel(
        function=lambda x: x.sum(axis).realize(),
        sample=lambda n: _normal("float32", (n, n)),
        reference=lambda x: x.sum(axis, dtype=np.float64),
    )


def products() -> FunctionModel:
    """The course's two products, one of them of transposed matrices, rectified and summed along the rows."""
    return FunctionModel(
        function=lambda a, b: (a @ b + a.T @ b.T).relu().sum(1).realize(),
        sample=lambda n: _normal("float32", (n, n), (n, n)),
        reference=_products,
    )


def _products(a: Array, b: Array) -> Array:
    a, b = a.astype(np.float64), b.astype(np.float64)
    rows: Array = np.maximum(a @ b + a.T @ b.T, 0).sum(1)
    return rows


def outer_product() -> FunctionModel:
    """The course's sum of the outer product of column and row sums; of positive values, so that none cancel."""
    return FunctionModel(
        function=lambda x: (x.sum(0).reshape(-1, 1) @ x.sum(1).reshape(1, -1)).sum().realize(),
        sample=lambda n: (np.random.default_rng(SEED).random((n, n), dtype=np.float32) / n,),
        reference=lambda x: np.asarray(x.sum(dtype=np.float64) ** 2),
    )


def build(name: KernelName, dtype: NumberFormat, images: int, channels: int, filters: int) -> FunctionModel:
    """The function `name`; the last three parameters apply to the convolution."""
    builders: dict[KernelName, Callable[[], FunctionModel]] = {
        "matmul": lambda: matmul(dtype),
        "conv2d": lambda: conv2d(dtype, images, channels, filters),
        "row_reduce": lambda: reduce(1),
        "column_reduce": lambda: reduce(0),
        "products": products,
        "outer_product": outer_product,
    }
    return builders[name]()


def _normal(dtype: NumberFormat, *shapes: tuple[int, ...]) -> tuple[Any, ...]:
    rng = np.random.default_rng(SEED)
    return tuple(rng.standard_normal(shape, dtype=np.float32).astype(dtype) for shape in shapes)
