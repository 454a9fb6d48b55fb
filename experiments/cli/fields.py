"""Specs from `field=value` arguments."""

from collections.abc import Sequence
from typing import Any

from experiments.bench.errors import BadInput
from experiments.bench.spec import Experiment, Spec, fields, parse


def spec_from(experiment: Experiment[Any], preset: str | None, assignments: Sequence[str]) -> Any:
    """The preset's spec, or the defaults, with the assigned fields changed."""
    values: dict[str, object] = experiment.preset(preset).model_dump() if preset else {}
    return parse(experiment.spec, values | assigned(experiment.spec, assignments))


def assigned(spec: type[Spec], assignments: Sequence[str]) -> dict[str, object]:
    """The assigned values by field, still as text."""
    values: dict[str, object] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise BadInput(f"{assignment[:60]}: not understood; give field=value with {', '.join(fields(spec))}")
        values[name] = value
    return values
