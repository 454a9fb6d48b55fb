"""Pruning methods by name, as functions of the current weights, an amount and earlier masks to tighter masks."""

from collections.abc import Callable, Mapping

from experiments.bench.arrays import Array
from experiments.models.sequential.network import Network, Weights
from experiments.models.techniques.prune_units import select_units, unit_masks
from experiments.models.techniques.prune_weights import Masks, pruning_masks
from experiments.models.techniques.pruning_spec import UNIT_SCORES, Scope, UnitScore

MaskFunction = Callable[[Mapping[str, Array], float, Masks], Masks]
GradientFunction = Callable[[Mapping[str, Array]], list[Weights]]


def mask_function(
    network: Network,
    method: str,
    scope: Scope = "global",
    *,
    seed: int = 0,
    gradients: GradientFunction | None = None,
    last: bool = False,
) -> MaskFunction:
    """The mask function of a method: `magnitude`, `lamp`, `random`, N:M, or units by a score, as `l2 units`.

    `gradients`: from weights to gradients of calibration images, for Taylor; `last` as in `select_units`.
    """
    if method in UNIT_SCORES:
        return unit_mask_function(network, UNIT_SCORES[method], seed=seed, gradients=gradients, last=last)
    return weight_mask_function(network, method, scope, seed)


def weight_mask_function(network: Network, method: str, scope: Scope = "global", seed: int = 0) -> MaskFunction:
    """Prunes single weights by `pruning_masks`; N:M ignores the given sparsity."""

    def masks(weights: Mapping[str, Array], sparsity: float, within: Masks) -> Masks:
        required = None if ":" in method else sparsity
        return pruning_masks(network, weights, required, method, scope, seed=seed, within=within)

    return masks


def unit_mask_function(
    network: Network, score: UnitScore, *, seed: int = 0, gradients: GradientFunction | None = None, last: bool = False
) -> MaskFunction:
    """Prunes the given share of the units of every hidden layer by `select_units`.

    Removed units have only zeros and thus the lowest scores, so that the masks only tighten.
    """

    def masks(weights: Mapping[str, Array], share: float, within: Masks) -> Masks:
        batches = gradients(weights) if gradients else []
        kept = select_units(network, weights, 1 - share, score, gradients=batches, seed=seed, last=last)
        return unit_masks(network, kept)

    return masks
