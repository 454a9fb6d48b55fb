"""Pareto front under measurement noise: each variant's probability of being non-dominated.

Three objectives: accuracy up, latency down, bytes down. A paired bootstrap resamples the test images jointly for all
variants, which were tested on the same ones, and the timing blocks jointly, since a block times all variants; bytes
are exact. Pure: no device, no clock; the random numbers are seeded.

It does not generalize to another training seed, another machine or another test set.
Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap (the paired bootstrap).
"""

from dataclasses import dataclass

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.statistics.intervals import CONFIDENCE, interval_rank

RESAMPLES = 1000
OFF_SHARE = 0.95  # share of the resamples in which a single other variant must dominate


@dataclass(frozen=True, eq=False)
class Objectives:
    """The measured objectives of all variants, in one order.

    `correct` (variants, images): whether each test image was classified correctly. `seconds` (variants, blocks): the
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
    """`p_front`: the share of resamples in which no other variant dominates this one.

    `dominated_by` is the index of a variant that significantly dominates this one; None for variants on the front.
    """

    p_front: float
    dominated_by: int | None


def resample(measured: Objectives, resamples: int = RESAMPLES, seed: int = 0) -> Resampled:
    """Bootstrap resamples of the images and of the blocks."""
    rng = np.random.default_rng(seed)
    return Resampled(_accuracies(measured.correct, resamples, rng), _log_latencies(measured.seconds, resamples, rng))


def _accuracies(correct: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Images that the same variants classify correctly are one category: few variants have few categories."""
    packed = np.ascontiguousarray(np.packbits(correct, axis=0).T)
    _, first, counts = np.unique(packed, axis=0, return_index=True, return_counts=True)
    images = correct.shape[1]
    counted = rng.multinomial(images, counts / images, resamples)
    # sums of whole numbers below 2**24 are exact in float32, so that equal variants stay tied
    hits = correct[:, first].astype(np.float32) @ counted.T.astype(np.float32)
    return np.asarray(hits / np.float32(images))


def _log_latencies(seconds: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Each variant's median latency over the sampled blocks, relative to the block's common part.

    Otherwise a slow minute of the machine would affect variants by chance. The common part of a block is the median
    over all variants; its own median is added back, so that the values are latencies.
    """
    logs = np.log(seconds)
    common = np.median(logs, axis=0)
    blocks = logs.shape[1]
    counted = rng.multinomial(blocks, np.full(blocks, 1 / blocks), resamples).T.astype(np.int16)
    return np.asarray(np.stack([_medians(one - common, counted) for one in logs]) + np.median(common))


def _medians(values: Array, counts: Array) -> Array:
    """The medians of `values` (n,), each value repeated `counts` (n, resamples) times."""
    order = np.argsort(values)
    upto, n = counts[order].cumsum(axis=0, dtype=np.int16), len(values)
    low, high = ((upto < rank).sum(axis=0) for rank in ((n + 1) // 2, n // 2 + 1))
    return np.asarray((values[order][low] + values[order][high]) / 2)


def front(measured: Objectives, resampled: Resampled) -> list[FrontMembership]:
    """Each variant's membership of the front, in the order of `measured`.

    A dominates B in a resample if A is as good in all three objectives and better in one; equal variants do not
    dominate each other. B is off the front only if a single A dominates it in at least 95% of the resamples and, for
    equal bytes, at least one of the two other differences is significant by itself: otherwise one of two equal
    variants would be off whenever its latency came out higher by chance.
    """
    order = np.argsort(measured.size_bytes, kind="stable")
    size = measured.size_bytes[order]
    accuracy, latency = (values[order].astype(np.float32) for values in (resampled.accuracy, resampled.log_latency))
    variants, resamples = accuracy.shape
    dominated_in = np.zeros((variants, resamples), bool)
    shares = np.zeros((variants, variants), np.float32)  # shares[b, a]: how often a dominates b
    for a in range(variants):
        start, larger = np.searchsorted(size, [size[a], size[a] + 1])
        dominated = (accuracy[start:] <= accuracy[a]) & (latency[start:] >= latency[a])
        equal = slice(0, larger - start)
        dominated[equal] &= (accuracy[start:larger] < accuracy[a]) | (latency[start:larger] > latency[a])
        dominated_in[start:] |= dominated
        shares[start:, a] = np.count_nonzero(dominated, axis=1) / np.float32(resamples)
    p_front = 1 - dominated_in.mean(axis=1)
    memberships: list[FrontMembership | None] = [None] * variants
    for b, original in enumerate(order.tolist()):
        rivals = np.flatnonzero(shares[b] >= OFF_SHARE)
        rivals = rivals[np.argsort(-shares[b, rivals], kind="stable")]
        equal_sizes = int(np.count_nonzero(size == size[b])) - 1
        off = None
        for rival in rivals:
            if size[rival] < size[b] or _significant(measured, resampled, order[rival], original, equal_sizes):
                off = int(order[rival])
                break
        memberships[original] = FrontMembership(float(p_front[b]), off)
    return [one for one in memberships if one is not None]


def _significant(measured: Objectives, resampled: Resampled, a: int, b: int, comparisons: int) -> bool:
    """Whether `a` is significantly better than `b` in accuracy or latency, corrected for the `comparisons`.

    The latency is compared by order statistics of the per-block ratios, which remain valid if measuring stopped early.
    """
    allowed = (1 - CONFIDENCE) / comparisons
    if np.mean(resampled.accuracy[a] <= resampled.accuracy[b]) <= allowed / 2:
        return True
    ratios = np.sort(measured.seconds[b] / measured.seconds[a])
    rank = interval_rank(len(ratios), 1 - allowed)
    return rank > 0 and bool(ratios[rank - 1] > 1)
