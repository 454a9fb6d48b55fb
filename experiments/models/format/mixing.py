"""How probable the next decisions are: counts in several contexts, mixed by a small logistic model that learns.

The encoder and the decoder run the same model over the same decisions, so nothing of it is stored. Integers only:
floating-point results differ between machines in their last bit, and the decoder would lose its way.
Source: Mahoney 2005, Adaptive Weighing of Context Models for Lossless Data Compression (PAQ).
"""

import math
from collections.abc import Sequence

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.format.coding import ONE

ENDS = 2047  # log odds in steps of 1/256, between -8 and 8
STEP = 256
SQUASH = np.array([round(ONE / (1 + math.exp(-x / STEP))) for x in range(-ENDS, ENDS + 1)]).clip(16, ONE - 16)
CHANCES = 2**15
STRETCH = np.array([round(STEP * math.log((i + 0.5) / (CHANCES - i - 0.5))) for i in range(CHANCES)]).clip(-ENDS, ENDS)
SEEN, FIRST, MAX_COUNT = 64, 64, 64 * 255  # in counts: one decision, the prior, and where counts are halved
START, RATE = 1.0, 16
WEIGHT = 2**16  # weights of the mix in steps of 1 / WEIGHT


class Mixer:
    """Predicts decisions from one index into each table of counts, and learns from what came.

    `sizes`: entries of each table. `sets`: sets of mixing weights, of which every decision chooses one.
    `prior`: how probable a 1 is before anything was seen, of ONE.
    """

    def __init__(self, sizes: Sequence[int], sets: int = 1, prior: int = ONE // 2) -> None:
        self._all = [np.full(size, FIRST + 2, np.int64) for size in sizes]
        self._ones = [np.full(size, prior * FIRST // ONE + 1, np.int64) for size in sizes]
        self._weights = np.full((sets, len(sizes)), round(WEIGHT * START / len(sizes)), np.int64)

    def predict(self, contexts: Sequence[Array], chosen: Array) -> Array:
        """How probable a 1 is, of ONE, for n decisions with their `contexts` (one (n,) per table) and weight sets."""
        self._contexts, self._chosen = contexts, chosen
        counted = zip(self._ones, self._all, contexts, strict=True)
        self._inputs = np.stack([STRETCH[ones[one] * CHANCES // every[one]] for ones, every, one in counted])
        mixed = (self._weights[chosen].T * self._inputs).sum(axis=0) // WEIGHT
        self._said = np.asarray(SQUASH[mixed.clip(-ENDS, ENDS) + ENDS])
        return self._said

    def learn(self, bits: Array) -> None:
        """Takes in the decisions that were predicted last."""
        missed = bits * ONE - self._said
        moves = self._inputs * missed  # of 256 * ONE
        for number, row in enumerate(moves):
            step = np.zeros(len(self._weights), np.int64)
            np.add.at(step, self._chosen, row)
            self._weights[:, number] += step * RATE // 2**22
        for ones, every, one in zip(self._ones, self._all, self._contexts, strict=True):
            ones += np.bincount(one[bits != 0], minlength=len(ones)) * SEEN
            every += np.bincount(one, minlength=len(every)) * SEEN
            old = every > MAX_COUNT
            if old.any():
                ones[old] = ones[old] // 2 + 1
                every[old] = every[old] // 2 + 2
