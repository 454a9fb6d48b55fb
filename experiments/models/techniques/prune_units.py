"""Structured pruning: selects the neurons and channels that remain, and builds the smaller network.

The inputs that a removed unit had in the next layer are removed too: a column of a linear layer, an input channel of a
convolution, and after a flattened convolution one column for each position of the channel.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.forward import check_weights
from experiments.models.sequential.network import Layer, LayerNode, Linear, Network, Weights
from experiments.models.techniques.prune_weights import Masks, apply_masks
from experiments.models.techniques.pruning_spec import UnitScore

VERSION = 1  # raise it when other units are selected for the same weights and width

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
    """The units (neurons, channels) that remain in each layer, by layer, as ascending indices.

    `width`: the share of units that remains in every hidden layer, above 0 to 1, or their number by layer, for some of
    the layers. `l1`, `l2`: the norm of a unit's incoming weights times that of its outgoing weights; scaling one up
    and the other down, which changes no output, does not change this product. `taylor`: the sum over `gradients`,
    one mapping for each batch of calibration images, of (sum of weight times gradient over the unit's weights and
    bias)^2: the change of the loss without the unit, to first order. `random`: a seeded, nested choice: the units that
    remain at a smaller width are a subset of those at a larger one. The outputs of the last layer remain, unless
    `last` is set.

    Raises ValueError with a one-line message for a width of zero or more than the layer has, an unknown layer or score,
    and `taylor` without gradients. Source: Li et al. 2017, Pruning Filters for Efficient ConvNets; Molchanov et al.
    2019, Importance Estimation.
    """
    check_weights(network, weights)
    nodes = network.walk() if last else network.walk()[:-1]
    counts = _counts(network, nodes, width)
    if score not in get_args(UnitScore):
        raise ValueError(f"score: {score} is not allowed; give one of {', '.join(get_args(UnitScore))}")
    batches = list(gradients)
    if score == "taylor" and not batches:
        raise ValueError("score: taylor needs gradients of calibration images")
    rng = np.random.default_rng(seed)
    kept: KeptUnits = {}
    followers: Sequence[LayerNode | None] = [*network.walk()[1:], None]
    for node, following in zip(nodes, followers, strict=False):
        match score:
            case "random":
                values = rng.random(node.layer.outputs)
            case "taylor":
                values = _taylor(node, weights, batches)
            case _:
                values = _norms(node, following, weights, 1 if score == "l1" else 2)
        kept[node.name] = np.sort(np.argsort(-values, kind="stable")[: counts[node.name]])
    return kept


def shrink(network: Network, weights: Mapping[str, Array], kept: Mapping[str, Array]) -> tuple[Network, Weights]:
    """The smaller network and its weights, with only the units of `kept` in the layers that it names.

    It computes the same as the full network with zeros instead of the removed units (see `unit_masks`).
    """
    check_weights(network, weights)
    _check_kept(network, kept)
    layers: list[Layer] = []
    left: Weights = {}
    before: Array | None = None
    for node in network.walk():
        units = kept.get(node.name, np.arange(node.layer.outputs))
        weight = weights[node.weight][units]
        if before is not None:
            weight = weight[:, before]
        left |= {node.weight: weight, node.bias: weights[node.bias][units]}
        layers.append(dataclasses.replace(node.layer, inputs=weight.shape[1], outputs=len(units)))
        before = _columns(network, node, units)
    return Network(network.name, tuple(layers), network.image), left


def unit_masks(network: Network, kept: Mapping[str, Array]) -> Masks:
    """Masks, biases included, under which the full network computes the same as the smaller one.

    Training with them is training the smaller network, with the step that is compiled for the full one.
    """
    _check_kept(network, kept)
    masks: Masks = {}
    before: Array | None = None
    for node in network.walk():
        units = kept.get(node.name, np.arange(node.layer.outputs))
        rows = np.isin(np.arange(node.layer.outputs), units)
        mask = np.zeros(node.layer.weight_shape, bool)
        mask[rows] = True
        if before is not None:
            mask[:, ~np.isin(np.arange(mask.shape[1]), before)] = False
        masks |= {node.weight: mask, node.bias: rows}
        before = _columns(network, node, units)
    return masks


def active_units(network: Network, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Units of every hidden layer with non-zero incoming and outgoing weights, by layer; at least one.

    Biases are ignored: a unit with only a bias is constant, and the next layer's biases can replace it.
    """
    kept = {node.name: np.arange(node.layer.outputs) for node in network.walk()[:-1]}
    while True:
        left = apply_masks(weights, unit_masks(network, kept))
        found = {}
        for node, after in zip(network.walk(), network.walk()[1:], strict=False):
            reached = left[node.weight].reshape(node.layer.outputs, -1).any(axis=1)
            used = np.moveaxis(left[after.weight], 1, 0).reshape(node.layer.outputs, -1).any(axis=1)
            found[node.name] = np.flatnonzero(reached & used) if (reached & used).any() else kept[node.name][:1]
        if all(len(found[name]) == len(kept[name]) for name in kept):
            return kept
        kept = found


def layer_widths(network: Network) -> str:
    """The outputs of every layer, as `300-100-10`."""
    return "-".join(str(layer.outputs) for layer in network.layers)


def _counts(network: Network, nodes: Sequence[LayerNode], width: float | Mapping[str, int]) -> dict[str, int]:
    """The number of units that remain in each of `nodes`."""
    units = {node.name: node.layer.outputs for node in nodes}
    if isinstance(width, Mapping):
        if unknown := sorted(width.keys() - units.keys()):
            raise ValueError(f"width: {network.name} has no layer {unknown[0]} whose units may be pruned")
        counts = units | dict(width)
    else:
        if not 0 < width <= 1:
            raise ValueError(f"width: {width} is not allowed; give a share above 0, at most 1")
        counts = {name: round(width * count) for name, count in units.items()}
    for name, count in counts.items():
        if not 1 <= count <= units[name]:
            raise ValueError(f"width: {count} units in {name} are not allowed; give 1 to {units[name]}")
    return counts


def _norms(node: LayerNode, following: LayerNode | None, weights: Mapping[str, Array], order: int) -> Array:
    incoming = weights[node.weight].astype(np.float64).reshape(node.layer.outputs, -1)
    norms = np.linalg.norm(incoming, order, axis=1)
    if following is None:
        return np.asarray(norms)
    # outgoing weights of one unit: an input channel, or the columns of all its positions
    outgoing = np.moveaxis(weights[following.weight].astype(np.float64), 1, 0).reshape(node.layer.outputs, -1)
    return np.asarray(norms * np.linalg.norm(outgoing, order, axis=1))


def _taylor(node: LayerNode, weights: Mapping[str, Array], batches: Sequence[Mapping[str, Array]]) -> Array:
    total = np.zeros(node.layer.outputs)
    for gradients in batches:
        product = weights[node.weight].astype(np.float64) * gradients[node.weight]
        own = product.reshape(node.layer.outputs, -1).sum(axis=1) + weights[node.bias] * gradients[node.bias]
        total += own**2
    return total


def _columns(network: Network, node: LayerNode, units: Array) -> Array:
    """The inputs of the next layer that come from `units` of `node`."""
    following = dict(zip((one.name for one in network.walk()), network.layers[1:], strict=False)).get(node.name)
    positions = math.prod(node.output_shape[1:]) if isinstance(following, Linear) else 1
    return np.asarray((units[:, None] * positions + np.arange(positions)).ravel())


def _check_kept(network: Network, kept: Mapping[str, Array]) -> None:
    """Raises ValueError if a layer is unknown, or its units are out of range, repeated, not ascending or empty."""
    outputs = {node.name: node.layer.outputs for node in network.walk()}
    for name, units in kept.items():
        if name not in outputs:
            raise ValueError(f"kept: {network.name} has no layer {name}")
        if not len(units) or units[0] < 0 or units[-1] >= outputs[name] or (np.diff(units) < 1).any():
            raise ValueError(f"kept: not a list of ascending units of {name}, which has {outputs[name]}")
