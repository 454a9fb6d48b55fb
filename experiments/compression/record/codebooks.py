"""Training with shared values: every weight is 0 or one of a few numbers, the codebook of its layer.

The forward pass uses the nearest number, the gradient is passed to the weight itself (straight through); between steps
each number moves to the mean of its weights (Lloyd's step of k-means). Numbers are float16, as stored.
Source: Han et al. 2016, Deep Compression (shared weights); Bengio et al. 2013 (straight-through estimator).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from tinygrad import Tensor

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.runtime import tensor
from experiments.models.sequential.network import Network, Weights

ROUNDS = 20  # of k-means for the first codebook


class Codebooks:
    """The codebooks of a network as buffers on a device; `hook` is the `weight` hook of a Trainer.

    `levels`: numbers besides 0 in the codebook of a weight, `bias_levels` in that of a bias. Until the first `fit` the
    same compiled step uses the weights unchanged.
    """

    def __init__(self, network: Network, device: str, levels: int, bias_levels: int) -> None:
        self._sizes = {name: levels if name.endswith("weight") else bias_levels for name in network.shapes()}
        self._numbers = {
            name: Tensor.zeros(size, device=device).contiguous().realize() for name, size in self._sizes.items()
        }
        self._on = Tensor.zeros(1, device=device).contiguous().realize()
        self._device, self._fitted = device, False
        self.values: Weights = {}

    def restart(self) -> None:
        """Turns the codebooks off for a new training."""
        self._fitted = False
        self._on.assign(Tensor.zeros(1, device=self._device)).realize()

    def hook(self, name: str, weight: Any) -> Any:
        """The weight of the forward pass; a sum instead of a gather, which would take longer than the rest."""
        numbers, raw = self._numbers[name], weight.detach()
        nearest = numbers[0]
        for place in range(1, self._sizes[name]):
            middle = (numbers[place - 1] + numbers[place]) / 2
            nearest = nearest + (raw > middle).where(numbers[place] - numbers[place - 1], 0)
        used = (raw != 0).where(nearest, 0)
        return weight + self._on * (used - raw)

    def fit(self, weights: Mapping[str, Array]) -> None:
        """Fits the codebooks to these weights: k-means the first time, one Lloyd step afterwards."""
        rounds = 1 if self._fitted else ROUNDS
        for name, size in self._sizes.items():
            nonzero = weights[name][weights[name] != 0]
            start = self.values[name] if self._fitted else _spread(nonzero, size)
            self.values[name] = _lloyd(nonzero, start, rounds)
            self._numbers[name].assign(tensor(self.values[name], self._device)).realize()
        if not self._fitted:
            self._on.assign(Tensor.ones(1, device=self._device)).realize()
        self._fitted = True

    def apply(self, weights: Mapping[str, Array]) -> Weights:
        """The values that the forward pass uses for these weights."""
        return {name: _nearest(one, self.values[name]) for name, one in weights.items()}


def _spread(values: Array, size: int) -> Array:
    """Initial numbers, evenly spaced from the smallest to the largest value, so that rare large values keep one."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (-1.0, 1.0)
    return np.linspace(low, high, size).astype(np.float32)


def _lloyd(values: Array, numbers: Array, rounds: int) -> Array:
    """The numbers after `rounds` of k-means, ascending, rounded to float16; unused numbers stay."""
    for _ in range(rounds):
        index = np.searchsorted((numbers[:-1] + numbers[1:]) / 2, values)
        counts = np.bincount(index, minlength=len(numbers))
        sums = np.bincount(index, values, minlength=len(numbers))
        numbers = np.sort(np.where(counts, sums / np.maximum(counts, 1), numbers)).astype(np.float32)
    return numbers.astype(np.float16).astype(np.float32)


def _nearest(weight: Array, numbers: Array) -> Array:
    index = np.searchsorted((numbers[:-1] + numbers[1:]) / 2, weight)
    return np.where(weight != 0, numbers[index], np.float32(0)).astype(np.float32)
