"""Stored runs as pandas frames, and frames as CSV without spreadsheet formulas."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Engine
from sqlalchemy.engine import RowMapping

from experiments.bench.columns import IDENTITY, LABELS, RUN_ID, Column, ColumnKind, Value
from experiments.bench.spec import Experiment
from experiments.runs import store

DTYPES: dict[ColumnKind, Any] = {"text": "string", "integer": "Int64", "number": "Float64", "boolean": "boolean"}
SAMPLE_COLUMNS = (
    RUN_ID,
    Column("row", "integer", "number of the row that the timing belongs to, from 0"),
    Column("variant", "text", "the variant of that row"),
    Column("kind", "text", "block: for medians and intervals; control: the A/A control; single: for p95 and p99"),
    Column("inner", "integer", "calls timed together as one sample"),
    Column("block", "integer", "number of the block; variants of one grid point are interleaved within a block"),
    Column("seconds", "number", "seconds per call"),
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n")


def frame_of(records: Sequence[Mapping[str, Value]], columns: Iterable[Column]) -> pd.DataFrame:
    """A typed frame with exactly `columns`; a value that a record lacks is empty."""
    cells = {one: pd.Series([record.get(one.name) for record in records], dtype="object") for one in columns}
    return pd.DataFrame({one.name: series.astype(DTYPES[one.kind]) for one, series in cells.items()})


def rows_frame(db: Engine, run: RowMapping, experiment: Experiment[Any]) -> pd.DataFrame:
    """The rows of a run, identity columns first."""
    return frame_of_rows(run, store.read_rows(db, run["id"]), experiment)


def frame_of_rows(
    run: Mapping[str, Any] | RowMapping, records: Iterable[Mapping[str, Value]], experiment: Experiment[Any]
) -> pd.DataFrame:
    """The records of a run's rows as a frame, identity columns first."""
    same = {"run_id": run["id"], "experiment": run["experiment"], "device": run["device"]}
    return frame_of([{**same, **record} for record in records], (*IDENTITY, *experiment.columns))


def detail_frame(db: Engine, run: RowMapping, experiment: Experiment[Any], name: str) -> pd.DataFrame:
    """One detail of a run; raises KeyError for a name that the experiment does not declare."""
    columns = (RUN_ID, *experiment.details[name])
    records = [{"run_id": run["id"], **record} for record in store.read_detail(db, run["id"], name)]
    return frame_of(records, columns)


def samples_frame(db: Engine, run: RowMapping) -> pd.DataFrame:
    """Every raw timing of a run, one line each, in seconds per call."""
    variants = [record.get("variant") for record in store.read_rows(db, run["id"])]
    records: list[dict[str, Value]] = [
        {
            "run_id": run["id"],
            "row": stored["number"],
            "variant": variants[stored["number"]],
            "kind": stored["kind"],
            "inner": stored["inner"],
            "block": block,
            "seconds": seconds,
        }
        for stored in store.read_samples(db, run["id"])
        for block, seconds in enumerate(stored["seconds"])
    ]
    return frame_of(records, SAMPLE_COLUMNS)


def points_of(rows: pd.DataFrame, grid: Sequence[str]) -> pd.DataFrame:
    """The grid points of rows, one line each; all rows of an experiment without a grid are at one point."""
    return rows[list(grid)].drop_duplicates() if grid else rows.iloc[:1, :0]


def displayed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as people see it: stored values under their labels. CSV keeps the stored values."""
    texts = frame.select_dtypes(["string", "object"])
    return frame.assign(**texts.replace(LABELS)) if len(texts.columns) else frame


def to_csv(frame: pd.DataFrame) -> str:
    """The frame as CSV, formula-safe: an apostrophe precedes text that a spreadsheet would take for a formula."""
    safe = frame.rename(columns=_safe).map(_safe, na_action="ignore")
    return safe.to_csv(index=False, lineterminator="\n")


def _safe(value: Any) -> Any:
    return formula_safe(value) if isinstance(value, str) else value


def formula_safe(value: str) -> str:
    """The text of a download, after an apostrophe where a spreadsheet would take it for a formula."""
    line = value.replace("\r\n", "\n").replace(
        "\r", "\n"
    )  # an unquoted carriage return begins a row for readers of CSV
    return "'" + line if line.lstrip(" ").startswith(FORMULA_STARTS) else line
