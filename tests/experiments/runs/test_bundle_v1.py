"""Bundles of version 1, with CSV tables, are still imported; damaged ones are still refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from experiments.bench.errors import BadInput
from experiments.runs import bundle, bundle_v1, examples, run_data, store
from tests.experiments.runs.test_bundle import Members, described, members_of, resealed, zipped

EXAMPLE = examples.bundled("memory")[0]  # written by version 0.1
ROWS, SAMPLES = "rows.csv", "samples.csv"

CELLS = """name,count,time_ms,noisy
eager,3,0.30000000000000004,True
\\,1180591620717411303424,5,False
\\\\,,5.0,
,-7,-1.5e-300,
"=says ""ü"",\r\nµs\r",0,inf,True
"""
KINDS: bundle_v1.CsvColumns = {"name": "text", "count": "integer", "time_ms": "number", "noisy": "boolean"}


def members() -> Members:
    return members_of(EXAMPLE.file.read_bytes())


def first_line(members: Members, name: str) -> bytes:
    return members[name].split(b"\n")[1] + b"\n"


def test_a_bundle_of_version_1_is_stored_as_its_tables_say(db: Engine) -> None:
    data = EXAMPLE.file.read_bytes()
    assert bundle.import_run(db, data) == (EXAMPLE.run_id, True)
    stored = run_data.read(db, EXAMPLE.run_id)
    assert stored is not None
    found = members()
    kinds = json.loads(found["run.json"])["tables"]
    assert [row.values for row in stored.rows] == bundle_v1.decode(found[ROWS].decode(), kinds[ROWS])
    lines = bundle_v1.decode(found[SAMPLES].decode(), bundle_v1.SAMPLE_COLUMNS)
    samples = [
        (number, sample.kind, sample.inner, block, seconds)
        for number, row in enumerate(stored.rows)
        for sample in row.samples
        for block, seconds in enumerate(sample.seconds)
    ]
    assert samples == [tuple(line.values()) for line in lines]
    assert samples
    for name, records in stored.details.items():
        member = f"details/{name}.csv"
        assert records == bundle_v1.decode(found[member].decode(), kinds[member])
    assert {f"artifacts/{digest}" for digest in json.loads(found["run.json"])["artifacts"].values()} <= found.keys()


def test_it_is_exported_in_the_current_version_and_the_same_run(db: Engine, tmp_path: Path) -> None:
    bundle.import_run(db, EXAMPLE.file.read_bytes())
    data = bundle.export(db, EXAMPLE.run_id)
    assert json.loads(members_of(data)["run.json"])["version"] == bundle.VERSION
    assert bundle.read(data) == bundle.read(EXAMPLE.file.read_bytes())


REFUSED: dict[str, tuple[Callable[[Members], Members], str]] = {
    "no rows": (lambda m: {name: content for name, content in m.items() if name != ROWS}, "rows.csv is missing"),
    "no samples": (
        lambda m: {name: content for name, content in m.items() if name != SAMPLES},
        "samples.csv is missing",
    ),
    "a table of version 2": (lambda m: m | {"rows.json": b"[]"}, "tables differ from those listed"),
    "a table without columns": (
        lambda m: described(m, lambda v: v["tables"].pop(ROWS)),
        "tables differ from those listed",
    ),
    "empty rows": (lambda m: m | {ROWS: b""}, "damaged"),
    "cells without end": (lambda m: resealed(m, ROWS, b"\n" * 5_000_000), "more than 4,194,304 cells"),
    "an unknown kind": (lambda m: described(m, lambda v: v["tables"][ROWS].update(variant="x")), "tables"),
    "a wrong cell": (lambda m: resealed(m, SAMPLES, m[SAMPLES] + b"x,block,1,0,1.0\n"), "not of kind integer"),
    "a line too short": (lambda m: resealed(m, ROWS, m[ROWS] + b"1\n"), "rows.csv: line .* has 1 cells"),
    "not UTF-8": (lambda m: resealed(m, ROWS, b"\xff"), "rows.csv"),
    "other columns of samples": (
        lambda m: described(m, lambda v: v["tables"][SAMPLES].update(row="text")),
        "samples.csv: its columns are not those of timings",
    ),
    "samples of no row": (lambda m: resealed(m, SAMPLES, m[SAMPLES] + b"999,block,1,0,1.0\n"), "with an unknown row"),
    "samples without a row": (lambda m: resealed(m, SAMPLES, m[SAMPLES] + b",block,1,0,1.0\n"), "with an unknown row"),
    "samples of no kind": (
        lambda m: resealed(m, SAMPLES, m[SAMPLES] + b"0,x,1,0,1.0\n"),
        "with an unknown row or kind",
    ),
    "samples out of order": (lambda m: resealed(m, SAMPLES, m[SAMPLES] + b"0,block,1,3,1.0\n"), "out of order"),
    "samples twice": (lambda m: resealed(m, SAMPLES, m[SAMPLES] + first_line(m, SAMPLES)), "out of order"),
    "no seconds": (
        lambda m: resealed(m, SAMPLES, m[SAMPLES] + b"0,control,1,0,\n"),
        "invalid number of inner calls or invalid seconds",
    ),
    "calls without end": (
        lambda m: resealed(m, SAMPLES, m[SAMPLES] + b"0,control,99999999999,0,1.0\n"),
        "invalid number of inner calls or invalid seconds",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_damaged_bundle_of_version_1_is_refused_in_one_line_and_nothing_is_stored(db: Engine, case: str) -> None:
    change, message = REFUSED[case]
    with pytest.raises(BadInput, match=message) as refused:
        bundle.import_run(db, zipped(change(members())))
    assert "\n" not in str(refused.value)
    assert store.count_runs(db) == 0


def test_values_come_back_with_kind_and_last_digit() -> None:
    assert bundle_v1.decode(CELLS, KINDS) == [
        {"name": "eager", "count": 3, "time_ms": 0.1 + 0.2, "noisy": True},
        {"name": "", "count": 2**70, "time_ms": 5, "noisy": False},
        {"name": "\\", "count": None, "time_ms": 5.0, "noisy": None},
        {"name": None, "count": -7, "time_ms": -1.5e-300, "noisy": None},
        {"name": '=says "ü",\r\nµs\r', "count": 0, "time_ms": math.inf, "noisy": True},
    ]
    assert [type(record["time_ms"]) for record in bundle_v1.decode(CELLS, KINDS)] == [float, int, float, float, float]


@pytest.mark.parametrize(
    ("text", "values"),
    [("a\n", []), ("a\n\n", [None]), ("a\n\\\n\n", ["", None]), ('"a"\n"x\ry"\n""\n"\r"\n', ["x\ry", None, "\r"])],
)
def test_tables_with_next_to_nothing_in_them_are_read(text: str, values: list[str | None]) -> None:
    assert bundle_v1.decode(text, {"a": "text"}) == [{"a": value} for value in values]


def test_a_long_cell_is_read() -> None:
    assert bundle_v1.decode("a\n" + "long" * 50_000 + "\n", {"a": "text"}) == [{"a": "long" * 50_000}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns"),
        ("b,a\n", "columns"),
        ("a,b\n1\n", "line 2 has 1 cells, not 2"),
        ("a,b\n1,2\n1.5,x\n", "line 3, a: '1.5' is not of kind integer"),
        ('a,b\n1,"x\n', "not valid CSV"),
        ("a,b\n0x10,\n", "not of kind integer"),
    ],
)
def test_a_table_of_another_shape_or_kind_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        bundle_v1.decode(text, {"a": "integer", "b": "text"})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("cell", ["true", "1", "yes", "TRUE"])
def test_only_true_and_false_as_written_are_booleans(cell: str) -> None:
    with pytest.raises(ValueError, match="not of kind boolean"):
        bundle_v1.decode(f"a\n{cell}\n", {"a": "boolean"})
