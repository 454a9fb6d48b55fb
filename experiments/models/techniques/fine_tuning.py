"""Fine-tuning during pruning: the masks tighten by a schedule, with one compiled training step."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.bench.arrays import Array
from experiments.models.data.mnist import Dataset
from experiments.models.sequential.forward import accuracy_numpy
from experiments.models.sequential.network import Weights
from experiments.models.techniques.prune_weights import Masks, apply_masks, cubic_sparsity, total_sparsity
from experiments.models.techniques.pruning_methods import MaskFunction
from experiments.models.techniques.pruning_spec import Schedule
from experiments.models.training.feeding import Teacher
from experiments.models.training.settings import default_settings

if TYPE_CHECKING:
    from experiments.models.training.trainer import Trainer

VERSION = 1  # raise it when the same weights, mask function and steps give other weights

PRUNING_SHARE = 0.6  # of the steps of a gradual schedule; the rest only fine-tunes
MASK_UPDATES = 40  # at most; with 10 of them, 95% sparsity loses twice as much accuracy
CURVE_POINTS = 10


@dataclass(frozen=True)
class FineTuned:
    """Masked weights, and the curve: records of step, sparsity and validation_accuracy (0..1)."""

    weights: Weights
    masks: Masks
    curve: list[dict[str, float]]


def fine_tune(
    trainer: "Trainer",
    data: Dataset,
    start: Mapping[str, Array],
    mask_function: MaskFunction,
    target: float,
    *,
    steps: int,
    schedule: Schedule = "cubic",
    seed: int = 0,
    teacher: Teacher | None = None,
    curve: bool = False,
    on_step: Callable[[int, int], None] | None = None,
) -> FineTuned:
    """Prunes `start` to `target` by `mask_function(weights, amount, masks so far)` and trains it for `steps` steps.

    `one_shot` prunes before the first step. `cubic` prunes during the first 60% of the steps, by the weights of that
    moment. With 0 `steps` it prunes at once and does not train. All calls with one trainer use the same compiled step;
    the learning rate starts at the network's default and falls to 0. `curve`: evaluate the validation images during
    training. `on_step(step, steps)` is called before every step.
    """
    if not steps:
        masks = mask_function(start, target, {})
        return FineTuned(apply_masks(start, masks), masks, [])
    gradual = schedule == "cubic"
    last = round(PRUNING_SHARE * steps) if gradual else 0
    update_every, evaluate_every = max(1, math.ceil(last / MASK_UPDATES)), max(1, steps // CURVE_POINTS)
    masks = {} if gradual else mask_function(start, target, {})
    records: list[dict[str, float]] = []

    def evaluate(weights: Weights, step: int) -> None:
        validation = data.validation
        accuracy = accuracy_numpy(trainer.network, weights, validation.images, validation.labels)
        sparsity = total_sparsity(trainer.network, weights)
        records.append({"step": step, "sparsity": sparsity, "validation_accuracy": accuracy})

    def before_step(now: "Trainer", step: int, _: int) -> None:
        nonlocal masks
        if on_step:
            on_step(step, steps)
        if gradual and (step == last or (step < last and step % update_every == 0)):
            masks = mask_function(now.weights(), cubic_sparsity(step, 0, last, target), masks)
            now.set_masks(masks)
        if curve and step % evaluate_every == 0:
            evaluate(now.weights(), step)

    settings = dataclasses.replace(default_settings(trainer.network.name), seed=seed, batch=trainer.batch)
    trained = trainer.fit(
        data,
        settings,
        steps=steps,
        start=start,
        masks=masks,
        teacher=teacher,
        on_step=before_step,
        evaluate=lambda _: 0.0,  # `evaluate` does it, if a curve is requested
    )
    if curve:
        evaluate(trained.weights, steps)
    return FineTuned(trained.weights, masks, records)
