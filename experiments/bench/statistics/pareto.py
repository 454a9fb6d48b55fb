"""A Pareto front that knows noise: how surely is each variant on it, and which are told to be off it.

Three objectives: accuracy up, latency down, bytes down. Whole studies are resampled: the test images jointly for
all variants, since they were all tested on the same ones, and the blocks of timings jointly, since a block times all
of them side by side; bytes are exact. Pure: no device, no clock; the random numbers are seeded.

It says nothing about another training seed, another machine or another test set.
Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap (the paired bootstrap).
"""

from dataclasses import dataclass

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.statistics.intervals import CONFIDENCE, interval_rank

RESAMPLES = 1000
OFF_SHARE = 0.95  # of the resamples in which one single other variant has to dominate


@dataclass(frozen=True, eq=False)
class Objectives:
    """What was measured of each variant, in one order.

    `correct` (variants, images): whether each test image was classified rightly. `seconds` (variants, blocks): the
    latency of one call in each block, positive. `size_bytes` (variants,).
    """

    correct: Array
    seconds: Array
    size_bytes: Array


@dataclass(frozen=True, eq=False)
class Resampled:
    """Accuracy 0..1 and the natural logarithm of the latency in each resample, both (variants, resamples)."""

    accuracy: Array
    log_latency: Array


@dataclass(frozen=True)
class FrontMembership:
    """Where one variant stands: `p_front`, the share of resamples in which no other variant dominates it.

    `dominated_by` is the index of the variant that puts it off the front, None for those that are the front.
    """

    p_front: float
    dominated_by: int | None


def resample(study: Objectives, resamples: int = RESAMPLES, seed: int = 0) -> Resampled:
    """Whole studies drawn anew from the images and the blocks of this one."""
    rng = np.random.default_rng(seed)
    return Resampled(_accuracies(study.correct, resamples, rng), _log_latencies(study.seconds, resamples, rng))


def _accuracies(correct: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Images that the same variants get correct are one category: of few variants there are few to draw from."""
    packed = np.ascontiguousarray(np.packbits(correct, axis=0).T)
    _, first, counts = np.unique(packed, axis=0, return_index=True, return_counts=True)
    images = correct.shape[1]
    drawn = rng.multinomial(images, counts / images, resamples)
    # sums of whole numbers below 2**24 are exact in float32, so that equal variants stay tied
    hits = correct[:, first].astype(np.float32) @ drawn.T.astype(np.float32)
    return np.asarray(hits / np.float32(images))


def _log_latencies(seconds: Array, resamples: int, rng: np.random.Generator) -> Array:
    """The median over the drawn blocks of each variant's latency, relative to what its block had in common.

    Without that a slow minute of the machine would count for the variants by chance; the common part, the median of
    the block over all variants, is added again as its own median, so that the values are those of the latency.
    """
    logs = np.log(seconds)
    common = np.median(logs, axis=0)
    blocks = logs.shape[1]
    drawn = rng.multinomial(blocks, np.full(blocks, 1 / blocks), resamples).T.astype(np.int16)
    return np.asarray(np.stack([_medians(one - common, drawn) for one in logs]) + np.median(common))


def _medians(values: Array, counts: Array) -> Array:
    """The median of `values` (n,) taken so often as each column of `counts` (n, resamples) says."""
    order = np.argsort(values)
    upto, n = counts[order].cumsum(axis=0, dtype=np.int16), len(values)
    low, high = ((upto < rank).sum(axis=0) for rank in ((n + 1) // 2, n // 2 + 1))
    return np.asarray((values[order][low] + values[order][high]) / 2)


def front(study: Objectives, drawn: Resampled) -> list[FrontMembership]:
    """Each variant's place, in the order of the study.

    A dominates B in a resample where A is as good in all three objectives and better in one; equal ones do not
    dominate each other. B is off the front only where one single A dominates it in at least 95 % of the resamples
    and, if their bytes are equal, at least one of the two other differences is told on its own: else of two equal
    variants one would be called off whenever its latency came out higher by chance.
    """
    order = np.argsort(study.size_bytes, kind="stable")
    size = study.size_bytes[order]
    accuracy, latency = (values[order].astype(np.float32) for values in (drawn.accuracy, drawn.log_latency))
    variants, resamples = accuracy.shape
    beaten = np.zeros((variants, resamples), bool)
    shares = np.zeros((variants, variants), np.float32)  # shares[b, a]: how often a dominates b
    for a in range(variants):
        start, larger = np.searchsorted(size, [size[a], size[a] + 1])
        dominated = (accuracy[start:] <= accuracy[a]) & (latency[start:] >= latency[a])
        equal = slice(0, larger - start)
        dominated[equal] &= (accuracy[start:larger] < accuracy[a]) | (latency[start:larger] > latency[a])
        beaten[start:] |= dominated
        shares[start:, a] = np.count_nonzero(dominated, axis=1) / np.float32(resamples)
    p_front = 1 - beaten.mean(axis=1)
    places: list[FrontMembership | None] = [None] * variants
    for b, original in enumerate(order.tolist()):
        rivals = np.flatnonzero(shares[b] >= OFF_SHARE)
        rivals = rivals[np.argsort(-shares[b, rivals], kind="stable")]
        twins = int(np.count_nonzero(size == size[b])) - 1
        off = next((a for a in rivals if size[a] < size[b] or _told(study, drawn, order[a], original, twins)), None)
        places[original] = FrontMembership(float(p_front[b]), None if off is None else int(order[off]))
    return [place for place in places if place is not None]


def _told(study: Objectives, drawn: Resampled, a: int, b: int, comparisons: int) -> bool:
    """Whether accuracy or latency tells `a` to be better than `b`, by a 95 % interval for so many comparisons.

    The latency by the order statistics of the per-block ratios, which hold also where measuring stopped early.
    """
    allowed = (1 - CONFIDENCE) / comparisons
    if np.mean(drawn.accuracy[a] <= drawn.accuracy[b]) <= allowed / 2:
        return True
    ratios = np.sort(study.seconds[b] / study.seconds[a])
    rank = interval_rank(len(ratios), 1 - allowed)
    return rank > 0 and bool(ratios[rank - 1] > 1)
