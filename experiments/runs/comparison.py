"""Several runs side by side: the columns they share, and where they differ."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Engine
from sqlalchemy.engine import RowMapping

from experiments.bench.columns import IDENTITY, Column, Value
from experiments.registry import registered
from experiments.runs import frames, store
from experiments.runs.clock import format_time

MAX_RUNS = 100
MACHINE = Column("machine", "text", "device and processor or GPU, with the key of its fingerprint")


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
    if not_installed := [run["experiment"] for run in runs if run["experiment"] not in registered()]:
        problems.append(f"runs: the experiment {not_installed[0][:60]} is not installed here")
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
