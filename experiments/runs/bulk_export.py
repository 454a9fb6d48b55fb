"""The rows, or the samples, of many runs as one CSV, streamed from the database.

Formula-safe, like every download. Columns that an experiment does not have are empty for its runs. Runs of experiments
that are not installed are left out, because their columns are unknown.
"""

import csv
import functools
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, Select, Text, select, type_coerce

from experiments.bench.columns import IDENTITY
from experiments.bench.spec import Experiment
from experiments.registry import registered
from experiments.runs import database, schema, store
from experiments.runs.frames import SAMPLE_COLUMNS, formula_safe

AT_ONCE = 1000  # records fetched and written together
RUN_COLUMNS = 3  # the identity columns: run id, experiment and device
NOWHERE = ""  # the name of no column

_safe = functools.lru_cache(maxsize=4096)(formula_safe)  # the same few texts recur in every row


def rows_csv(db: Engine, **wanted: str) -> Iterator[str]:
    """All rows of the runs that match (see `store.list_runs`), newest run first, in chunks of text."""
    known = registered()
    found = [known[name] for name in store.distinct(db, "experiment", **wanted) if name in known]
    columns = {one.name: one for experiment in found for one in (*IDENTITY, *experiment.columns)}
    lines = {one.name: _Lines(list(columns), one) for one in found}
    runs, record = schema.runs.c, type_coerce(schema.rows.c.record, Text)
    chosen = _chosen(select(runs.id, runs.experiment, runs.device, record).join(schema.rows), wanted)
    with database.reading(db) as connection:
        rows = connection.execution_options(yield_per=AT_ONCE).execute(chosen.order_by(schema.rows.c.number))
        yield _text([list(columns)])
        for part in rows.partitions():
            yield _text([lines[row.experiment].line(*row) for row in part])


class _Lines:
    """Stored rows of one experiment as lines of cells, as its frame would write them.

    Numbers stay text as in the stored JSON, which has all their digits: parsing and formatting the numbers of 200,000
    rows would take longer than everything else.
    """

    def __init__(self, header: list[str], experiment: Experiment[Any]) -> None:
        declared = {one.name: one.kind for one in (*IDENTITY, *experiment.columns)}
        self._decode = json.JSONDecoder(parse_float=str).decode
        self._asked = [name if name in declared else NOWHERE for name in header[RUN_COLUMNS:]]
        kinds = list(enumerate(map(declared.get, header)))[RUN_COLUMNS:]
        self._texts = [place for place, kind in kinds if kind == "text"]
        self._numbers = [place for place, kind in kinds if kind == "number"]

    def line(self, run_id: str, experiment: str, device: str, record: str) -> list[Any]:
        cells = [run_id, experiment, device, *map(self._decode(record).get, self._asked)]
        for place in self._texts:
            if cells[place] is not None:
                cells[place] = _safe(cells[place])
        for place in self._numbers:
            if type(cells[place]) is int:
                cells[place] = float(cells[place])
        return cells


def samples_csv(db: Engine, **wanted: str) -> Iterator[str]:
    """Every raw timing of the runs that match, in seconds per call, in chunks of text."""
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


def _text(lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
