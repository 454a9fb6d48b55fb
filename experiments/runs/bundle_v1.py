"""Reads the tables of bundles of version 1: CSV with the kind of every column in `run.json`.

An empty cell means no value. A backslash before text that is empty or begins with one is not part of it. Floats have
all their digits and always a point or an exponent, so that 3 and 3.0 differ.
"""

import csv
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.bench.columns import ColumnKind, Value

CsvColumns = dict[str, ColumnKind]
SampleTable = list[dict[str, Any]]

ESCAPE = "\\"
MAX_CELL = 2**31 - 1  # no limit: the source of a kernel is longer than the 128 KiB that Python allows by default
SAMPLES = "samples.csv"
SAMPLE_COLUMNS: CsvColumns = {
    "row": "integer", "kind": "text", "inner": "integer", "block": "integer", "seconds": "number"
}  # fmt: skip


def read_tables(members: Mapping[str, bytes], columns: Mapping[str, CsvColumns]) -> dict[str, list[Any]]:
    """The tables under their names in version 2, with their content in version 2.

    Raises ValueError with a one-line message.
    """
    if list(columns[SAMPLES].items()) != list(SAMPLE_COLUMNS.items()):
        raise ValueError(f"{SAMPLES}: its columns are not those of timings")
    found: dict[str, list[Any]] = {}
    for name, content in members.items():
        try:
            text = content.decode()
            read = _samples(text) if name == SAMPLES else decode(text, columns[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        found[name.removesuffix(".csv") + ".json"] = read
    return found


def _samples(text: str) -> SampleTable:
    """The timings of each row and kind as one list, which version 1 has as lines in the order 0, 1, 2 …"""
    rows, kinds, inners, blocks, seconds = decode_columns(text, SAMPLE_COLUMNS)
    found, start = [], 0
    for (row, kind, inner), group in itertools.groupby(zip(rows, kinds, inners, strict=True)):
        here = slice(start, start := start + sum(1 for _ in group))
        if blocks[here] != list(range(len(blocks[here]))):
            raise ValueError(f"the timings of row {row} are out of order")
        found.append({"row": row, "kind": kind, "inner": inner, "seconds": seconds[here]})
    return found


def decode(text: str, columns: CsvColumns) -> list[dict[str, Value]]:
    """The records in `text`; raises ValueError with a one-line message if it is not a table of these columns."""
    values = decode_columns(text, columns)
    return [dict(zip(columns, record, strict=True)) for record in zip(*values, strict=True)]


def decode_columns(text: str, columns: CsvColumns) -> list[list[Any]]:
    """Like `decode`, but returns the values column by column, in the order of `columns`."""
    csv.field_size_limit(MAX_CELL)
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if next(lines, None) != list(columns):
            raise ValueError("its columns are not those that run.json names")
        cells = [_cells(line, len(columns), number) for number, line in enumerate(lines, start=2)]
    except csv.Error as error:
        raise ValueError(f"not valid CSV: {error}") from None
    by_column = zip(*cells, strict=True) if cells else ((),) * len(columns)
    return [_values(column, kind, name) for (name, kind), column in zip(columns.items(), by_column, strict=True)]


def _cells(line: list[str], count: int, number: int) -> list[str]:
    cells = line or [""]  # a single empty cell is written as an empty line
    if len(cells) != count:
        raise ValueError(f"line {number} has {len(cells)} cells, not {count}")
    return cells


def _values(cells: Sequence[str], kind: ColumnKind, name: str) -> list[Any]:
    value, seen = VALUES[kind], ""
    try:
        return [value(seen := cell) if cell else None for cell in cells]
    except (ValueError, KeyError):
        line = cells.index(seen) + 2
        raise ValueError(f"line {line}, {name}: {seen[:40]!r} is not of kind {kind}") from None


def _text(cell: str) -> str:
    return cell.removeprefix(ESCAPE)


def _number(cell: str) -> int | float:
    return int(cell) if cell.isdecimal() or cell[1:].isdecimal() else float(cell)


VALUES: dict[ColumnKind, Callable[[str], Value]] = {
    "text": _text,
    "integer": int,
    "number": _number,
    "boolean": {"True": True, "False": False}.__getitem__,
}
