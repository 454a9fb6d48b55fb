"""Ways of pruning by name, as plans: from the weights as they are now and an amount to masks that may only tighten."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from experiments.bench.arrays import Array
from experiments.models.sequential.network import Network, Weights
from experiments.models.techniques.prune_units import UnitScore, select_units, unit_masks
from experiments.models.techniques.prune_weights import Masks, Scope, pruning_masks

Schedule = Literal["one_shot", "cubic"]
MaskFunction = Callable[[Mapping[str, Array], float, Masks], Masks]
GradientFunction = Callable[[Mapping[str, Array]], list[Weights]]
UNIT_SCORES: dict[str, UnitScore] = {f"{score} units": score for score in ("l1", "l2", "taylor", "random")}


@dataclass(frozen=True)
class PruningConfig:
    """A method with what it needs to be told; `schedule` as in `finetuning.fine_tune`, `distilled` from a teacher."""

    method: str = "magnitude"
    scope: Scope | None = None
    schedule: Schedule = "cubic"
    distilled: bool = False

    @property
    def removes_units(self) -> bool:
        """Whether units go, so that a smaller network is left."""
        return self.method in UNIT_SCORES


def mask_function(
    network: Network,
    method: str,
    scope: Scope = "global",
    *,
    seed: int = 0,
    gradients: GradientFunction | None = None,
    last: bool = False,
) -> MaskFunction:
    """The plan of a method: `magnitude`, `lamp`, `random`, N:M, or units by a score, as `l2 units`.

    `gradients` of calibration images from weights, for Taylor; `last` as in `shrinking.keep_units`.
    """
    if method in UNIT_SCORES:
        return unit_mask_function(network, UNIT_SCORES[method], seed=seed, gradients=gradients, last=last)
    return weight_mask_function(network, method, scope, seed)


def weight_mask_function(network: Network, method: str, scope: Scope = "global", seed: int = 0) -> MaskFunction:
    """A plan that prunes single weights by `pruning.masks_of`; N:M has one sparsity, whatever is asked for."""

    def plan(weights: Mapping[str, Array], sparsity: float, within: Masks) -> Masks:
        wanted = None if ":" in method else sparsity
        return pruning_masks(network, weights, wanted, method, scope, seed=seed, within=within)

    return plan


def unit_mask_function(
    network: Network, score: UnitScore, *, seed: int = 0, gradients: GradientFunction | None = None, last: bool = False
) -> MaskFunction:
    """A plan that prunes the given share of the units of every hidden layer by `shrinking.keep_units`.

    Units that are gone have only zeros and come last in every score, so that the masks only tighten.
    """

    def plan(weights: Mapping[str, Array], share: float, within: Masks) -> Masks:
        batches = gradients(weights) if gradients else []
        kept = select_units(network, weights, 1 - share, score, gradients=batches, seed=seed, last=last)
        return unit_masks(network, kept)

    return plan
