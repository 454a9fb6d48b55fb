"""The rows, or the samples, of many runs as one CSV, written as they come from the database.

Formula-safe as every download; columns that an experiment does not have are empty for its runs. Runs of experiments
that are not installed here are left out: nobody knows their columns.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, Select, select

from experiments.bench.columns import IDENTITY, Kind, Value
from experiments.registry import registered
from experiments.runs import database, schema, store
from experiments.runs.frames import SAMPLE_COLUMNS, formula_safe

AT_ONCE = 1000  # records fetched and written together


def rows_csv(db: Engine, **wanted: str) -> Iterator[str]:
    """All rows of the runs that match (see `store.list_runs`), newest run first, in parts of text."""
    known = registered()
    found = [known[name] for name in store.distinct(db, "experiment", **wanted) if name in known]
    columns = {one.name: one for experiment in found for one in (*IDENTITY, *experiment.columns)}
    runs, rows = schema.runs.c, schema.rows.c
    chosen = _chosen(select(runs.id, runs.experiment, runs.device, rows.record).join(schema.rows), wanted)
    places = {name: place for place, name in enumerate(columns)}
    of = {one.name: {each.name: (places[each.name], each.kind) for each in (*IDENTITY, *one.columns)} for one in found}

    def line(run_id: str, experiment: str, device: str, record: Mapping[str, Value]) -> list[str]:
        cells, own = [""] * len(places), of[experiment]
        cells[:3] = run_id, experiment, device
        for name, value in record.items():
            if value is not None and name in own:
                place, kind = own[name]
                cells[place] = _cell(value, kind)
        return cells

    yield from _written(db, list(columns), chosen.order_by(rows.number), line)


def samples_csv(db: Engine, **wanted: str) -> Iterator[str]:
    """Every raw timing of the runs that match, in seconds per call, in parts of text."""
    runs, rows, samples = schema.runs.c, schema.rows.c, schema.samples.c
    same_row = (rows.run_id == samples.run_id) & (rows.number == samples.number)
    what = select(runs.id, samples.number, rows.record, samples.kind, samples.inner, samples.seconds)
    chosen = _chosen(what.join(schema.samples, runs.id == samples.run_id).join(schema.rows, same_row), wanted)
    with database.reading(db) as connection:
        found = connection.execution_options(yield_per=AT_ONCE).execute(chosen.order_by(samples.number, samples.kind))
        yield _text([[one.name for one in SAMPLE_COLUMNS]])
        for run_id, number, record, kind, inner, seconds in found:
            variant = formula_safe(str(record.get("variant", "")))
            same = (run_id, number, variant, kind, inner)
            yield _text([[*same, block, repr(float(one))] for block, one in enumerate(seconds)])


def _chosen(what: Select[Any], wanted: Mapping[str, str]) -> Select[Any]:
    runs = schema.runs.c
    conditions = (*store.conditions(wanted), runs.experiment.in_(list(registered())))
    return what.where(*conditions).order_by(runs.created.desc(), runs.id)


def _written(db: Engine, header: list[str], chosen: Select[Any], line: Any) -> Iterator[str]:
    with database.reading(db) as connection:
        found = connection.execution_options(yield_per=AT_ONCE).execute(chosen)
        yield _text([header])
        for part in found.partitions():
            yield _text([line(*record) for record in part])


def _cell(value: str | float, kind: Kind) -> str:
    """A value as the frame of its experiment would write it."""
    if isinstance(value, str):
        return formula_safe(value)
    return repr(float(value)) if kind == "number" else repr(value)


def _text(lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
