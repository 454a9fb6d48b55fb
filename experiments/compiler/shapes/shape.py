"""What the shapes experiment is made of: shapes and streams of them, operations, and strategies to serve them."""

import itertools
import math
from collections.abc import Sequence
from typing import Literal, get_args

Shape = tuple[int, ...]

MOST_SIZE = 8192
StrategyName = Literal["eager", "one jit per shape", "symbolic batch", "pad to bucket"]
STRATEGIES: tuple[StrategyName, ...] = get_args(StrategyName)
EAGER, PER_SHAPE, SYMBOLIC, BUCKET = STRATEGIES


def shape_of(text: str) -> Shape:
    """The sizes of a shape written as `1x3x32x32`; ValueError that says what is allowed."""
    parts = text.lower().split("x")
    if not all(part.isdecimal() and len(part) < 9 and 1 <= int(part) <= MOST_SIZE for part in parts):
        raise ValueError(f"{text[:40]} is no shape; give sizes from 1 to {MOST_SIZE} joined by x, such as 1x3x32x32")
    return tuple(int(part) for part in parts)


def text_of(shape: Shape) -> str:
    """A shape as the columns write it: `1x3x32x32`."""
    return "x".join(map(str, shape))


def check_buckets(buckets: Sequence[int], largest: int) -> None:
    """ValueError where buckets do not rise evenly, each a multiple of the one before, up to the `largest` batch."""
    given = ",".join(map(str, buckets))
    for before, after in itertools.pairwise(buckets):
        if after <= before:
            raise ValueError(f"{given} is not allowed: {after} comes after {before}; give rising sizes")
        if after % before:
            raise ValueError(
                f"{given} is not allowed: {after} is no multiple of {before}; give each as a multiple of the one before"
            )
    if buckets[-1] < largest:
        raise ValueError(f"{given} is not allowed: no bucket holds batch {largest}; give a last one of at least that")


def stream(shapes: Sequence[Shape], calls: int, exponent: float, seed: int) -> list[Shape]:
    """A seeded sequence of calls: the k-th shape comes with probability proportional to 1 / k**exponent (Zipf)."""
    import numpy as np

    weights = np.arange(1, len(shapes) + 1) ** -exponent
    chosen = np.random.default_rng(seed).choice(len(shapes), size=calls, p=weights / weights.sum())
    return [shapes[int(place)] for place in chosen]


def numbers(shape: Shape) -> int:
    """How many numbers an array of this shape holds."""
    return math.prod(shape)
