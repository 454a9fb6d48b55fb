"""Fills the detail frames of a pruning run: seeds, layers, sensitivity of single layers, storage, curves, pictures."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.columns import Value
from experiments.bench.statistics.intervals import wilson
from experiments.models.data.mnist import Split
from experiments.models.sequential.forward import accuracy_numpy
from experiments.models.sequential.network import Conv, Network
from experiments.models.techniques.prune_weights import apply_masks, pruning_masks

if TYPE_CHECKING:
    from experiments.compression.pruning.pruning_and_fine_tuning import DenseModel, PrunedModel

SENSITIVITY_LEVELS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)  # sparsities of one layer alone
MAX_TILES, SIDE = 8, 40  # of a picture: filters or neurons; rows and columns where the inputs are not an image


def details_of(dense: "DenseModel", pruned: "PrunedModel") -> dict[str, list[dict[str, Value]]]:
    """The details of one pruned network: seeds, storage, layers, fine_tuning."""
    tested = pruned.seeds if dense.data else ()
    seeds: list[dict[str, Value]] = [
        {"seed": seed, "accuracy": after, "accuracy_before_fine_tune": before}
        for seed, after, before in zip(tested, pruned.accuracies, pruned.before, strict=True)
    ]
    return {
        "seeds": seeds,
        "storage": [{"storage": name, "size_bytes": len(file)} for name, file in pruned.files.items()],
        "layers": layer_records(dense.network, pruned.weights),
        "fine_tuning": [{**point} for point in pruned.curve],
    }


def layer_records(network: Network, weights: Mapping[str, Array]) -> list[dict[str, Value]]:
    """One record for each layer, with the columns of the detail `layers`."""
    records: list[dict[str, Value]] = []
    for place in network.walk():
        weight = weights[place.weight]
        used = weight.reshape(len(weight), -1).any(axis=1)
        nonzero = int(np.count_nonzero(weight))
        records.append(
            {
                "layer": place.name,
                "weights": weight.size,
                "nonzero": nonzero,
                "sparsity": 1 - nonzero / weight.size,
                "units": int(used.sum()),
            }
        )
    return records


def sensitivity_records(
    network: Network, weights: Mapping[str, Array], split: Split, levels: Sequence[float] = SENSITIVITY_LEVELS
) -> list[dict[str, Value]]:
    """The accuracy on `split` with one layer alone pruned by magnitude to each of `levels`, without fine-tuning."""
    records: list[dict[str, Value]] = []
    for place in network.walk():
        for sparsity in levels:
            masks = pruning_masks(network, weights, sparsity, layers=[place.name])
            accuracy = accuracy_numpy(network, apply_masks(weights, masks), split.images, split.labels)
            interval = wilson(round(accuracy * len(split)), len(split))
            ends = {"accuracy_lo": interval.lo, "accuracy_hi": interval.hi}
            records.append({"layer": place.name, "sparsity": sparsity, "accuracy": accuracy, **ends})
    return records


def picture_records(
    network: Network, before: Mapping[str, Array], after: Mapping[str, Array]
) -> list[dict[str, Value]]:
    """The weights of the first layer before and after pruning, as tiles: the filters or neurons of largest norm.

    A neuron's weights are arranged as its input image. Where the inputs are not an image, one tile shows outputs from
    all over the layer as rows and the first inputs as columns.
    """
    name = network.walk()[0].weight
    dense, pruned = (_tiles(network, arrays[name]) for arrays in (before, after))
    strongest = np.sort(np.argsort(-np.linalg.norm(dense.reshape(len(dense), -1), axis=1))[:MAX_TILES])
    return [
        {
            "tile": int(tile),
            "row": row,
            "column": column,
            "before": float(dense[tile, row, column]),
            "after": float(pruned[tile, row, column]),
        }
        for tile in strongest
        for row, column in np.ndindex(*dense.shape[1:])
    ]


def _tiles(network: Network, weight: Array) -> Array:
    """The first layer's weights as (tiles, rows, columns)."""
    if isinstance(network.layers[0], Conv):
        return np.asarray(weight[:, 0])
    side = math.isqrt(weight.shape[1])
    if side * side == weight.shape[1]:
        return weight.reshape(-1, side, side)
    spread = np.linspace(0, len(weight) - 1, min(SIDE, len(weight))).astype(int)  # neighbors may all be pruned
    return weight[None, spread, :SIDE]
