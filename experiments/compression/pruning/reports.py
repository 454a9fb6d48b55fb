"""What pruning did: records for frames, per layer, per layer alone and as a picture, and the answer in a sentence."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bench.answers import describe_speedup
from experiments.bench.arrays import Array
from experiments.bench.columns import Column
from experiments.bench.statistics.intervals import mean_interval, wilson
from experiments.models.data.mnist import Split
from experiments.models.sequential.network import Conv, Network, accuracy_numpy, parameter_count
from experiments.models.techniques.prune_units import layer_widths
from experiments.models.techniques.prune_weights import apply_masks, count_nonzero, pruning_masks, total_sparsity

if TYPE_CHECKING:
    import pandas as pd

    from experiments.compression.pruning.pruned_models import Base, Pruned

Record = dict[str, Any]

DENSE = "dense"  # the network that all is compared with
KEPT = 0.002  # accuracy that may be lost and still be called kept
TILES, SIDE = 8, 40  # filters or units of a picture, and rows and columns where a layer has no image
WHICH = (
    Column("network", "text", "the network"),
    Column("variant", "text", "the way of pruning"),
    Column("target", "number", "the share that was to be taken away"),
)
LAYER = Column("layer", "text", "name of the layer")
DETAILS = {
    "seeds": [
        *WHICH,
        Column("seed", "integer", "of the fine-tuning"),
        Column("accuracy", "number", "on the test set, of the restored file"),
        Column("accuracy_before_fine_tune", "number", "on the test set, pruned at once"),
    ],
    "layers": [
        *(*WHICH, LAYER),
        Column("weights", "integer", "of the layer"),
        Column("nonzero", "integer", "of these not zero"),
        Column("sparsity", "number", "share of zeros"),
        Column("units", "integer", "outputs with any weight that is not zero"),
    ],
    "sensitivity": [
        LAYER,
        Column("sparsity", "number", "of this layer alone, by magnitude, without fine-tuning"),
        Column("accuracy", "number", "on 2,000 validation images"),
        Column("accuracy_lo", "number", "lower end of its 95 % Wilson interval"),
        Column("accuracy_hi", "number", "upper end"),
    ],
    "storage": [
        *WHICH,
        Column("storage", "text", "how the file holds weights and biases"),
        Column("size_bytes", "integer", "bytes of the file"),
    ],
    "fine_tuning": [
        *WHICH,
        Column("step", "integer", "of the fine-tuning"),
        Column("sparsity", "number", "share of zeros at this step"),
        Column("validation_accuracy", "number", "on the 5,000 validation images, first seed"),
    ],
    "picture": [
        *WHICH,
        Column("tile", "integer", "filter or neuron of the first layer"),
        Column("row", "integer", "of the tile"),
        Column("column", "integer", "of the tile"),
        Column("before", "number", "weight in the checkpoint"),
        Column("after", "number", "weight in the pruned network"),
    ],
}


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
            masks = pruning_masks(network, weights, sparsity, layers=[place.name])
            accuracy = accuracy_numpy(network, apply_masks(weights, masks), split.images, split.labels)
            right = wilson(round(accuracy * len(split)), len(split))
            ends = {"accuracy_lo": right.lo, "accuracy_hi": right.hi}
            records.append({"layer": place.name, "sparsity": sparsity, "accuracy": accuracy, **ends})
    return records


def picture_records(network: Network, before: Mapping[str, Array], after: Mapping[str, Array]) -> list[Record]:
    """The weights of the first layer before and after, tile by tile: tile, row, column, before, after.

    A tile is a filter, or the weights of a neuron as the image that they look at: those with the largest norm before.
    Where the inputs are no image, one tile shows rows (outputs) from all over the layer and the first columns (inputs).
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
    if side * side == weight.shape[1]:
        return weight.reshape(-1, side, side)
    spread = np.linspace(0, len(weight) - 1, min(SIDE, len(weight))).astype(int)  # neighbours may all be gone
    return weight[None, spread, :SIDE]


def details_of(base: "Base", made: "Pruned") -> dict[str, list[Record]]:
    """The details of one pruned network: seeds, storage, layers, fine_tuning."""
    tested = made.seeds if base.data else ()
    seeds = [
        {"seed": seed, "accuracy": after, "accuracy_before_fine_tune": at_once}
        for seed, after, at_once in zip(tested, made.accuracies, made.before, strict=True)
    ]
    return {
        "seeds": seeds,
        "storage": [{"storage": name, "size_bytes": len(file)} for name, file in made.files.items()],
        "layers": layer_records(base.network, made.weights),
        "fine_tuning": list(made.curve),
    }


def row_values(base: "Base", dense: "Pruned", made: "Pruned") -> Record:
    """The columns of one pruned network that no timing changes; `dense` is what its accuracy is compared with.

    Accuracy is the first seed's with its Wilson interval; `seed_accuracy` and `drop`, its difference to the dense
    network's seed by seed, are means over the seeds with t intervals.
    """
    values: Record = {
        "sparsity": total_sparsity(base.network, made.weights),
        "structure": layer_widths(made.model.network),
        "parameters": parameter_count(made.model.network),
        "nonzero": count_nonzero(made.model.float_weights()),
        "size_bytes": len(made.file),
        "compression": 4 * parameter_count(base.network) / len(made.file),
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


def answer(frame: "pd.DataFrame") -> str:
    """How far single weights can go with the accuracy kept, what that saves, and what the forms of a program buy."""
    base, rows = frame[frame["variant"] == DENSE], frame[frame["speedup"].notna() & (frame["target"] > 0)]
    if base.empty or rows.empty:
        return ""
    whole = base.iloc[0]
    tested = base["seed_accuracy"].notna().all()
    kept = rows[rows["drop"] <= KEPT] if tested else rows
    parts = []
    same = rows[rows["form"] == DENSE]
    found = kept[kept["form"] == DENSE].sort_values(["sparsity", "drop"], ascending=[True, False])
    if len(found):
        best = found.iloc[-1]
        lost = f" ({_lost(best)} of {whole['seed_accuracy']:.2%}{_at_random(same, best)})" if tested else ""
        parts.append(
            f"{best['sparsity']:.0%} of its weights gone by {best['variant']}{lost}: {best['size_bytes']:,} bytes, "
            f"{best['compression']:.3g}x smaller; multiplying the zeros too {describe_speedup(best, 'a call')}"
        )
    elif len(same):
        least = same.nsmallest(1, "drop").iloc[0]
        parts.append(
            f"no sparsity that was tried keeps its {whole['seed_accuracy']:.2%} within {KEPT * 100:.1f} points "
            f"({least['variant']}, {least['target']:.0%}: {_lost(least)})"
        )
    for form, words in (("gather", "fetching only the weights that are left"), ("smaller", "whole units gone")):
        found = kept[kept["form"] == form]
        found = found if len(found) else rows[rows["form"] == form].nsmallest(1, "drop")
        if len(found):
            one = found.nlargest(1, "speedup").iloc[0]
            lost = f": {one['drop'] * 100:.2f} points lost" if tested else ""
            parts.append(f"{words} ({one['variant']}, {one['target']:.0%}{lost}) {describe_speedup(one, 'a call')}")
    return f"On {whole['device']} {whole['network']} at batch {whole['batch']}: {'; '.join(parts)}."


def _lost(row: "pd.Series[Any]") -> str:
    """`0.12 points lost, 95 % +0.03 to +0.21 over 3 seeds`; without an interval where there is one seed."""
    said = f"{row['drop'] * 100:.2f} points lost"
    if row["seeds"] < 2:
        return said
    return f"{said}, 95 % {row['drop_lo'] * 100:+.2f} to {row['drop_hi'] * 100:+.2f} over {row['seeds']} seeds"


def _at_random(rows: "pd.DataFrame", best: "pd.Series[Any]") -> str:
    """What as many weights cost that are drawn at random, where that was tried as well."""
    drawn = rows.loc[(rows["method"] == "random") & (rows["target"] == best["target"]), "drop"]
    return f"; at random {drawn.min() * 100:.2f}" if len(drawn) and best["method"] != "random" else ""
