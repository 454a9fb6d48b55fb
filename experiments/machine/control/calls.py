"""The calls that the control compares with themselves: captures with separate weights, inputs and outputs."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.session import max_abs_error, tolerance

ROWS = 16  # of the inputs of products
SMALL, LAYERS = (64, 32, 16, 10), (784, 300, 100, 10)  # units of the two networks
ELEMENTS = 2**20  # of the elementwise chain
SHIFT = 7  # bits that an int8 layer drops from its int32 sums
ATOL, RTOL = 1e-4, 1e-4  # float32 sums against float64

Function = Callable[[Any, Sequence[Any]], Any]


class WrongResult(Exception):
    """A captured call that does not compute what numpy does; its timings would mean nothing."""


def captured(call: str, number_format: str, device: str) -> Callable[[], Any]:
    """A new capture of `call`, checked against numpy, as a function without arguments.

    WrongResult if the replay differs from the reference by more than rounding.
    """
    from experiments.bench.tinygrad.capture import capture
    from experiments.bench.tinygrad.runtime import tensor

    values, weights = _arrays(call, number_format == "int8")
    function = _chain if call == "chain" else _layers
    held = [tensor(one, device) for one in weights]
    inputs = tensor(values, device)
    jit, result = capture(lambda x: function(x, held).realize(), inputs)
    reference = _reference(call, values, weights)
    error = max_abs_error(result.numpy(), reference)
    if error > tolerance(reference, 0 if number_format == "int8" else ATOL, 0 if number_format == "int8" else RTOL):
        raise WrongResult(f"{call} in {number_format}: a replay differs from numpy by {error:.3g}")
    return lambda: jit(inputs)


def repeated(call: Callable[[], Any], times: int) -> Callable[[], None]:
    """`times` calls as one; all are queued or done when it returns."""

    def calls() -> None:
        for _ in range(times):
            call()

    return calls


def _arrays(call: str, integers: bool) -> tuple[Array, list[Array]]:
    """The inputs and the weights of a call, the same in every capture."""
    rng = np.random.default_rng(1)

    def draw(*shape: int, scale: float = 1.0) -> Array:
        if integers:
            return rng.integers(-8, 8, shape, np.int8)
        return rng.standard_normal(shape, np.float32) * np.float32(scale)

    if call == "chain":
        return draw(ELEMENTS), [draw(ELEMENTS)]
    widths = {"network": SMALL, "lenet_300_100": LAYERS}.get(call) or (int(call.removeprefix("matmul ")),) * 2
    pairs = itertools.pairwise(widths)
    return draw(ROWS, widths[0]), [draw(*pair, scale=(2 / pair[0]) ** 0.5) for pair in pairs]


def _layers(x: Any, weights: Sequence[Any]) -> Any:
    """Products with ReLU; in int8 with int32 sums, of which the low bits are dropped before the next layer."""
    from tinygrad import dtypes

    for weight in weights:
        if weight.dtype == dtypes.int8:
            x = ((x.cast(dtypes.int32) @ weight.cast(dtypes.int32)).relu() >> SHIFT).minimum(127).cast(dtypes.int8)
        else:
            x = (x @ weight).relu()
    return x


def _chain(x: Any, weights: Sequence[Any]) -> Any:
    """A fused chain of four elementwise operations on two vectors."""
    (other,) = weights
    return ((x + other).relu() * 2 - other).contiguous()


def _reference(call: str, values: Array, weights: Sequence[Array]) -> Array:
    """What a call computes, in numpy: float64, or exact integers."""
    integers = values.dtype == np.int8
    wide = np.int32 if integers else np.float64
    if call == "chain":
        doubled = np.maximum(np.add(values, weights[0], dtype=wide), 0) * 2
        chained: Array = np.subtract(doubled, weights[0], dtype=wide)
        return chained

    def layer(x: Array, weight: Array) -> Array:
        product: Array = np.maximum(np.matmul(x, weight, dtype=wide), 0)
        return np.minimum(np.right_shift(product, SHIFT), 127) if integers else product

    return functools.reduce(layer, weights, values)
