"""Unstructured pruning: masks of the weights that remain, and the schedule of gradual pruning.

A mask is a boolean array in the shape of its weight, True if the weight remains. Biases are never pruned.
"""

from collections.abc import Collection, Mapping
from typing import get_args

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.forward import check_weights
from experiments.models.sequential.network import Network, Weights
from experiments.models.techniques.pruning_spec import Scope, parse_n_of_m

VERSION = 1  # raise it when the same weights and amount give other masks

Masks = dict[str, Array]
SCORES = ("magnitude", "lamp", "random")


def pruning_masks(
    network: Network,
    weights: Mapping[str, Array],
    sparsity: float | None,
    method: str = "magnitude",
    scope: Scope = "global",
    *,
    seed: int = 0,
    layers: Collection[str] | None = None,
    within: Mapping[str, Array] | None = None,
) -> Masks:
    """Masks, by weight name, under which the share 1 - `sparsity` of the weights with the highest scores remains.

    Scores: `magnitude`; `lamp`, the square over the sum of the squares in its layer that are at least as large, which
    makes layers comparable and leaves weights in each; `random`, a seeded, nested choice: what remains at a higher
    sparsity is a subset of what remains at a lower one. `N:M`, such as `2:4`: the N largest of every M consecutive
    inputs of an output, also of an incomplete last group; its sparsity is 1 - N/M and may be given as None.

    `scope`: whether the share holds for all weights together or for each layer (with LAMP, the largest weight of a
    layer always remains). `layers`: only these; the others get no mask. `within`: earlier masks, whose removed weights
    stay removed. At least one weight remains. Raises ValueError with a one-line message if a value is not allowed.
    Source: Han et al. 2015 (magnitude), Lee et al. 2021 (LAMP), Mishra et al. 2021 (N:M).
    """
    check_weights(network, weights)
    chosen = {f"{layer}.weight": weights[f"{layer}.weight"] for layer in _layers(network, layers)}
    if ":" in method:
        return _n_of_m(chosen, *parse_n_of_m(method), sparsity, within or {})
    if method not in SCORES:
        raise ValueError(f"method: {method} is not allowed; give one of {', '.join(SCORES)} or N:M such as 2:4")
    if scope not in get_args(Scope):
        raise ValueError(f"scope: {scope} is not allowed; give one of {', '.join(get_args(Scope))}")
    if sparsity is None or not 0 <= sparsity < 1:
        raise ValueError(f"sparsity: {sparsity} is not allowed; give a value from 0 to below 1")
    scores = _scores(chosen, method, seed)
    for name, mask in (within or {}).items():
        if name in scores:
            scores[name] = np.where(mask != 0, scores[name], -np.inf)
    if scope == "layer":
        return {name: _best(score.ravel(), sparsity).reshape(score.shape) for name, score in scores.items()}
    best = _best(np.concatenate([score.ravel() for score in scores.values()]), sparsity)
    ends = np.cumsum([score.size for score in scores.values()])[:-1]
    parts = zip(scores.items(), np.split(best, ends), strict=True)
    return {name: part.reshape(score.shape) for (name, score), part in parts}


def cubic_sparsity(step: int, first: int, last: int, final: float) -> float:
    """The sparsity at `step` of a gradual schedule: from 0 at `first`, fast and then slowly, to `final` at `last`.

    Source: Zhu & Gupta 2017, To prune, or not to prune.
    """
    if step >= last:
        return final
    left = 1 - max(0, step - first) / (last - first)
    return final - final * left**3


def apply_masks(weights: Mapping[str, Array], masks: Mapping[str, Array]) -> Weights:
    """The weights with zeros where a mask is False; weights without a mask are unchanged."""
    return {name: one * (masks[name] != 0) if name in masks else one for name, one in weights.items()}


def total_sparsity(network: Network, weights: Mapping[str, Array]) -> float:
    """The share of zeros among all weights; biases are not counted."""
    zeros = sum(int((weights[node.weight] == 0).sum()) for node in network.walk())
    return zeros / sum(weights[node.weight].size for node in network.walk())


def count_nonzero(weights: Mapping[str, Array]) -> int:
    """Number of non-zero weights and biases."""
    return sum(int(np.count_nonzero(one)) for one in weights.values())


def _layers(network: Network, layers: Collection[str] | None) -> list[str]:
    """The names of the layers to prune, in the network's order."""
    names = [node.name for node in network.walk()]
    if unknown := sorted(set(layers or ()) - set(names)):
        raise ValueError(f"layers: {network.name} has no layer {unknown[0]}; it has {', '.join(names)}")
    return [name for name in names if layers is None or name in layers]


def _scores(weights: Mapping[str, Array], method: str, seed: int) -> Masks:
    match method:
        case "random":
            rng = np.random.default_rng(seed)
            return {name: np.asarray(rng.random(one.shape)) for name, one in weights.items()}
        case "lamp":
            return {name: _lamp(one) for name, one in weights.items()}
        case _:
            return {name: np.abs(one).astype(np.float64) for name, one in weights.items()}


def _lamp(weight: Array) -> Array:
    """The LAMP score; 1 for the largest weight of the layer, 0 where the weight is 0."""
    squares = weight.astype(np.float64).ravel() ** 2
    order = np.argsort(-squares, kind="stable")
    upto = np.cumsum(squares[order])
    score = np.zeros(squares.size)
    score[order] = np.divide(squares[order], upto, out=np.zeros(squares.size), where=upto > 0)
    return score.reshape(weight.shape)


def _best(scores: Array, sparsity: float) -> Array:
    """True for the highest round((1 - sparsity) n) of n scores, at least one, and never for a score of -inf."""
    count = max(1, round((1 - sparsity) * scores.size))
    best = np.zeros(scores.size, bool)
    best[np.argsort(-scores, kind="stable")[:count]] = True
    return np.asarray(best & np.isfinite(scores))


def _n_of_m(weights: Mapping[str, Array], n: int, m: int, sparsity: float | None, within: Mapping[str, Array]) -> Masks:
    if sparsity is not None and abs(sparsity - (1 - n / m)) > 1e-9:
        raise ValueError(f"sparsity: {sparsity} is not allowed; {n}:{m} has {1 - n / m:g}")
    masks: Masks = {}
    for name, weight in weights.items():
        scores = np.abs(weight).astype(np.float64).reshape(len(weight), -1)
        if name in within:
            scores = np.where(within[name].reshape(scores.shape) != 0, scores, -np.inf)
        groups = np.pad(scores, ((0, 0), (0, -scores.shape[1] % m)), constant_values=-np.inf)
        groups = groups.reshape(len(scores), -1, m)
        best = np.argsort(-groups, axis=2, kind="stable")[..., :n]
        kept = np.zeros(groups.shape, bool)
        np.put_along_axis(kept, best, True, axis=2)
        kept &= np.isfinite(groups)
        masks[name] = kept.reshape(len(scores), -1)[:, : scores.shape[1]].reshape(weight.shape)
    return masks
