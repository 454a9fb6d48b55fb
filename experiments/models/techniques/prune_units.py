"""Structured pruning: which neurons and channels stay, and the network that is left when the others are gone.

What a removed unit fed into the next layer goes with it: a column of a linear layer, an input channel of a
convolution, and behind a convolution that is flattened one column for each position of the removed channel.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.network import Layer, LayerNode, Linear, Network, Weights, check_weights
from experiments.models.techniques.prune_weights import Masks, apply_masks

VERSION = 1  # raise it when the same weights and share keep other units

UnitScore = Literal["l1", "l2", "taylor", "random"]
KeptUnits = dict[str, Array]


def select_units(
    network: Network,
    weights: Mapping[str, Array],
    width: float | Mapping[str, int],
    score: UnitScore = "l2",
    *,
    gradients: Iterable[Mapping[str, Array]] = (),
    seed: int = 0,
    last: bool = False,
) -> KeptUnits:
    """The units (neurons, channels) that stay in each layer, by layer, as ascending indices.

    `width`: the share of units that stays in every hidden layer, above 0 to 1, or the number by layer, the others
    staying whole. `l1`, `l2`: the norm of what comes into a unit times the norm of what it sends on, which scaling one
    up and the other down, with no change of what is computed, does not change. `taylor`: the sum over `gradients`,
    one mapping for each batch of calibration images, of (sum of weight times gradient over the unit's own weights and
    bias)^2: how much the loss would change without it, to first order. `random`: a seeded choice, the smaller one
    part of the larger. The last layer's outputs stay, unless `last` says that they are units like the others.

    ValueError with one line for a width of zero or beyond the layer's, an unknown layer or score, and `taylor`
    without gradients.
    Source: Li et al. 2017, Pruning Filters for Efficient ConvNets; Molchanov et al. 2019, Importance Estimation.
    """
    check_weights(network, weights)
    places = network.walk() if last else network.walk()[:-1]
    counts = _counts(network, places, width)
    if score not in get_args(UnitScore):
        raise ValueError(f"score: {score} is not allowed; give one of {', '.join(get_args(UnitScore))}")
    batches = list(gradients)
    if score == "taylor" and not batches:
        raise ValueError("score: taylor needs gradients of calibration images")
    rng = np.random.default_rng(seed)
    kept: KeptUnits = {}
    followers: Sequence[LayerNode | None] = [*network.walk()[1:], None]
    for place, following in zip(places, followers, strict=False):
        match score:
            case "random":
                values = rng.random(place.layer.outputs)
            case "taylor":
                values = _taylor(place, weights, batches)
            case _:
                values = _norms(place, following, weights, 1 if score == "l1" else 2)
        kept[place.name] = np.sort(np.argsort(-values, kind="stable")[: counts[place.name]])
    return kept


def shrink(network: Network, weights: Mapping[str, Array], kept: Mapping[str, Array]) -> tuple[Network, Weights]:
    """The network and the weights that are left when in the layers of `kept` only those units stay.

    It computes what the network with zeros in place of the removed units computes (see `unit_masks`).
    """
    check_weights(network, weights)
    _check_kept(network, kept)
    layers: list[Layer] = []
    left: Weights = {}
    before: Array | None = None
    for place in network.walk():
        units = kept.get(place.name, np.arange(place.layer.outputs))
        weight = weights[place.weight][units]
        if before is not None:
            weight = weight[:, before]
        left |= {place.weight: weight, place.bias: weights[place.bias][units]}
        layers.append(dataclasses.replace(place.layer, inputs=weight.shape[1], outputs=len(units)))
        before = _columns(network, place, units)
    return Network(network.name, tuple(layers), network.image), left


def unit_masks(network: Network, kept: Mapping[str, Array]) -> Masks:
    """Masks, biases included, under which the whole network computes what the shrunken one computes.

    Training under them is training the shrunken network, with a step that is compiled for the whole one.
    """
    _check_kept(network, kept)
    masks: Masks = {}
    before: Array | None = None
    for place in network.walk():
        units = kept.get(place.name, np.arange(place.layer.outputs))
        rows = np.isin(np.arange(place.layer.outputs), units)
        mask = np.zeros(place.layer.weight_shape, bool)
        mask[rows] = True
        if before is not None:
            mask[:, ~np.isin(np.arange(mask.shape[1]), before)] = False
        masks |= {place.weight: mask, place.bias: rows}
        before = _columns(network, place, units)
    return masks


def active_units(network: Network, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The units of every hidden layer that something reaches and that something hears, by layer, one at least.

    Biases are not looked at: a unit that only its bias reaches is constant, and the next biases can learn that.
    """
    kept = {place.name: np.arange(place.layer.outputs) for place in network.walk()[:-1]}
    while True:
        left = apply_masks(weights, unit_masks(network, kept))
        found = {}
        for place, after in zip(network.walk(), network.walk()[1:], strict=False):
            reached = left[place.weight].reshape(place.layer.outputs, -1).any(axis=1)
            heard = np.moveaxis(left[after.weight], 1, 0).reshape(place.layer.outputs, -1).any(axis=1)
            found[place.name] = np.flatnonzero(reached & heard) if (reached & heard).any() else kept[place.name][:1]
        if all(len(found[name]) == len(kept[name]) for name in kept):
            return kept
        kept = found


def layer_widths(network: Network) -> str:
    """The outputs of every layer, as `300-100-10`."""
    return "-".join(str(layer.outputs) for layer in network.layers)


def _counts(network: Network, places: Sequence[LayerNode], width: float | Mapping[str, int]) -> dict[str, int]:
    """How many units stay in each of `places`."""
    units = {place.name: place.layer.outputs for place in places}
    if isinstance(width, Mapping):
        if unknown := sorted(width.keys() - units.keys()):
            raise ValueError(f"width: {network.name} has no layer {unknown[0]} whose units may go")
        counts = units | dict(width)
    else:
        if not 0 < width <= 1:
            raise ValueError(f"width: {width} is not allowed; give a share above 0, at most 1")
        counts = {name: round(width * count) for name, count in units.items()}
    for name, count in counts.items():
        if not 1 <= count <= units[name]:
            raise ValueError(f"width: {count} units in {name} are not allowed; give 1 to {units[name]}")
    return counts


def _norms(place: LayerNode, following: LayerNode | None, weights: Mapping[str, Array], order: int) -> Array:
    incoming = weights[place.weight].astype(np.float64).reshape(place.layer.outputs, -1)
    norms = np.linalg.norm(incoming, order, axis=1)
    if following is None:
        return np.asarray(norms)
    # outgoing weights of one unit: an input channel, or the columns of all its positions
    outgoing = np.moveaxis(weights[following.weight].astype(np.float64), 1, 0).reshape(place.layer.outputs, -1)
    return np.asarray(norms * np.linalg.norm(outgoing, order, axis=1))


def _taylor(place: LayerNode, weights: Mapping[str, Array], batches: Sequence[Mapping[str, Array]]) -> Array:
    total = np.zeros(place.layer.outputs)
    for gradients in batches:
        product = weights[place.weight].astype(np.float64) * gradients[place.weight]
        own = product.reshape(place.layer.outputs, -1).sum(axis=1) + weights[place.bias] * gradients[place.bias]
        total += own**2
    return total


def _columns(network: Network, place: LayerNode, units: Array) -> Array:
    """The inputs of the layer after `place` that come from `units`."""
    following = dict(zip((one.name for one in network.walk()), network.layers[1:], strict=False)).get(place.name)
    positions = math.prod(place.output_shape[1:]) if isinstance(following, Linear) else 1
    return np.asarray((units[:, None] * positions + np.arange(positions)).ravel())


def _check_kept(network: Network, kept: Mapping[str, Array]) -> None:
    """ValueError where a layer is unknown, or units are none of it, doubled, not ascending or none at all."""
    outputs = {place.name: place.layer.outputs for place in network.walk()}
    for name, units in kept.items():
        if name not in outputs:
            raise ValueError(f"kept: {network.name} has no layer {name}")
        if not len(units) or units[0] < 0 or units[-1] >= outputs[name] or (np.diff(units) < 1).any():
            raise ValueError(f"kept: not ascending units of {name}, which has {outputs[name]}")
