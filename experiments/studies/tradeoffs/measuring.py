"""Phase 2 of a trade-off study: all variants of a grid point side by side, their front and their effects."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bench.columns import Value
from experiments.bench.rows import Row
from experiments.bench.session import timed_row
from experiments.bench.statistics.effects import effects
from experiments.bench.statistics.intervals import paired_difference, wilson
from experiments.bench.statistics.pareto import FrontMembership, Objectives, Resampled, front, resample
from experiments.models.builder import BuiltModel
from experiments.studies.tradeoffs.calls import Ready
from experiments.studies.tradeoffs.grid import FACTORS, Choice

if TYPE_CHECKING:
    from experiments.bench.timing.measure import Comparison

Record = dict[str, Value]

RESPONSES = ("accuracy", "latency", "bytes")


def said_of(made: BuiltModel, base: BuiltModel) -> Record:
    """The columns of a model: its size and accuracy, also against the baseline's, image by image."""
    right = wilson(int(made.correct.sum()), len(made.correct))
    lost, won = int((base.correct & ~made.correct).sum()), int((made.correct & ~base.correct).sum())
    loss = paired_difference(lost, won, len(made.correct))
    return {
        "recipe": made.recipe.hash,
        "accuracy": right.median,
        "accuracy_lo": right.lo,
        "accuracy_hi": right.hi,
        "accuracy_loss": loss.median,
        "accuracy_loss_lo": loss.lo,
        "accuracy_loss_hi": loss.hi,
        "validation_accuracy": made.validation_accuracy,
        "parameters": made.parameters,
        "nonzero": made.nonzero,
        "size_bytes": len(made.file),
        "compression": 4 * base.parameters / len(made.file),
    }


def rows_of(
    compared: "Comparison",
    calls: Mapping[Choice, Ready],
    models: Mapping[Choice, BuiltModel],
    base: Choice,
    point: Record,
) -> tuple[list[Row], list[Record]]:
    """The rows of all variants that ran, and the records of the detail `effects`.

    A variant with a wrong result has no place on the front and no part in the effects.
    """
    right = [one for one, ready in calls.items() if not ready.wrong]
    study = Objectives(
        np.stack([models[one].correct for one in right]),
        np.array([compared.timings[one.name].blocks for one in right]),
        np.array([len(models[one].file) for one in right]),
    )
    drawn = resample(study)
    places = dict(zip(right, front(study, drawn), strict=True))
    rows = []
    for one, ready in calls.items():
        latency_s = compared.latency(one.name).median
        batch = point["batch"]
        values: Record = {
            **point,
            **factors_of(one),
            **said_of(models[one], models[base]),
            **ready.work.columns(latency_s),
            "throughput_per_s": float(batch) / latency_s if isinstance(batch, int) else None,
            "max_abs_error": ready.error,
            **(_placed(places[one], right) if one in places else {}),
        }
        rows.append(timed_row(compared, one.name, wrong=ready.wrong, **values))
    return rows, [{"batch": point["batch"], "seed": point["seed"], **one} for one in _effects(right, study, drawn)]


def factors_of(choice: Choice) -> Record:
    """The level of every factor."""
    return {factor: getattr(choice, factor) for factor in FACTORS}


def _placed(place: FrontMembership, variants: list[Choice]) -> Record:
    by = place.dominated_by
    return {"p_front": place.p_front, "front": by is None, "dominated_by": None if by is None else variants[by].name}


def _effects(variants: list[Choice], study: Objectives, drawn: Resampled) -> Iterator[Record]:
    """Of latency and bytes as factors, of accuracy as a difference."""
    sizes = np.log(study.size_bytes)[:, None]
    settings = [{factor: str(getattr(one, factor)) for factor in FACTORS} for one in variants]
    for effect in effects(settings):
        for response, values in zip(RESPONSES, (drawn.accuracy, drawn.log_latency, sizes), strict=True):
            told: tuple[Any, ...] = effect.of(values)
            if response != "accuracy":
                told = tuple(float(np.exp(one)) for one in told)
            yield {
                "factor": effect.factor,
                "level": effect.level,
                "with_factor": effect.with_factor,
                "with_level": effect.with_level,
                "response": response,
                **dict(zip(("effect", "effect_lo", "effect_hi"), told, strict=True)),
                "settings": effect.settings,
            }
