"""What pruning did, as records for frames: per layer, per layer alone, and as a picture of the weights."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.bench.statistics import mean_interval, wilson
from experiments.models.datasets import Split
from experiments.models.networks import Array, Conv, Network, accuracy_numpy, parameters
from experiments.models.pruned import Base, Pruned
from experiments.models.pruning import masked, masks_of, nonzero, sparsity_of
from experiments.models.shrinking import structure

Record = dict[str, Any]
TILES, SIDE = 8, 40  # filters or units of a picture, and rows and columns where a layer has no image


def layer_records(network: Network, weights: Mapping[str, Array]) -> list[Record]:
    """One record for each layer: layer, weights, nonzero, sparsity (its share of zeros), units (with any weight)."""
    records = []
    for place in network.walk():
        weight = weights[place.weight]
        used = weight.reshape(len(weight), -1).any(axis=1)
        kept = int(np.count_nonzero(weight))
        records.append(
            {
                "layer": place.name,
                "weights": weight.size,
                "nonzero": kept,
                "sparsity": 1 - kept / weight.size,
                "units": int(used.sum()),
            }
        )
    return records


def sensitivity_records(
    network: Network, weights: Mapping[str, Array], levels: Sequence[float], split: Split
) -> list[Record]:
    """The accuracy on `split` with the smallest weights of one layer alone at zero, without any training.

    One record for each layer and sparsity of `levels`: layer, sparsity, accuracy and its Wilson interval.
    """
    records = []
    for place in network.walk():
        for sparsity in levels:
            masks = masks_of(network, weights, sparsity, layers=[place.name])
            accuracy = accuracy_numpy(network, masked(weights, masks), split.images, split.labels)
            right = wilson(round(accuracy * len(split)), len(split))
            ends = {"accuracy_lo": right.lo, "accuracy_hi": right.hi}
            records.append({"layer": place.name, "sparsity": sparsity, "accuracy": accuracy, **ends})
    return records


def picture_records(network: Network, before: Mapping[str, Array], after: Mapping[str, Array]) -> list[Record]:
    """The weights of the first layer before and after, tile by tile: tile, row, column, before, after.

    A tile is a filter, or the weights of a neuron as the image that they look at: those with the largest norm before.
    Where the inputs are no image, one tile shows the first rows (outputs) and columns (inputs).
    """
    name = network.walk()[0].weight
    sides = [_tiles(network, arrays[name]) for arrays in (before, after)]
    strongest = np.sort(np.argsort(-np.linalg.norm(sides[0].reshape(len(sides[0]), -1), axis=1))[:TILES])
    return [
        {
            "tile": int(tile),
            "row": row,
            "column": column,
            "before": float(sides[0][tile, row, column]),
            "after": float(sides[1][tile, row, column]),
        }
        for tile in strongest
        for row, column in np.ndindex(*sides[0].shape[1:])
    ]


def _tiles(network: Network, weight: Array) -> Array:
    """The first layer's weights as (tiles, rows, columns)."""
    if isinstance(network.layers[0], Conv):
        return np.asarray(weight[:, 0])
    side = math.isqrt(weight.shape[1])
    return weight.reshape(-1, side, side) if side * side == weight.shape[1] else weight[None, :SIDE, :SIDE]


def details_of(base: Base, made: Pruned) -> dict[str, list[Record]]:
    """The details of one pruned network: seeds, storage, layers, fine_tuning."""
    seeds = [
        {"seed": seed, "accuracy": after, "accuracy_before_fine_tune": at_once}
        for seed, (after, at_once) in enumerate(zip(made.accuracies, made.before, strict=True))
    ]
    return {
        "seeds": seeds,
        "storage": [{"storage": name, "size_bytes": len(file)} for name, file in made.files.items()],
        "layers": layer_records(base.network, made.weights),
        "fine_tuning": list(made.curve),
    }


def row_values(base: Base, dense: Pruned, made: Pruned) -> Record:
    """The columns of one pruned network that no timing changes; `dense` is what its accuracy is compared with.

    Accuracy is the first seed's with its Wilson interval; `seed_accuracy` and `drop`, its difference to the dense
    network's seed by seed, are means over the seeds with t intervals.
    """
    values: Record = {
        "sparsity": sparsity_of(base.network, made.weights),
        "structure": structure(made.model.network),
        "parameters": parameters(made.model.network),
        "nonzero": nonzero(made.model.real_weights()),
        "size_bytes": len(made.file),
        "compression": 4 * parameters(base.network) / len(made.file),
        "storage": next(name for name, file in made.files.items() if file == made.file),
    }
    if not base.data:
        return values
    right = wilson(round(made.accuracies[0] * len(base.data.test)), len(base.data.test))
    values |= {"accuracy": right.median, "accuracy_lo": right.lo, "accuracy_hi": right.hi}
    values |= {"accuracy_before_fine_tune": made.before[0], "seeds": len(made.accuracies)}
    drops = [whole - one for whole, one in zip(dense.accuracies, made.accuracies, strict=True)]
    return values | _over_seeds("seed_accuracy", made.accuracies) | _over_seeds("drop", drops)


def _over_seeds(name: str, values: Sequence[float]) -> Record:
    """The mean, and its t interval where there are several."""
    if len(values) < 2:
        return {name: values[0]}
    mean = mean_interval(values)
    return {name: mean.median, f"{name}_lo": mean.lo, f"{name}_hi": mean.hi}
