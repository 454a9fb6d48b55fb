"""Training with shared values: every weight is one of a few numbers per layer, its codebook, and 0 stays 0.

The forward pass uses the nearest number, the gradient goes to the weight behind it (straight through); between steps
the numbers move to the mean of the weights that use them (Lloyd's step of k-means). Numbers are float16, as stored.
Source: Han et al. 2016, Deep Compression (shared weights); Bengio et al. 2013 (straight-through estimator).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from tinygrad import Tensor

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.runtime import tensor
from experiments.models.sequential.network import Network, Weights

ROUNDS = 20  # of k-means when a codebook is first made


class Codebooks:
    """The codebooks of a network as buffers on a device, to be given to a Trainer as its `weight` hook.

    `levels`: numbers beside 0 in the codebook of a weight, `bias_levels` in that of a bias. Off until `fit` is first
    called: until then weights are used as they are, by the same compiled step.
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
        """Off again, as for a new training."""
        self._fitted = False
        self._on.assign(Tensor.zeros(1, device=self._device)).realize()

    def hook(self, name: str, weight: Any) -> Any:
        """The weight that the forward pass uses; without a gather, which would take longer than the rest."""
        numbers, raw = self._numbers[name], weight.detach()
        nearest = numbers[0]
        for place in range(1, self._sizes[name]):
            middle = (numbers[place - 1] + numbers[place]) / 2
            nearest = nearest + (raw > middle).where(numbers[place] - numbers[place - 1], 0)
        used = (raw != 0).where(nearest, 0)
        return weight + self._on * (used - raw)

    def fit(self, weights: Mapping[str, Array]) -> None:
        """Codebooks for these weights: k-means the first time, one Lloyd step from then on."""
        rounds = 1 if self._fitted else ROUNDS
        for name, size in self._sizes.items():
            others = weights[name][weights[name] != 0]
            start = self.values[name] if self._fitted else _spread(others, size)
            self.values[name] = _lloyd(others, start, rounds)
            self._numbers[name].assign(tensor(self.values[name], self._device)).realize()
        if not self._fitted:
            self._on.assign(Tensor.ones(1, device=self._device)).realize()
        self._fitted = True

    def apply(self, weights: Mapping[str, Array]) -> Weights:
        """What the forward pass uses in place of these weights."""
        return {name: _nearest(one, self.values[name]) for name, one in weights.items()}


def _spread(values: Array, size: int) -> Array:
    """Numbers to begin with: evenly from the smallest to the largest value, so that rare large ones keep theirs."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (-1.0, 1.0)
    return np.linspace(low, high, size).astype(np.float32)


def _lloyd(values: Array, numbers: Array, rounds: int) -> Array:
    """The numbers after `rounds` of k-means, ascending, rounded to float16; one that nobody uses stays."""
    for _ in range(rounds):
        index = np.searchsorted((numbers[:-1] + numbers[1:]) / 2, values)
        counts = np.bincount(index, minlength=len(numbers))
        sums = np.bincount(index, values, minlength=len(numbers))
        numbers = np.sort(np.where(counts, sums / np.maximum(counts, 1), numbers)).astype(np.float32)
    return numbers.astype(np.float16).astype(np.float32)


def _nearest(weight: Array, numbers: Array) -> Array:
    index = np.searchsorted((numbers[:-1] + numbers[1:]) / 2, weight)
    return np.where(weight != 0, numbers[index], np.float32(0)).astype(np.float32)
