"""The workload to distribute: a network of linear layers, its weights, and the batches of one call."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.forward import forward_numpy, initial_weights
from experiments.models.sequential.network import Linear, Network, Weights, mlp

SEED = 1


@dataclass(frozen=True)
class MultiDeviceWorkload:
    """A network, its weights, and `batches` of images (rows, inputs) that one call computes."""

    network: Network
    weights: Mapping[str, Array]
    batches: list[Array]

    @classmethod
    def of(cls, kind: str, size: int, rows: int, batches: int) -> "MultiDeviceWorkload":
        """Seeded weights and batches. `mlp`: the course's network; `matmul`: one layer of size x size with ReLU."""
        network = mlp() if kind == "mlp" else Network("matmul", (Linear(size, size, relu=True),), (size,))
        rng = np.random.default_rng(SEED)
        shape = (rows, network.image[0])
        images = [rng.standard_normal(shape, dtype=np.float32) for _ in range(batches)]
        return cls(network, initial_weights(network, SEED), images)

    def reference(self) -> Array:
        """The concatenated logits of all batches, computed by numpy in float64."""
        exact = {name: weight.astype(np.float64) for name, weight in self.weights.items()}
        return np.concatenate([forward_numpy(self.network, exact, one.astype(np.float64)) for one in self.batches])


def round_up(count: int, parts: int) -> int:
    """The next multiple of `parts`. round_up(10, 4) == 12."""
    return -(-count // parts) * parts


def padded(network: Network, weights: Mapping[str, Array], parts: int) -> tuple[Network, Weights]:
    """The network padded with zero units: every hidden and output width becomes a multiple of `parts`."""
    layers, padded_weights, inputs = [], {}, network.image[0]
    for place in network.walk():
        outputs = round_up(place.layer.outputs, parts)
        weight, bias = weights[place.weight], weights[place.bias]
        added = ((0, outputs - len(weight)), (0, inputs - weight.shape[1]))
        padded_weights[place.weight], padded_weights[place.bias] = np.pad(weight, added), np.pad(bias, added[0])
        layers.append(Linear(inputs, outputs, relu=isinstance(place.layer, Linear) and place.layer.relu))
        inputs = outputs
    return Network(network.name, tuple(layers), network.image), padded_weights
