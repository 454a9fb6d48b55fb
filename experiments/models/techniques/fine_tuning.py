"""Training on while weights are taken away: the masks tighten by a schedule, the compiled step stays the same."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.bench.arrays import Array
from experiments.models.data.mnist import Dataset
from experiments.models.sequential.network import Weights, accuracy_numpy
from experiments.models.techniques.prune_weights import Masks, apply_masks, cubic_sparsity, total_sparsity
from experiments.models.techniques.pruning_methods import MaskFunction, Schedule
from experiments.models.training.feeding import Teacher
from experiments.models.training.settings import default_settings

if TYPE_CHECKING:
    from experiments.models.training.trainer import Trainer

VERSION = 1  # raise it when fine-tuning the same weights by the same plan gives other weights

PRUNING = 0.6  # share of the steps over which a gradual schedule tightens; the rest heals
TIGHTENINGS, LOOKS = 40, 10  # of the masks (with 10 of them 95 % sparsity loses twice as much), points of a curve


@dataclass(frozen=True)
class FineTuned:
    """Weights that obey the masks, and the curve: records of step, sparsity and validation_accuracy (0..1)."""

    weights: Weights
    masks: Masks
    curve: list[dict[str, float]]


def fine_tune(
    trainer: "Trainer",
    data: Dataset,
    start: Mapping[str, Array],
    plan: MaskFunction,
    target: float,
    *,
    steps: int,
    schedule: Schedule = "cubic",
    seed: int = 0,
    teacher: Teacher | None = None,
    curve: bool = False,
    on_step: Callable[[int, int], None] | None = None,
) -> FineTuned:
    """Prunes `start` to `target` by `plan(weights, amount, masks so far)` and trains it for `steps` more steps.

    `one_shot` prunes before the first step. `cubic` tightens over the first 60 % of the steps and prunes what is
    smallest by then. `steps` of 0 prunes at once and trains nothing. Every call of one trainer uses the same compiled
    step; the learning rate begins at the network's default and falls to 0. `curve`: look at the validation images
    along the way. `on_step(step, steps)` is called before every step.
    """
    if not steps:
        masks = plan(start, target, {})
        return FineTuned(apply_masks(start, masks), masks, [])
    gradual = schedule == "cubic"
    last = round(PRUNING * steps) if gradual else 0
    tighten_every, look_every = max(1, math.ceil(last / TIGHTENINGS)), max(1, steps // LOOKS)
    masks = {} if gradual else plan(start, target, {})
    seen: list[dict[str, float]] = []

    def look(weights: Weights, step: int) -> None:
        validation = data.validation
        accuracy = accuracy_numpy(trainer.network, weights, validation.images, validation.labels)
        sparsity = total_sparsity(trainer.network, weights)
        seen.append({"step": step, "sparsity": sparsity, "validation_accuracy": accuracy})

    def before_step(now: "Trainer", step: int, _: int) -> None:
        nonlocal masks
        if on_step:
            on_step(step, steps)
        if gradual and (step == last or (step < last and step % tighten_every == 0)):
            masks = plan(now.weights(), cubic_sparsity(step, 0, last, target), masks)
            now.set_masks(masks)
        if curve and step % look_every == 0:
            look(now.weights(), step)

    settings = dataclasses.replace(default_settings(trainer.network.name), seed=seed, batch=trainer.batch)
    trained = trainer.fit(
        data,
        settings,
        steps=steps,
        start=start,
        masks=masks,
        teacher=teacher,
        on_step=before_step,
        evaluate=lambda _: 0.0,  # looked at in `look`, where it is wanted
    )
    if curve:
        look(trained.weights, steps)
    return FineTuned(trained.weights, masks, seen)
