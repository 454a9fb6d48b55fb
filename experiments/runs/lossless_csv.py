"""Records as CSV that gives back exactly the same values: for bundles, where nothing is escaped for spreadsheets.

An empty cell is no value. Text that is empty, or begins with a backslash, gets a backslash before it. Floats are
written with all their digits and always with a point or an exponent, so that 3 and 3.0 stay what they were.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.bench.columns import ColumnKind, Value

CsvColumns = dict[str, ColumnKind]
ESCAPE = "\\"
LONGEST_CELL = 2**31 - 1  # none: the source of a kernel is longer than the 128 KiB that Python expects


def kinds_of(records: Sequence[Mapping[str, Value]]) -> CsvColumns:
    """Every column that a record carries, in order of appearance, with the narrowest kind that holds its values."""
    seen: dict[str, set[type]] = {}
    for record in records:
        for name, value in record.items():
            seen.setdefault(name, set()).add(type(value))
    return {name: _kind(types - {type(None)}) for name, types in seen.items()}


def _kind(types: set[type]) -> ColumnKind:
    if types <= {bool} and types:
        return "boolean"
    if types <= {int} and types:
        return "integer"
    return "number" if types <= {int, float} and types else "text"


def encode(records: Sequence[Mapping[str, Value]], columns: CsvColumns) -> str:
    """The records as CSV with exactly `columns`."""
    lines = [list(columns), *([_cell(record.get(name)) for name in columns] for record in records)]
    returns = any("\r" in cell for line in lines for cell in line)  # which Python leaves unquoted up to 3.12
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL).writerows(lines)
    return text.getvalue()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return ESCAPE + value if not value or value.startswith(ESCAPE) else value
    return repr(value)


def decode(text: str, columns: CsvColumns) -> list[dict[str, Value]]:
    """The records in `text`; ValueError with one line where it is not a table of these columns."""
    values = decode_columns(text, columns)
    return [dict(zip(columns, record, strict=True)) for record in zip(*values, strict=True)]


def decode_columns(text: str, columns: CsvColumns) -> list[list[Any]]:
    """As `decode`, the values column by column in the order of `columns`."""
    csv.field_size_limit(LONGEST_CELL)
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if next(lines, None) != list(columns):
            raise ValueError("its columns are not those that run.json names")
        cells = [_cells(line, len(columns), number) for number, line in enumerate(lines, start=2)]
    except csv.Error as error:
        raise ValueError(f"no CSV: {error}") from None
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
        raise ValueError(f"line {line}, {name}: {seen[:40]!r} is no {kind}") from None


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
