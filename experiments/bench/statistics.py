"""Distribution-free intervals and verdicts. Pure: no device, no clock, no random numbers.

An interval here covers the true median in at least 95 % of repetitions whatever the noise looks like, as
long as the samples are independent of each other. It says nothing about another machine or another day.
Source: order statistics of the median (the sign test turned round), e.g. Conover, Practical Nonparametric
Statistics, section 3.2.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

CONFIDENCE = 0.95
LEAST_FOR_INTERVAL = 6  # 2 * 0.5**6 = 0.031 is the first n for which min..max covers 95 %
LEAST_FOR_P95, LEAST_FOR_P99 = 20, 100  # below these the percentile is the sample's maximum


@dataclass(frozen=True)
class Interval:
    """A median and its 95 % interval; `lo` and `hi` are None where there are fewer than 6 samples."""

    median: float
    lo: float | None
    hi: float | None

    @property
    def relative_half_width(self) -> float:
        """Half of the interval's width over the median; infinite without an interval."""
        if self.lo is None or self.hi is None or self.median == 0:
            return math.inf
        return (self.hi - self.lo) / 2 / self.median

    def holds(self, value: float) -> bool:
        """Whether the interval contains `value`; an interval that does not exist contains everything."""
        return self.lo is None or self.hi is None or self.lo <= value <= self.hi


@lru_cache(maxsize=4096)
def interval_rank(n: int, confidence: float = CONFIDENCE) -> int:
    """The rank k such that the k-th smallest and k-th largest of n samples enclose the median; 0 if none does.

    k is the largest with 2 * P(Binomial(n, 1/2) <= k - 1) <= 1 - confidence. interval_rank(12) == 3.
    """
    tail, k = 0, 0
    allowed = (1 - confidence) / 2
    while k <= n // 2:
        tail += math.comb(n, k)
        if tail / 2**n > allowed:
            break
        k += 1
    return k


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("the median of nothing")
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The median of `values` with its distribution-free interval."""
    ordered = sorted(values)
    rank = interval_rank(len(ordered), confidence)
    if rank == 0:
        return Interval(median(ordered), None, None)
    return Interval(median(ordered), ordered[rank - 1], ordered[-rank])


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """The median of the per-block ratios with its interval: block i of both was measured side by side."""
    return median_interval([a / b for a, b in zip(numerators, denominators, strict=True)])


def percentile(values: Sequence[float], fraction: float, least: int) -> float | None:
    """The nearest-rank percentile, or None where `least` samples are not there to support it."""
    if len(values) < least:
        return None
    return sorted(values)[math.ceil(fraction * len(values)) - 1]


def verdict(speedup: Interval) -> str:
    """`faster` or `slower` only where the whole interval is on one side of 1, else `cannot tell`."""
    if speedup.lo is None or speedup.hi is None or speedup.holds(1.0):
        return "cannot tell"
    return "faster" if speedup.lo > 1 else "slower"


def break_even(base_calls: Sequence[float], base_latency: float, calls: Sequence[float], latency: float) -> int | None:
    """After how many calls the second curve of cumulative time stays at or below the first; None if never.

    Each curve is the time of its first calls, then a steady latency per call, all in the same unit.
    break_even([1, 1], 1, [1, 5], 0.5) == 10: 1+5+8*0.5 == 10 == 10*1.
    """
    head = max(len(base_calls), len(calls))
    base, other, since = 0.0, 0.0, None
    for n in range(head):
        base += base_calls[n] if n < len(base_calls) else base_latency
        other += calls[n] if n < len(calls) else latency
        since = (since or n + 1) if other <= base else None
    if latency < base_latency:
        behind = other - base
        return since or head + max(1, math.ceil(behind / (base_latency - latency) - 1e-9))
    return since if latency == base_latency else None
