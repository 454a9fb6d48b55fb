"""Rows, Pareto front and effects of one grid point, from the timings and accuracies of its variants."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bench.columns import Value
from experiments.bench.rows import Row
from experiments.bench.session import timed_row
from experiments.bench.statistics.effects import effects
from experiments.bench.statistics.intervals import paired_difference, wilson
from experiments.bench.statistics.pareto import FrontMembership, Objectives, Resampled, front, resample
from experiments.models.builder import BuiltModel
from experiments.studies.tradeoffs.checked_calls import CheckedCall
from experiments.studies.tradeoffs.grid import FACTORS, Combination

if TYPE_CHECKING:
    from experiments.bench.timing.measure import Comparison

RESPONSES = ("accuracy", "latency", "bytes")


def rows_and_effects(
    compared: "Comparison",
    calls: Mapping[Combination, CheckedCall],
    models: Mapping[Combination, BuiltModel],
    base: Combination,
    point: Mapping[str, Value],
) -> tuple[list[Row], list[dict[str, Value]]]:
    """The rows of all variants that ran, and the records of the detail `effects`.

    Variants with a wrong output are excluded from the front and the effects.
    """
    valid = [variant for variant, call in calls.items() if not call.wrong]
    objectives = Objectives(
        np.stack([models[variant].correct for variant in valid]),
        np.array([compared.timings[variant.name].blocks for variant in valid]),
        np.array([len(models[variant].file) for variant in valid]),
    )
    resampled = resample(objectives)
    memberships = dict(zip(valid, front(objectives, resampled), strict=True))
    rows = []
    for variant, call in calls.items():
        latency_s = compared.latency(variant.name).median
        batch = point["batch"]
        values: dict[str, Value] = {
            **point,
            **factor_columns(variant),
            **model_columns(models[variant], models[base]),
            **call.work.columns(latency_s),
            "throughput_per_s": float(batch) / latency_s if isinstance(batch, int) else None,
            "max_abs_error": call.error,
            **(_front_columns(memberships[variant], valid) if variant in memberships else {}),
        }
        rows.append(timed_row(compared, variant.name, wrong=call.wrong, **values))
    records = _effect_records(valid, objectives, resampled)
    return rows, [{"batch": point["batch"], "seed": point["seed"], **record} for record in records]


def factor_columns(combination: Combination) -> dict[str, Value]:
    """The level of every factor."""
    return {factor: getattr(combination, factor) for factor in FACTORS}


def model_columns(model: BuiltModel, base: BuiltModel) -> dict[str, Value]:
    """The columns on size and accuracy; the loss against the baseline is paired image by image."""
    accuracy = wilson(int(model.correct.sum()), len(model.correct))
    lost, won = int((base.correct & ~model.correct).sum()), int((model.correct & ~base.correct).sum())
    loss = paired_difference(lost, won, len(model.correct))
    return {
        "recipe": model.recipe.hash,
        "accuracy": accuracy.median,
        "accuracy_lo": accuracy.lo,
        "accuracy_hi": accuracy.hi,
        "accuracy_loss": loss.median,
        "accuracy_loss_lo": loss.lo,
        "accuracy_loss_hi": loss.hi,
        "validation_accuracy": model.validation_accuracy,
        "parameters": model.parameters,
        "nonzero": model.nonzero,
        "size_bytes": len(model.file),
        "compression": 4 * base.parameters / len(model.file),
    }


def _front_columns(membership: FrontMembership, variants: Sequence[Combination]) -> dict[str, Value]:
    by = membership.dominated_by
    return {
        "p_front": membership.p_front,
        "front": by is None,
        "dominated_by": None if by is None else variants[by].name,
    }


def _effect_records(
    variants: Sequence[Combination], objectives: Objectives, resampled: Resampled
) -> Iterator[dict[str, Value]]:
    """Effects on latency and bytes as factors, on accuracy as a difference."""
    sizes = np.log(objectives.size_bytes)[:, None]
    settings = [{factor: str(getattr(variant, factor)) for factor in FACTORS} for variant in variants]
    for effect in effects(settings):
        for response, values in zip(RESPONSES, (resampled.accuracy, resampled.log_latency, sizes), strict=True):
            interval: tuple[Any, ...] = effect.of(values)
            if response != "accuracy":
                interval = tuple(float(np.exp(end)) for end in interval)
            yield {
                "factor": effect.factor,
                "level": effect.level,
                "with_factor": effect.with_factor,
                "with_level": effect.with_level,
                "response": response,
                **dict(zip(("effect", "effect_lo", "effect_hi"), interval, strict=True)),
                "settings": effect.settings,
            }
