"""Observers: the range of a tensor's values that its integers should cover, chosen from a histogram.

A wide range makes coarse steps, a narrow one clips. `minmax` clips nothing; `percentile` clips a fixed share;
`mse` makes the mean squared error smallest; `entropy` keeps the distribution's shape (least KL divergence).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.techniques.quantization.affine import QParams, qparams_from_range
from experiments.models.techniques.quantization.spec import Observer

Range = tuple[float, float]

BINS = 2048
CANDIDATES = 100  # shares of the full range that `mse` tries
MIN_SHARE = 1e-4
STRIDE = 8  # bins between two thresholds that `entropy` tries


@dataclass(frozen=True, eq=False)
class Histogram:
    """`counts` of values in equal bins from `lo` to `hi`, the exact extremes extended to include 0."""

    lo: float
    hi: float
    counts: Array

    @property
    def width(self) -> float:
        """The width of one bin."""
        return (self.hi - self.lo) / len(self.counts)

    @property
    def edges(self) -> Array:
        """The edges of the bins, one more than there are bins."""
        return np.linspace(self.lo, self.hi, len(self.counts) + 1)

    @property
    def centers(self) -> Array:
        """The center of each bin, which represents all values in it."""
        return self.lo + (np.arange(len(self.counts)) + 0.5) * self.width

    def coarser(self, bins: int) -> "Histogram":
        """The same histogram in fewer bins, for figures; their number must divide that of the bins."""
        if bins < 1 or len(self.counts) % bins:
            raise ValueError(f"bins: {bins} does not divide {len(self.counts)}")
        return Histogram(self.lo, self.hi, self.counts.reshape(bins, -1).sum(axis=1))


@dataclass(frozen=True)
class QuantizationError:
    """The error of quantizing the values of a histogram with the range `lo` to `hi`.

    `clipped`: share of the values outside the range. `mse`: mean squared error. `sqnr_db`: ratio of the values' power
    to `mse` in decibels, None without an error.
    """

    lo: float
    hi: float
    clipped: float
    mse: float
    sqnr_db: float | None


def histogram(name: str, parts: Iterable[Array], extremes: Range | None = None) -> Histogram:
    """The histogram of all numbers in `parts`; with known `extremes` they are read only once.

    Raises ValueError if a number is NaN or infinite, or if all are 0: a tensor without a range has no scale.
    """
    if extremes is None:
        parts = list(parts)
        extremes = min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)
    if not all(map(math.isfinite, extremes)):
        raise ValueError(f"{name} contains NaN or infinity")
    lo, hi = min(extremes[0], 0.0), max(extremes[1], 0.0)
    if lo == hi:
        raise ValueError(f"{name} is 0 everywhere, so it has no range to quantize")
    counts = np.zeros(BINS, np.int64)
    for part in parts:
        counts += np.histogram(part, BINS, (lo, hi))[0]
    return Histogram(lo, hi, counts)


def choose_range(observer: Observer, seen: Histogram, bits: int, symmetric: bool, percentile: float = 0.999) -> Range:
    """The range, including 0, that `observer` chooses for integers of `bits` bits."""
    match observer:
        case "minmax":
            return seen.lo, seen.hi
        case "percentile":
            return _percentile(seen, percentile)
        case "mse":
            shares = [part / CANDIDATES for part in range(CANDIDATES, 0, -1)]
            errors = [
                _squared_error(seen, qparams_from_range(seen.lo * s, seen.hi * s, bits, symmetric)) for s in shares
            ]
            best = shares[int(np.argmin(errors))]
            return seen.lo * best, seen.hi * best
        case "entropy":
            threshold = _least_divergence(seen, bits)
            return max(seen.lo, -threshold), min(seen.hi, threshold)


def quantization_error(seen: Histogram, chosen: Range, bits: int, symmetric: bool) -> QuantizationError:
    """The error of quantizing the values of a histogram to `bits` bits with the range `chosen`."""
    lo, hi = chosen
    centers, total = seen.centers, max(int(seen.counts.sum()), 1)
    clipped = float(seen.counts[(centers < lo) | (centers > hi)].sum() / total)
    error = _squared_error(seen, qparams_from_range(lo, hi, bits, symmetric))
    return QuantizationError(lo, hi, clipped, error, sqnr_db(float((seen.counts * centers**2).sum() / total), error))


def sqnr_db(power: float, error: float) -> float | None:
    """10 log10(power / error); None if either is 0. sqnr_db(1, 0.001) == 30."""
    return 10 * math.log10(power / error) if power > 0 and error > 0 else None


def _squared_error(seen: Histogram, qparams: QParams) -> float:
    centers = seen.centers
    off = centers - qparams.dequantize(qparams.quantize(centers), np.float64)
    return float((seen.counts * off**2).sum() / max(int(seen.counts.sum()), 1))


def _percentile(seen: Histogram, share: float) -> Range:
    """The range that includes `share` of the values; with negative ones, both tails lose the same share."""
    if seen.lo == 0:
        return 0.0, _quantile(seen, share)
    tail = (1 - share) / 2
    return min(_quantile(seen, tail), 0.0), max(_quantile(seen, 1 - tail), 0.0)


def _quantile(seen: Histogram, share: float) -> float:
    """The value below which `share` of the values lie, values spread evenly within their bin."""
    below = np.concatenate([[0], np.cumsum(seen.counts)])
    return float(np.interp(share * below[-1], below, seen.edges)) or seen.width


def _least_divergence(seen: Histogram, bits: int) -> float:
    """The threshold on |value| with the least KL divergence of the clipped values from their quantized form.

    Source: S. Migacz, 8-bit Inference with TensorRT, GTC 2017. As in NVIDIA's pytorch-quantization the first bin
    counts like the second: ReLU piles up zeros there, and zero is exact whatever the threshold. As in MXNet a bin
    that only clipped values reach has the probability 1e-4 in the quantized form, not 0.
    """
    magnitudes = seen if seen.lo == 0 else _magnitudes(seen)
    counts = magnitudes.counts.astype(np.float64)
    counts[0] = counts[1]
    levels = 2**bits if seen.lo == 0 else 2 ** (bits - 1)
    tried = [*range(min(max(levels, BINS // 16), len(counts)), len(counts), STRIDE), len(counts)]
    best = min(reversed(tried), key=lambda bins: _divergence(counts, bins, levels))
    return float(best * magnitudes.width)


def _divergence(counts: Array, bins: int, levels: int) -> float:
    """KL divergence of the first `bins` bins, the rest clipped into the last, from their merging into `levels`."""
    kept = counts[:bins]
    clipped = kept.copy()
    clipped[-1] += counts[bins:].sum()
    level = np.arange(bins) * levels // bins
    filled = np.bincount(level, kept > 0, levels)
    share = np.bincount(level, kept, levels) / np.maximum(filled, 1)
    merged = np.where(kept > 0, share[level], 0)  # spread over the bins that were not empty
    there = clipped > 0
    if not merged.any():
        return math.inf
    p, q = clipped[there] / clipped.sum(), np.maximum(merged[there] / merged.sum(), MIN_SHARE)
    return float((p * np.log(p / q)).sum())


def _magnitudes(seen: Histogram) -> Histogram:
    top = max(-seen.lo, seen.hi)
    counts = np.histogram(np.abs(seen.centers), BINS, (0, top), weights=seen.counts)[0]
    return Histogram(0.0, top, counts)
