"""Affine quantization: scale, zero point and range of integers, and the conversion of real numbers with them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.techniques.quantization.spec import check_bits

MIN_SCALE = float(np.finfo(np.float32).tiny) * 2**10  # scales below it have no reciprocal in float32


@dataclass(frozen=True, eq=False)
class QParams:
    """Quantization parameters: real = scale * (integer - zero point), integers from `qmin` to `qmax`.

    `scales` (float32) and `zero_points` (int32) have one entry per tensor, or one per index of its first axis.
    """

    scales: Array
    zero_points: Array
    qmin: int
    qmax: int

    @property
    def dtype(self) -> type[np.int8] | type[np.uint8]:
        """The byte type that holds all its integers."""
        return np.int8 if self.qmin < 0 else np.uint8

    @property
    def scale(self) -> np.float32:
        """The scale of a whole tensor."""
        return np.float32(self.scales.item())

    @property
    def zero_point(self) -> int:
        """The zero point of a whole tensor."""
        return int(self.zero_points.item())

    @property
    def inverse_scales(self) -> Array:
        """1 / scale in float32: every backend multiplies by this number, so that all round alike."""
        return np.asarray(np.float32(1) / self.scales)

    def quantize(self, real: Array) -> Array:
        """The nearest integers, halves to even, clipped to `qmin` and `qmax`."""
        nearest = np.rint(real * _along(self.inverse_scales, real)) + _along(self.zero_points, real)
        return np.asarray(np.clip(nearest, self.qmin, self.qmax).astype(self.dtype))

    def subtract_zero_point(self, integers: Array, dtype: Any = np.int32) -> Array:
        """integer - zero point, the factor in integer products, as `dtype`."""
        return np.asarray(integers.astype(dtype) - _along(self.zero_points, integers).astype(dtype))

    def dequantize(self, integers: Array, dtype: Any = np.float32) -> Array:
        """The real numbers that the integers represent."""
        return np.asarray(self.subtract_zero_point(integers, dtype) * _along(self.scales, integers).astype(dtype))


def qparams_from_range(lo: Array | float, hi: Array | float, bits: int, symmetric: bool) -> QParams:
    """The parameters of `bits` bits for the range `lo` to `hi`, extended to include 0; arrays: one scale per entry.

    Symmetric: the zero point is 0 and the integers are -(2^(bits-1) - 1) to 2^(bits-1) - 1, or 0 to 2^bits - 1 if
    nothing is negative. Asymmetric: 0 to 2^bits - 1 and a zero point for each scale, so that 0 is always exact.
    A range of only 0 gets the largest scale of the others, or 1; all its integers are the zero point.
    """
    check_bits("bits", bits)
    lo = np.minimum(np.atleast_1d(np.asarray(lo, np.float64)), 0)
    hi = np.maximum(np.atleast_1d(np.asarray(hi, np.float64)), 0)
    signed = bool((lo < 0).any())
    low, high = (-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1) if symmetric and signed else (0, 2**bits - 1)
    scales = np.maximum(-lo, hi) / high if symmetric else (hi - lo) / (high - low)
    widest = float(scales.max())
    scales = np.where(scales < MIN_SCALE, widest if widest >= MIN_SCALE else 1.0, scales).astype(np.float32)
    zeros = np.zeros(len(scales)) if symmetric else np.clip(np.rint(low - lo / scales), low, high)
    return QParams(scales, zeros.astype(np.int32), low, high)


def _along(values: Array, tensor: Array) -> Array:
    """One value, or one per index of the first axis, shaped to broadcast against `tensor`."""
    return values.reshape(-1, *[1] * (tensor.ndim - 1)) if len(values) > 1 else values.reshape(())
