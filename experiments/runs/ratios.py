"""The latencies of two runs of one experiment, point by point: their ratio, its interval, and what that stands on."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Engine
from sqlalchemy.engine import RowMapping

from experiments.bench.columns import Column, Value
from experiments.bench.errors import BadInput
from experiments.bench.spec import Experiment, MeasuredSpec
from experiments.bench.statistics.between_runs import (
    MIN_REPEATS,
    RunLatency,
    RunVariation,
    UnpairedRatio,
    runs_ratio,
    variation_of,
    verdicts,
)
from experiments.bench.statistics.intervals import Interval
from experiments.registry import registered
from experiments.runs import frames, remarks, store

VariantPoint = tuple[str, str]  # variant and grid point
TimedRows = dict[VariantPoint, Mapping[str, Value]]

MAX_REPEATS = 20  # newest runs of one spec that the variation between runs is estimated from
# The standard deviation between runs by version of the harness, taken while there are too few repeats to estimate it.
# Found while version 2 was designed, on a 2-core Intel CPU without other load, 2026-11-27: about 8% with version 1, in
# which a run kept the memory that it was given, about 1% with version 2. To measure it: tests/benchmarks/repeats.py.
DEFAULT_DEVIATION = {1: 0.08, 2: 0.01}

MATCHED = (
    Column("variant", "text", "variant that both runs measured"),
    Column("point", "text", "grid point"),
    Column("first_ms", "number", "median latency in the first run"),
    Column("second_ms", "number", "median latency in the second run"),
    Column("ratio", "number", "second over first: above 1 the first is faster"),
    Column("ratio_lo", "number", "lower end of the 95% interval of ratio, which includes the variation between runs"),
    Column("ratio_hi", "number", "upper end of the 95% interval of ratio"),
    Column(
        "verdict",
        "text",
        "of the first run: faster, slower, or `cannot tell` (inconclusive), corrected for the number of points (Holm)",
    ),
    Column("deviation", "number", "standard deviation between runs of the logarithm of the latency: 0.01 is about 1%"),
    Column("repeats", "integer", "number of runs of one spec that the deviation was estimated from; empty: a default"),
)


def compare(db: Engine, one: RowMapping, other: RowMapping) -> pd.DataFrame:
    """The latency ratio other/one of every variant and grid point that both runs timed, in the columns of MATCHED.

    Unpaired, so its interval contains the variation between runs. Raises BadInput for runs of different experiments.
    """
    if one["experiment"] != other["experiment"]:
        raise BadInput("a ratio needs two runs of the same experiment")
    experiment = registered()[one["experiment"]]
    first, second = (_latencies(db, run, experiment) for run in (one, other))
    shared = [key for key in first if key in second]
    found = [runs_ratio(second[key], first[key]) for key in shared]
    records = [
        _record(key, first[key], second[key], ratio) | {"verdict": verdict}
        for key, ratio, verdict in zip(shared, found, verdicts(found), strict=True)
    ]
    return frames.frame_of(records, MATCHED)


def answer(table: pd.DataFrame) -> str:
    """The ratios in one sentence."""
    counted = table["verdict"].value_counts()
    faster, slower = (int(counted.get(one, 0)) for one in ("faster", "slower"))
    return (
        f"Of {len(table)} rows timed in both runs, the first run is faster in {faster} and slower in {slower}; "
        f"{len(table) - faster - slower} are inconclusive. "
        f"The second run's latency is {_span(table['ratio'], 3)} times the first's."
    )


def basis(table: pd.DataFrame) -> str:
    """What the intervals of the ratios contain, and what they stand on, in two sentences."""
    estimated = table["repeats"].dropna()
    if estimated.empty:
        source = f"a default, because neither spec has {MIN_REPEATS} finished runs on its machine"
    else:
        source = f"estimated from {_span(estimated, 3)} runs of one spec"
        source += " if there are any, else a default" if len(estimated) < len(table) else ""
    return (
        "Unpaired: the runs were not measured side by side, so each interval contains the variation within them and "
        f"between runs (standard deviation of the logarithm {_span(table['deviation'], 2)}, {source}), and verdicts "
        f"are corrected for {len(table)} comparisons. One run with both variants is stronger evidence."
    )


def unlike_parameters(one: RowMapping, other: RowMapping) -> list[str]:
    """Fields that differ between two specs and are not columns: a ratio then compares different things.

    Measuring time and device do not count.
    """
    shown = _columns_of_point(registered()[one["experiment"]])
    same = {*shown, *MeasuredSpec.model_fields}
    names = dict.fromkeys([*one["spec"], *other["spec"]])
    return [name for name in names if name not in same and one["spec"].get(name) != other["spec"].get(name)]


def _record(key: VariantPoint, first: RunLatency, second: RunLatency, ratio: UnpairedRatio) -> dict[str, Value]:
    variations = (first.variation, second.variation)
    return {
        "variant": key[0],
        "point": key[1],
        "first_ms": first.interval.median,
        "second_ms": second.interval.median,
        "ratio": ratio.interval.median,
        "ratio_lo": ratio.interval.lo,
        "ratio_hi": ratio.interval.hi,
        "deviation": max(one.deviation for one in variations),
        "repeats": min((one.repeats for one in variations if one.repeats), default=None),
    }


def _latencies(db: Engine, run: RowMapping, experiment: Experiment[Any]) -> dict[VariantPoint, RunLatency]:
    """The latencies of a run in ms, with their variation between its repeats."""
    ids = store.repeats(db, run, MAX_REPEATS)
    rows = store.read_rows_of(db, list({run["id"], *ids}))
    timed = {run_id: _timed_rows(of_run, experiment) for run_id, of_run in rows.items()}
    repeats = [timed[run_id] for run_id in ids]
    slowdown = remarks.slowdown(run["environment"])
    return {
        key: RunLatency(_latency(row), _variation(key, row, repeats), slowdown) for key, row in timed[run["id"]].items()
    }


def _timed_rows(rows: Sequence[Mapping[str, Value]], experiment: Experiment[Any]) -> TimedRows:
    """The rows by variant and grid point; rows that are wrong or have no latency are skipped."""
    columns = _columns_of_point(experiment)
    timed = [row for row in rows if row.get("verdict") != "wrong" and _positive(row.get("latency_ms"))]
    return {(str(row.get("variant")), _point(row, columns)): row for row in timed}


def _variation(key: VariantPoint, row: Mapping[str, Value], repeats: Sequence[TimedRows]) -> RunVariation:
    """Of a latency between runs: from repeats that the same version of the harness measured, else the default."""
    harness = _harness(row)
    same = [one[key] for one in repeats if key in one and _harness(one[key]) == harness]
    default = DEFAULT_DEVIATION.get(harness, DEFAULT_DEVIATION[max(DEFAULT_DEVIATION)])
    return variation_of([_latency(one).median for one in same]) or RunVariation(default)


def _harness(row: Mapping[str, Value]) -> int:
    version = row.get("harness")
    return version if isinstance(version, int) else 1


def _latency(row: Mapping[str, Value]) -> Interval:
    """The row's latency in ms; no interval unless both ends are positive."""
    median, low, high = (_positive(row.get(f"latency_{end}ms")) for end in ("", "lo_", "hi_"))
    assert median is not None  # noqa: S101 - of a timed row
    return Interval(median, low, high) if low and high else Interval(median, None, None)


def _positive(value: Value) -> float | None:
    """The value as a finite number above 0; else None: an imported row may contain anything."""
    if isinstance(value, int | float) and 0 < value < math.inf:
        return float(value)
    return None


def _columns_of_point(experiment: Experiment[Any]) -> list[str]:
    """The columns that repeat a field of the spec, then the grid: rows are matched where all of them are equal."""
    fields = [one.name for one in experiment.columns if one.name in experiment.spec.model_fields]
    return list(dict.fromkeys([*fields, *experiment.grid]))


def _point(row: Mapping[str, Value], grid: Sequence[str]) -> str:
    return ", ".join(f"{name} {row[name]}" for name in grid if row.get(name) is not None)


def _span(values: "pd.Series[Any]", digits: int) -> str:
    """The smallest and largest of some numbers: `1.2 to 3.4`, or the one."""
    low, high = (f"{float(one):.{digits}g}" for one in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"
