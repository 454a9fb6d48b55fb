"""Exact CSV gives back every value as it was: kind, last digit, and what a spreadsheet would run."""

import math
from typing import Any

import pytest

from experiments.runs import lossless_csv

RECORDS: list[dict[str, Any]] = [
    {"name": "eager", "count": 3, "time_ms": 0.1 + 0.2, "noisy": True},
    {"name": "", "count": 2**70, "time_ms": 5, "noisy": False},
    {"name": "\\", "count": None, "time_ms": 5.0, "noisy": None},
    {"name": None, "count": -7, "time_ms": -1.5e-300},
    {"name": '=says "ü",\r\nµs\r', "count": 0, "time_ms": math.inf, "noisy": True},
]


def test_records_come_back_with_kind_and_last_digit() -> None:
    columns = lossless_csv.kinds_of(RECORDS)
    assert columns == {"name": "text", "count": "integer", "time_ms": "number", "noisy": "boolean"}
    back = lossless_csv.decode(lossless_csv.encode(RECORDS, columns), columns)
    assert back == [{name: record.get(name) for name in columns} for record in RECORDS]
    assert [type(record["time_ms"]) for record in back] == [float, int, float, float, float]
    assert [type(record["noisy"]) for record in back] == [bool, bool, type(None), type(None), bool]


def test_a_nan_stays_one_and_an_empty_column_stays_empty() -> None:
    records: list[dict[str, Any]] = [{"a": math.nan, "b": None}, {"a": 1.0, "b": None}]
    columns = lossless_csv.kinds_of(records)
    back = lossless_csv.decode(lossless_csv.encode(records, columns), columns)
    assert math.isnan(back[0]["a"])  # type: ignore[arg-type]
    assert [record["b"] for record in back] == [None, None]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [{"a": None}],
        [{"a": ""}, {"a": None}],
        [{"a": "x\ry"}, {"a": None}, {"a": "\r"}],
        [{"a": "\0"}, {"a": "long" * 50_000}],
    ],
)
def test_tables_with_next_to_nothing_in_them_come_back(records: list[dict[str, Any]]) -> None:
    columns = lossless_csv.kinds_of(records)
    assert lossless_csv.decode(lossless_csv.encode(records, columns), columns) == records


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns"),
        ("b,a\n", "columns"),
        ("a,b\n1\n", "line 2 has 1 cells, not 2"),
        ("a,b\n1,2\n1.5,x\n", "line 3, a: '1.5' is no integer"),
        ("a,b\n٣,\n", None),
        ('a,b\n1,"x\n', "no CSV"),
        ("a,b\n0x10,\n", "no integer"),
    ],
)
def test_a_table_of_another_shape_or_kind_is_refused_in_one_line(text: str, said: str | None) -> None:
    if said is None:
        assert lossless_csv.decode(text, {"a": "integer", "b": "text"}) == [{"a": 3, "b": None}]
        return
    with pytest.raises(ValueError, match=said) as refused:
        lossless_csv.decode(text, {"a": "integer", "b": "text"})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("cell", ["true", "1", "yes", "TRUE"])
def test_only_what_was_written_for_yes_and_no_is_read_as_such(cell: str) -> None:
    with pytest.raises(ValueError, match="no boolean"):
        lossless_csv.decode(f"a\n{cell}\n", {"a": "boolean"})
