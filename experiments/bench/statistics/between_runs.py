"""The ratio of two runs that were not measured side by side: its interval contains what differs from run to run. Pure.

Two runs of one spec on one machine differ by more than the samples of either show: memory is placed elsewhere, the
clock and the machine's other work have changed. The logarithm of a run's median latency is taken as normally
distributed around that of its spec. Its standard deviation between runs comes from repeats of the run, with Student's
quantile for their number, or is a default. Time that other processes took from a run only lengthens its latencies: a
difference that this time can explain does not count.
Sources: Student's t for the difference of two draws; Holm 1979 for the number of points that two runs share.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, stdev

from experiments.bench.columns import INCONCLUSIVE
from experiments.bench.statistics.intervals import CONFIDENCE, T_QUANTILES, Interval, Z, holm
from experiments.bench.statistics.series import student_p

MIN_REPEATS = 3  # runs of one spec from which the deviation between runs is estimated


@dataclass(frozen=True)
class RunVariation:
    """The standard deviation between runs of the logarithm of a latency: 0.01 is about 1%.

    `repeats` is the number of runs that it was estimated from, 0 for a default. An estimate from repeats contains the
    variation within runs.
    """

    deviation: float
    repeats: int = 0


@dataclass(frozen=True)
class RunLatency:
    """The median latency of one run with the interval of its samples.

    `slowdown` is the largest factor by which other processes may have lengthened it, 1 if the run had the machine to
    itself.
    """

    interval: Interval
    variation: RunVariation
    slowdown: float = 1.0

    @property
    def variance(self) -> float:
        """Of the logarithm of the median; the interval must have both ends."""
        assert self.interval.lo is not None and self.interval.hi is not None  # noqa: S101 - see above
        within = (math.log(self.interval.hi / self.interval.lo) / 2 / Z) ** 2
        between = self.variation.deviation**2
        return max(within, between) if self.variation.repeats else within + between


@dataclass(frozen=True)
class UnpairedRatio:
    """A ratio with its 95% interval, and the two-sided p-value of the truth being 1."""

    interval: Interval
    p_value: float


def variation_of(latencies: Sequence[float]) -> RunVariation | None:
    """Of the latencies of repeats; None for fewer than MIN_REPEATS."""
    if len(latencies) < MIN_REPEATS:
        return None
    return RunVariation(stdev(math.log(latency) for latency in latencies), len(latencies))


def runs_ratio(numerator: RunLatency, denominator: RunLatency) -> UnpairedRatio:
    """The ratio of the median latencies of two runs; without an interval if either has none.

    If both variations are estimated, the smaller number of repeats decides the quantile. They may be the same repeats,
    and the two runs may be among them.
    """
    ratio = numerator.interval.median / denominator.interval.median
    if None in (numerator.interval.lo, denominator.interval.lo):
        return UnpairedRatio(Interval(ratio, None, None), 1.0)
    deviation = math.sqrt(numerator.variance + denominator.variance)
    repeats = min((one.variation.repeats for one in (numerator, denominator) if one.variation.repeats), default=0)
    half = math.exp(deviation * (T_QUANTILES[_dof(repeats) - 1] if repeats else Z))
    interval = Interval(ratio, ratio / half / numerator.slowdown, ratio * half * denominator.slowdown)
    unexplained = math.log(ratio / numerator.slowdown if ratio > 1 else 1 / ratio / denominator.slowdown)
    return UnpairedRatio(interval, _p_value(max(0.0, unexplained), deviation, repeats))


def _dof(repeats: int) -> int:
    """Degrees of freedom, at most those of the table: more would narrow the interval by 7%."""
    return min(repeats - 1, len(T_QUANTILES))


def _p_value(difference: float, deviation: float, repeats: int) -> float:
    if deviation == 0:
        return 0.0 if difference else 1.0
    if repeats:
        return student_p(difference / deviation, _dof(repeats))
    return 2 * NormalDist().cdf(-difference / deviation)


def verdicts(ratios: Sequence[UnpairedRatio]) -> list[str]:
    """Whether the denominator of each is `faster`, `slower` or `cannot tell`, by Holm's correction for their number.

    Two runs without any difference get a verdict at any of their points in at most 5%.
    """
    adjusted = holm([ratio.p_value for ratio in ratios])
    return [
        INCONCLUSIVE if p > 1 - CONFIDENCE else "faster" if ratio.interval.median > 1 else "slower"
        for p, ratio in zip(adjusted, ratios, strict=True)
    ]
