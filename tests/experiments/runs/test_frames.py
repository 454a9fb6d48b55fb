"""Frames are typed, come back from CSV as they were, and hold nothing that a spreadsheet would run."""

import io
import math
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from experiments.bench.columns import Column
from experiments.bench.rows import Row, Sample
from experiments.registry import find
from experiments.runs import frames, store
from tests.experiments.runs.lab_tools import DEVICE, plain_run

COLUMNS = [
    Column("name", "text", "a text"),
    Column("count", "integer", "an integer"),
    Column("time_ms", "number", "a number"),
    Column("noisy", "boolean", "yes or no"),
]
RECORDS: list[dict[str, Any]] = [
    {"name": "eager", "count": 3, "time_ms": 0.1 + 0.2, "noisy": True},
    {"name": "jit, captured", "count": 2**53 + 1, "time_ms": 5, "noisy": False},
    {"name": 'says "ü"\nµs'},
    {"count": -7, "time_ms": -1.5e-300},
]


def read(text: str) -> pd.DataFrame:
    kinds = {column.name: frames.DTYPES[column.kind] for column in COLUMNS}
    return pd.read_csv(io.StringIO(text), dtype=kinds, keep_default_na=False, na_values=[""])


def test_grid_points_are_counted_once_and_without_a_grid_there_is_one() -> None:
    rows = frames.frame_of([{"count": 1}, {"count": 1}, {"count": 2}, {}], COLUMNS)
    assert [len(frames.points_of(rows, grid)) for grid in (["count"], ["count", "time_ms"], [])] == [3, 3, 1]
    assert len(frames.points_of(rows.iloc[:0], [])) == 0


def test_columns_have_their_types_even_where_cells_are_empty() -> None:
    frame = frames.frame_of(RECORDS, COLUMNS)
    assert [str(kind) for kind in frame.dtypes] == ["string", "Int64", "Float64", "boolean"]
    assert frame["count"].tolist() == [3, 2**53 + 1, pd.NA, -7]
    assert frame["noisy"].isna().tolist() == [False, False, True, True]


def test_a_frame_without_rows_keeps_its_columns_and_types() -> None:
    frame = frames.frame_of([], COLUMNS)
    assert list(frame.columns) == ["name", "count", "time_ms", "noisy"]
    assert str(frame["count"].dtype) == "Int64"
    assert frames.to_csv(frame) == "name,count,time_ms,noisy\n"


def test_csv_round_trips_through_pandas() -> None:
    frame = frames.frame_of(RECORDS, COLUMNS)
    pd.testing.assert_frame_equal(read(frames.to_csv(frame)), frame)


def test_integers_are_written_as_integers_and_numbers_in_full() -> None:
    lines = frames.to_csv(frames.frame_of(RECORDS, COLUMNS)).splitlines()
    assert lines[1] == "eager,3,0.30000000000000004,True"
    assert '"jit, captured",9007199254740993,5.0,False' in lines
    assert lines[-1] == ",-7,-1.5e-300,"


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "-2+3", "+1", "\t=1", "\r=1", "  =1+1", "\n=1"])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    written = frames.to_csv(frames.frame_of([{"name": text, "count": 1}], COLUMNS))
    assert read(written)["name"].tolist() == ["'" + text.replace("\r", "\n")]


@pytest.mark.parametrize("text", ["a=b", "1x3x32x32", "'quoted'", "a\nb", "µ, \u2028 and \x85", "NA", "nan"])
def test_harmless_text_comes_back_as_it_was(text: str) -> None:
    written = frames.to_csv(frames.frame_of([{"name": text, "count": 1}, {"name": "next", "count": 2}], COLUMNS))
    assert read(written)["name"].tolist() == [text, "next"]


@pytest.mark.parametrize("text", ["a\r=1+1", "a\r\n=1+1", "a\n=1+1"])
def test_a_line_break_in_a_text_begins_no_row(text: str) -> None:
    written = frames.to_csv(frames.frame_of([{"name": text, "count": 1}, {"name": "next", "count": 2}], COLUMNS))
    assert read(written)["name"].tolist() == ["a\n=1+1", "next"]


def test_negative_numbers_stay_numbers() -> None:
    written = frames.to_csv(frames.frame_of([{"count": -5, "time_ms": -0.25}], COLUMNS))
    assert written.splitlines()[1] == ",-5,-0.25,"


def test_a_column_name_cannot_be_a_formula() -> None:
    frame = frames.frame_of([{"=1+1": "x"}], [Column("=1+1", "text", "an evil name")])
    assert frames.to_csv(frame).splitlines()[0] == "'=1+1"


@pytest.fixture
def stored(lab: object, db: Engine) -> Any:
    """A run of `steps` with two rows, their timings and a detail."""
    run_id = plain_run(db)
    store.claim(db, run_id, "one")
    batch = store.Batch()
    batch.rows = [
        Row({"variant": "a", "number": 0}, [Sample("single", 1, [0.5]), Sample("block", 4, [0.25, 0.125])]),
        Row({"variant": "b", "number": 1, "wait_s": 2}, [Sample("block", 8, [1.0])]),
    ]
    batch.details = [("log", [{"number": 0, "said": "zero"}]), ("log", [{"number": 1}])]
    store.write(db, run_id, "one", batch, 0, 0)
    return store.get_run(db, run_id)


def test_rows_come_with_what_identifies_them(stored: Any, db: Engine) -> None:
    frame = frames.rows_frame(db, stored, find("steps"))
    assert list(frame.columns) == ["run_id", "experiment", "device", "variant", "number", "wait_s", "latency_ms"]
    assert frame.iloc[1, :5].tolist() == [stored["id"], "steps", DEVICE, "b", 1]
    assert math.isclose(frame["wait_s"].sum(), 2.0)
    assert str(frame["number"].dtype) == "Int64"


def test_details_come_in_their_order_and_an_undeclared_one_is_a_key_error(stored: Any, db: Engine) -> None:
    frame = frames.detail_frame(db, stored, find("steps"), "log")
    assert frame["number"].tolist() == [0, 1]
    assert frame["said"].tolist() == ["zero", pd.NA]
    with pytest.raises(KeyError):
        frames.detail_frame(db, stored, find("steps"), "nothing")


def test_every_raw_timing_is_a_line_of_the_samples_frame(stored: Any, db: Engine) -> None:
    frame = frames.samples_frame(db, stored)
    lines = frame[["row", "variant", "kind", "inner", "block", "seconds"]].to_numpy().tolist()
    assert lines == [
        [0, "a", "block", 4, 0, 0.25],
        [0, "a", "block", 4, 1, 0.125],
        [0, "a", "single", 1, 0, 0.5],
        [1, "b", "block", 8, 0, 1.0],
    ]
    assert str(frame["inner"].dtype) == "Int64"


def test_a_displayed_frame_has_labels_for_stored_values_and_the_same_types() -> None:
    frame = frames.frame_of(
        [{"verdict": "cannot tell", "n": 1}, {"n": None}], (Column("verdict", "text", ""), Column("n", "integer", ""))
    )
    shown = frames.displayed(frame)
    assert shown["verdict"].fillna("").tolist() == ["inconclusive", ""]
    assert shown.dtypes.tolist() == frame.dtypes.tolist()
    assert frame["verdict"].iloc[0] == "cannot tell"
