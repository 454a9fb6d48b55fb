"""Uniform integer grids: which real numbers the integers of a quantized tensor stand for."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array

FEWEST_BITS, MOST_BITS = 2, 8
SMALLEST = float(np.finfo(np.float32).tiny) * 2**10  # scales below it have no reciprocal in float32


@dataclass(frozen=True, eq=False)
class Grid:
    """real = scale * (integer - zero), integers from `low` to `high`.

    `scales` (float32) and `zeros` (int32) have one entry for the whole tensor, or one for each index of its first axis.
    """

    scales: Array
    zeros: Array
    low: int
    high: int

    @property
    def dtype(self) -> type[np.int8] | type[np.uint8]:
        """The byte type that holds every integer of the grid."""
        return np.int8 if self.low < 0 else np.uint8

    @property
    def scale(self) -> np.float32:
        """The scale of a grid that has one."""
        return np.float32(self.scales.item())

    @property
    def zero(self) -> int:
        """The zero point of a grid that has one."""
        return int(self.zeros.item())

    @property
    def inverse(self) -> Array:
        """1 / scale in float32: all forms multiply by this same number, so that they round alike."""
        return np.asarray(np.float32(1) / self.scales)

    def quantize(self, real: Array) -> Array:
        """The nearest integers, halves to even; what lies beyond the ends is clipped to them."""
        nearest = np.rint(real * _along(self.inverse, real)) + _along(self.zeros, real)
        return np.asarray(np.clip(nearest, self.low, self.high).astype(self.dtype))

    def centred(self, integers: Array, dtype: Any = np.int32) -> Array:
        """integer - zero: what integer products multiply, as `dtype`."""
        return np.asarray(integers.astype(dtype) - _along(self.zeros, integers).astype(dtype))

    def real(self, integers: Array, dtype: Any = np.float32) -> Array:
        """The numbers that the integers stand for."""
        return np.asarray(self.centred(integers, dtype) * _along(self.scales, integers).astype(dtype))


def grid_over(lo: Array | float, hi: Array | float, bits: int, symmetric: bool) -> Grid:
    """The grid of `bits` bits over the range `lo` to `hi`, widened to hold 0; arrays give one grid per entry.

    Symmetric: the zero point is 0 and the integers are -(2^(bits-1) - 1) to 2^(bits-1) - 1, or 0 to 2^bits - 1 where
    nothing is negative. Asymmetric: 0 to 2^bits - 1 and a zero point for each scale, so that 0 is always exact.
    A range of only 0 gets the widest scale of the others, or 1: its integers are all the zero point.
    """
    check_bits("bits", bits)
    lo = np.minimum(np.atleast_1d(np.asarray(lo, np.float64)), 0)
    hi = np.maximum(np.atleast_1d(np.asarray(hi, np.float64)), 0)
    signed = bool((lo < 0).any())
    low, high = (-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1) if symmetric and signed else (0, 2**bits - 1)
    scales = np.maximum(-lo, hi) / high if symmetric else (hi - lo) / (high - low)
    widest = float(scales.max())
    scales = np.where(scales < SMALLEST, widest if widest >= SMALLEST else 1.0, scales).astype(np.float32)
    zeros = np.zeros(len(scales)) if symmetric else np.clip(np.rint(low - lo / scales), low, high)
    return Grid(scales, zeros.astype(np.int32), low, high)


def check_bits(field: str, bits: int) -> None:
    """ValueError where `bits` is not 2 to 8: one bit has no level beside zero."""
    if not FEWEST_BITS <= bits <= MOST_BITS:
        raise ValueError(f"{field}: {bits} is not allowed; give {FEWEST_BITS} to {MOST_BITS}")


def _along(values: Array, tensor: Array) -> Array:
    """One value for all, or one for each index of the first axis, shaped to broadcast against `tensor`."""
    return values.reshape(-1, *[1] * (tensor.ndim - 1)) if len(values) > 1 else values.reshape(())
