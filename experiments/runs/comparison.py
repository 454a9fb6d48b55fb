"""Several runs side by side: the columns they share, where they differ, and the ratio of two of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Engine
from sqlalchemy.engine import RowMapping

from experiments.bench.columns import IDENTITY, Column, Value
from experiments.bench.errors import BadInput
from experiments.bench.spec import Experiment, MeasuredSpec
from experiments.bench.statistics.intervals import Interval, unpaired_ratio, verdict
from experiments.registry import registered
from experiments.runs import frames, store
from experiments.runs.clock import format_time

VariantPoint = tuple[str, str]  # variant and grid point

MAX_RUNS = 100
MACHINE = Column("machine", "text", "device and processor or GPU, with the key of its fingerprint")
MATCHED = (
    Column("variant", "text", "measured by both runs"),
    Column("point", "text", "grid point"),
    Column("first_ms", "number", "median latency in the first run"),
    Column("second_ms", "number", "median latency in the second run"),
    Column("ratio", "number", "second over first, median of all pairs of samples: above 1 the first is faster"),
    Column("ratio_lo", "number", "lower end of its 95 % interval (rank sum)"),
    Column("ratio_hi", "number", "upper end of its 95 % interval"),
    Column(
        "verdict",
        "text",
        "of the first run: faster, slower, or `cannot tell` (inconclusive) where the interval includes 1",
    ),
)


def chosen_runs(db: Engine, ids: Sequence[str]) -> tuple[list[RowMapping], list[str]]:
    """The runs with these ids, each once, in their order; and one line per problem with the ids."""
    wanted, problems = list(dict.fromkeys(one for one in ids if one)), []
    if len(wanted) > MAX_RUNS:
        problems.append(f"runs: {len(wanted):,} are named, the first {MAX_RUNS} are shown")
    found = store.get_runs(db, wanted[:MAX_RUNS])
    if unknown := [one for one in wanted[:MAX_RUNS] if one not in found]:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        named = ", ".join(repr(one[:20]) for one in unknown[:3])
        problems.append(f"runs: there is no run {named}{more} in this database")
    runs = [found[one] for one in wanted[:MAX_RUNS] if one in found]
    if strange := [run["experiment"] for run in runs if run["experiment"] not in registered()]:
        problems.append(f"runs: the experiment {strange[0][:60]} is not installed here")
    return [run for run in runs if run["experiment"] in registered()], problems


def machine(run: RowMapping) -> str:
    """The device and machine of a run; runs of different machines are compared, never pooled."""
    facts = run["environment"] or {}
    return (
        f"{run['device']} · {facts.get('gpu') or facts.get('cpu') or run['host']} · {run['fingerprint'] or 'unknown'}"
    )


def shared_columns(runs: Sequence[RowMapping]) -> list[Column]:
    """The columns that the experiments of all runs declare, in the order of the first one."""
    declared = [registered()[run["experiment"]].columns for run in runs]
    everywhere = set.intersection(*({(one.name, one.kind) for one in columns} for columns in declared))
    return [one for one in declared[0] if (one.name, one.kind) in everywhere]


def rows_frame(db: Engine, runs: Sequence[RowMapping]) -> pd.DataFrame:
    """The rows of all runs in their shared columns, each with its machine."""
    columns = [*IDENTITY, MACHINE, *shared_columns(runs)]
    records: list[dict[str, Value]] = []
    rows = store.read_rows_of(db, [run["id"] for run in runs])
    for run in runs:
        same = {"run_id": run["id"], "experiment": run["experiment"], "device": run["device"], "machine": machine(run)}
        records += [{**same, **record} for record in rows[run["id"]]]
    return frames.frame_of(records, columns)


def differences(runs: Sequence[RowMapping], where: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The facts in `spec` or `environment`, one line per fact and one column per run: differing, equal.

    A fact that a run lacks is empty.
    """
    facts = {run["id"]: {name: _text(name, value) for name, value in (run[where] or {}).items()} for run in runs}
    names = list(dict.fromkeys(name for one in facts.values() for name in one))
    texts = {run_id: [one.get(name) for name in names] for run_id, one in facts.items()}
    table = pd.DataFrame(texts, index=pd.Index(names, dtype="str"), dtype="string")
    unlike = table.nunique(axis=1, dropna=False) > 1
    return table[unlike], table[~unlike]


def _text(name: str, value: Any) -> str:
    if name == "time" and isinstance(value, float):
        return format_time(value)
    return value if isinstance(value, str) else json.dumps(value)


def ratios(db: Engine, one: RowMapping, other: RowMapping) -> pd.DataFrame:
    """The latency ratio other/one of every variant and grid point that both runs measured, from their samples.

    Unpaired, so it includes any drift between the two runs. Raises BadInput for runs of different experiments.
    """
    if one["experiment"] != other["experiment"]:
        raise BadInput("a ratio needs two runs of the same experiment")
    experiment = registered()[one["experiment"]]
    first, second = (_timings(db, run, experiment) for run in (one, other))
    records = [_matched(key, first[key], second[key]) for key in first if key in second]
    return frames.frame_of(records, MATCHED)


def ratio_answer(table: pd.DataFrame) -> str:
    """The ratios in one sentence."""
    counted = table["verdict"].value_counts()
    faster, slower = (int(counted.get(one, 0)) for one in ("faster", "slower"))
    low, high = table["ratio"].min(), table["ratio"].max()
    spread = f"{low:.3g}" if len(table) == 1 else f"{low:.3g} to {high:.3g}"
    return (
        f"Of {len(table)} rows timed in both runs, the first run is faster in {faster} and slower in {slower}; "
        f"{len(table) - faster - slower} are inconclusive. "
        f"The second run's latency is {spread} times the first's."
    )


def _timings(db: Engine, run: RowMapping, experiment: Experiment[Any]) -> dict[VariantPoint, list[float]]:
    """Seconds per call of every row by variant and grid point; rows that are wrong or have no timings are skipped."""
    rows = store.read_rows(db, run["id"])
    keys = {
        number: (str(row.get("variant")), _point(row, _columns_of_point(experiment)))
        for number, row in enumerate(rows)
        if row.get("verdict") != "wrong"
    }
    blocks = [one for one in store.read_samples(db, run["id"]) if one["kind"] == "block" and one["seconds"]]
    return {keys[one["number"]]: list(one["seconds"]) for one in blocks if one["number"] in keys}


def _columns_of_point(experiment: Experiment[Any]) -> list[str]:
    """The columns that repeat a field of the spec, then the grid: rows are matched where all of them are equal."""
    fields = [one.name for one in experiment.columns if one.name in experiment.spec.model_fields]
    return list(dict.fromkeys([*fields, *experiment.grid]))


def unlike_parameters(one: RowMapping, other: RowMapping) -> list[str]:
    """Fields that differ between two specs and are not columns: a ratio then compares different things.

    Measuring time and device do not count.
    """
    shown = _columns_of_point(registered()[one["experiment"]])
    same = {*shown, *MeasuredSpec.model_fields}
    names = dict.fromkeys([*one["spec"], *other["spec"]])
    return [name for name in names if name not in same and one["spec"].get(name) != other["spec"].get(name)]


def _point(row: Mapping[str, Value], grid: Sequence[str]) -> str:
    return ", ".join(f"{name} {row[name]}" for name in grid if row.get(name) is not None)


def _matched(key: VariantPoint, one: list[float], other: list[float]) -> dict[str, Value]:
    ratio: Interval = unpaired_ratio(other, one)
    return {
        "variant": key[0],
        "point": key[1],
        "first_ms": float(pd.Series(one).median()) * 1e3,
        "second_ms": float(pd.Series(other).median()) * 1e3,
        "ratio": ratio.median,
        "ratio_lo": ratio.lo,
        "ratio_hi": ratio.hi,
        "verdict": verdict(ratio),
    }
