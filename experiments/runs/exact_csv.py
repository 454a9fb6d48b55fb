"""Records as CSV that gives back exactly the same values: for bundles, where nothing is escaped for spreadsheets.

An empty cell is no value. Text that is empty, or begins with a backslash, gets a backslash before it. Floats are
written with all their digits and always with a point or an exponent, so that 3 and 3.0 stay what they were.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.bench.columns import Kind, Value

Columns = dict[str, Kind]
ESCAPE = "\\"


def kinds_of(records: Sequence[Mapping[str, Value]]) -> Columns:
    """Every column that a record carries, in order of appearance, with the narrowest kind that holds its values."""
    seen: dict[str, set[type]] = {}
    for record in records:
        for name, value in record.items():
            seen.setdefault(name, set()).add(type(value))
    return {name: _kind(types - {type(None)}) for name, types in seen.items()}


def _kind(types: set[type]) -> Kind:
    if types <= {bool} and types:
        return "boolean"
    if types <= {int} and types:
        return "integer"
    return "number" if types <= {int, float} and types else "text"


def encode(records: Sequence[Mapping[str, Value]], columns: Columns) -> str:
    """The records as CSV with exactly `columns`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(record.get(name)) for name in columns] for record in records)
    return text.getvalue()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return ESCAPE + value if not value or value.startswith(ESCAPE) else value
    return repr(value)


def decode(text: str, columns: Columns) -> list[dict[str, Value]]:
    """The records in `text`; ValueError with one line where it is not a table of these columns."""
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"no CSV: {error}") from None
    if not lines or lines[0] != list(columns):
        raise ValueError("its columns are not those that run.json names")
    records = []
    for number, line in enumerate(lines[1:], start=2):
        line = line or [""]  # a single empty cell is written as an empty line
        if len(line) != len(columns):
            raise ValueError(f"line {number} has {len(line)} cells, not {len(columns)}")
        cells = zip(columns.items(), line, strict=True)
        records.append({name: _value(cell, kind, name, number) for (name, kind), cell in cells})
    return records


def _value(cell: str, kind: Kind, name: str, line: int) -> Value:
    if not cell:
        return None
    if kind == "text":
        return cell.removeprefix(ESCAPE)
    if kind == "boolean" and cell in ("True", "False"):
        return cell == "True"
    try:
        return _number(cell, kind)
    except ValueError:
        raise ValueError(f"line {line}, {name}: {cell[:40]!r} is no {kind}") from None


def _number(cell: str, kind: Any) -> int | float:
    if kind == "boolean":
        raise ValueError(cell)
    whole = cell.lstrip("-").isdecimal()
    return int(cell) if kind == "integer" or whole else float(cell)
