"""Median, interval and test of values in the order in which they were measured, which may be autocorrelated.

A block's ratio baseline/variant is one value: drift that both share cancels in it, and each side has its own memory
in every block. Equal variants have the truth 1 whatever the placement in memory does to a timing, because the ratio of
two independent equals is symmetric about 1. What remains is drift of one variant alone. It shows as autocorrelation,
and the values then count as fewer: n * (1 - r) / (1 + r), as in a first-order autoregression.
Sources: Conover, Practical Nonparametric Statistics, 3.2 (order statistics of the median); Kendall 1954, Biometrika 41,
403 (bias of an estimated autocorrelation); Abramowitz and Stegun 26.7.3, 26.7.4 (Student's distribution).
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean, median, stdev

from experiments.bench.statistics.intervals import (
    CONFIDENCE,
    MIN_FOR_INTERVAL,
    Interval,
    holm,
    interval_rank,
)

CAUTION = 0.75  # standard errors added to the estimated autocorrelation; tests/benchmarks/coverage.py simulates it
MAX_AUTOCORRELATION = 0.97
POWER = 0.9  # of the smallest difference that a row claims to detect
ALLOWED = 1 - CONFIDENCE + 1e-12  # the largest p-value of a verdict


def effective_count(values: Sequence[float]) -> float:
    """How many independent values would say as much: n * (1 - r) / (1 + r) with their autocorrelation r, at most n.

    r is that of the ranks (an outlier counts as any other value), freed of its bias in short series and raised by
    `CAUTION` standard errors. A negative r counts as 0.
    """
    n = len(values)
    order = sorted(range(n), key=lambda place: values[place])
    ranks = [0.0] * n
    for rank, place in enumerate(order):
        ranks[place] = rank - (n - 1) / 2
    if n < 4 or min(values) == max(values):
        return float(n)
    raw = sum(one * two for one, two in itertools.pairwise(ranks)) / sum(rank * rank for rank in ranks)
    r = raw + (1 + 3 * raw) / n
    r += CAUTION * math.sqrt(max(0.05, 1 - r * r) / n)
    r = min(MAX_AUTOCORRELATION, max(0.0, r))
    return n * (1 - r) / (1 + r)


def series_interval(values: Sequence[float]) -> Interval:
    """The median with its 95% interval by order statistics of the values that count; none for fewer than 6 values.

    Where fewer than 6 of at least 6 count, the interval is their whole range.
    """
    ordered, n = sorted(values), len(values)
    if n < MIN_FOR_INTERVAL:
        return Interval(median(ordered), None, None)
    counted = math.floor(effective_count(values) + 1e-9)
    place = max(1, interval_rank(counted) * n // counted) if counted else 1
    return Interval(median(ordered), ordered[place - 1], ordered[-place])


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """The median of the per-block ratios with its interval; block i of both was measured at the same time."""
    return series_interval([a / b for a, b in zip(numerators, denominators, strict=True)])


def paired_p(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Two-sided p-value of equal variants; at most 0.05 exactly where the interval of `paired_ratio` excludes 1.

    There it is the smaller one of the sign test and Student's t of the logarithms, on as many values as count: the
    sign test of 6 values knows no p-value below 0.03, too coarse to be corrected for many variants; t is blunted by
    outliers, which the sign test ignores.
    """
    ratios = [a / b for a, b in zip(numerators, denominators, strict=True)]
    if series_interval(ratios).contains(1.0):
        return 1.0
    counted = effective_count(ratios)
    return min(1 - CONFIDENCE, _sign_p(ratios, counted), _student_p_of_logs(ratios, counted))


def _sign_p(ratios: Sequence[float], counted: float) -> float:
    """The sign test with as few exceptions as `counted` of the values would have."""
    few = min(sum(ratio <= 1 for ratio in ratios), sum(ratio >= 1 for ratio in ratios))
    n = math.floor(counted + 1e-9)
    exceptions = math.ceil((few + 1) * n / len(ratios)) - 1
    return 2 * sum(math.comb(n, k) for k in range(exceptions + 1)) / (1 << n)


def _student_p_of_logs(ratios: Sequence[float], counted: float) -> float:
    """Student's t on `counted` values, with 2 degrees of freedom or more: a factor of two is found in 12 blocks."""
    logs = [math.log(ratio) for ratio in ratios]
    deviation, dof = stdev(logs), max(2, math.floor(counted + 1e-9) - 1)
    return student_p(fmean(logs) / deviation * math.sqrt(counted), dof) if deviation else 0.0


def verdicts(
    baseline: Sequence[float], variants: Mapping[str, Sequence[float]], unknown: Sequence[str] = ()
) -> dict[str, str]:
    """`faster`, `slower` or `cannot tell` of each variant of a grid point, by Holm's correction for their number.

    The interval of a row stays a 95% interval by itself: among many variants one whose interval barely excludes 1 is
    inconclusive. `unknown` variants have too few instances for a verdict.
    """
    known = {name: blocks for name, blocks in variants.items() if name not in unknown}
    adjusted = holm([paired_p(baseline, blocks) for blocks in known.values()])
    found = dict.fromkeys(variants, "cannot tell")
    for (name, blocks), p in zip(known.items(), adjusted, strict=True):
        if p <= ALLOWED:
            found[name] = "faster" if paired_ratio(baseline, blocks).median > 1 else "slower"
    return found


def fastest(blocks_by_variant: Mapping[str, Sequence[float]]) -> str | None:
    """The variant with the smallest median, if it is significantly faster than every other one; else None.

    Within blocks, with Holm's correction for the number of rivals.
    """
    if not blocks_by_variant:
        return None
    best = min(blocks_by_variant, key=lambda variant: median(blocks_by_variant[variant]))
    others = {name: blocks for name, blocks in blocks_by_variant.items() if name != best}
    found = verdicts(blocks_by_variant[best], others)
    return best if all(one == "slower" for one in found.values()) else None


def detectable_difference(ratio: Interval) -> float | None:
    """The relative difference that is found nine times out of ten at this width of the interval; None without one.

    A half-width is Z standard errors of a normal estimate; a difference is found with this power if it is larger by
    that estimate's quantile of 0.9: 1.65 half-widths.
    """
    normal = NormalDist()
    factor = 1 + normal.inv_cdf(POWER) / normal.inv_cdf((1 + CONFIDENCE) / 2)
    return None if ratio.lo is None else factor * ratio.relative_half_width


def student_p(t: float, dof: int) -> float:
    """Two-sided p-value of Student's t with whole degrees of freedom. student_p(2.776, 4) == 0.05 (rounded)."""
    angle = math.atan2(abs(t), math.sqrt(dof))
    sine, cosine = math.sin(angle), math.cos(angle)
    term, total = (cosine, cosine) if dof % 2 else (1.0, 1.0)
    for k in range(3 if dof % 2 else 2, dof - 1, 2):
        term *= (k - 1) / k * cosine * cosine
        total += term
    inside = 2 / math.pi * (angle + sine * (total if dof > 1 else 0.0)) if dof % 2 else sine * total
    return max(0.0, 1 - inside)
