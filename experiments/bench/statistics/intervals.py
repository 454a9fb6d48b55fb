"""Intervals and verdicts. Pure: no device, no clock, no random numbers.

`median_interval` is distribution-free: it covers the true median in at least 95% of repetitions for any distribution of
the noise, as long as the samples are independent; timings in blocks are not quite, see `series`. `wilson` and
`paired_difference` are for accuracies, `mean_interval` (Student's t) for means over few seeds. No interval generalizes
to another machine or another day. Source: order statistics of the median (the inverted sign test), e.g. Conover,
Practical Nonparametric Statistics, section 3.2.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, median, stdev

CONFIDENCE = 0.95
Z = 1.959963984540054  # the normal distribution's 97.5th percentile; NormalDist().inv_cdf differs in the last bit
T_QUANTILES = (  # the 97.5th percentiles of Student's t distribution with 1, 2, ... degrees of freedom
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093),
)
MIN_FOR_INTERVAL = 6  # 2 * 0.5**6 = 0.031 is the first n for which min..max covers 95%
MIN_FOR_P95, MIN_FOR_P99 = 20, 100  # below these the percentile is the sample's maximum


@dataclass(frozen=True)
class Interval:
    """A median and its 95% interval; `lo` and `hi` are None for fewer than 6 samples."""

    median: float
    lo: float | None
    hi: float | None

    @property
    def relative_half_width(self) -> float:
        """Half of the interval's width over the median; infinite without an interval."""
        if self.lo is None or self.hi is None or self.median == 0:
            return math.inf
        return (self.hi - self.lo) / 2 / self.median

    def contains(self, value: float) -> bool:
        """Whether the interval contains `value`; a missing interval contains everything."""
        return self.lo is None or self.hi is None or self.lo <= value <= self.hi


@lru_cache(maxsize=4096)
def interval_rank(n: int, confidence: float = CONFIDENCE) -> int:
    """The rank k such that the k-th smallest and k-th largest of n samples enclose the median; 0 if there is none.

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


def median_interval(values: Sequence[float]) -> Interval:
    """The median of `values` with its distribution-free interval; raises ValueError for no values."""
    ordered = sorted(values)
    rank = interval_rank(len(ordered))
    if rank == 0:
        return Interval(median(ordered), None, None)
    return Interval(median(ordered), ordered[rank - 1], ordered[-rank])


def percentile(values: Sequence[float], fraction: float, minimum: int) -> float | None:
    """The nearest-rank percentile; None for fewer than `minimum` samples."""
    if len(values) < minimum:
        return None
    return sorted(values)[math.ceil(fraction * len(values)) - 1]


def verdict(speedup: Interval) -> str:
    """`faster` or `slower` if the whole interval is on one side of 1, else `cannot tell` (shown as inconclusive)."""
    if speedup.lo is None or speedup.hi is None or speedup.contains(1.0):
        return "cannot tell"
    return "faster" if speedup.lo > 1 else "slower"


def break_even(base_calls: Sequence[float], base_latency: float, calls: Sequence[float], latency: float) -> int | None:
    """Number of calls after which the second cumulative time stays at or below the first; None if never.

    Each is the time of the first calls, then a steady latency per call, all in the same unit.
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


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given: bounds the chance of any false alarm among all tests.

    holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]: 3 * 0.01, 2 * 0.03, then 1 * 0.04, but never below the one before.
    """
    adjusted, floor = [0.0] * len(p_values), 0.0
    for step, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        floor = max(floor, min(1.0, (len(p_values) - step) * p_values[index]))
        adjusted[index] = floor
    return adjusted


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean (in `median`) of 2 to 20 values with Student's 95% t interval.

    For repetitions too expensive to have the 6 that a distribution-free interval needs, such as paired differences
    between two trainings per seed. It assumes that they are about normally distributed.
    mean_interval([1, 2, 3]): 2, -0.484 to 4.484.
    """
    if not 2 <= len(values) <= len(T_QUANTILES) + 1:
        raise ValueError(f"no t interval of {len(values)} values; 2 to {len(T_QUANTILES) + 1} are allowed")
    middle = fmean(values)
    half = T_QUANTILES[len(values) - 2] * stdev(values) / math.sqrt(len(values))
    return Interval(middle, middle - half, middle + half)


def wilson(successes: int, n: int) -> Interval:
    """A proportion (in `median`) with Wilson's 95% score interval. wilson(8, 10): 0.8, 0.490 to 0.943."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is not a proportion")
    share, squared = successes / n, Z * Z
    middle = share + squared / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + squared / (4 * n * n))
    return Interval(share, max(0.0, (middle - half) / (1 + squared / n)), min(1.0, (middle + half) / (1 + squared / n)))


def paired_difference(only_first: int, only_second: int, n: int) -> Interval:
    """The first less the second of two proportions of the same n trials (in `median`), with its 95% interval.

    `only_first` trials succeed for the first alone, `only_second` for the second alone: far narrower than two
    separate intervals. paired_difference(30, 10, 1000): 0.02, 0.007 to 0.032.
    Source: Agresti & Min 2005, Simple improved confidence intervals for comparing matched proportions.
    """
    if min(only_first, only_second) < 0 or only_first + only_second > n or n == 0:
        raise ValueError(f"{only_first} and {only_second} of {n} are not proportions")
    first, second, trials = only_first + 0.5, only_second + 0.5, n + 2
    middle = (first - second) / trials
    half = Z * math.sqrt((first + second) / trials - middle**2) / math.sqrt(trials)
    difference = (only_first - only_second) / n
    return Interval(difference, min(difference, middle - half), max(difference, middle + half))
