"""Bundles: one ended run as a zip file that carries it between machines and databases.

The members: `run.json`, `rows.csv`, `samples.csv`, `details/<name>.csv`, `artifacts/<hash>`, and nothing else.
`run.json` names the version, the run, the columns of every table with their kinds, and the SHA-256 of every table.
Nothing in a bundle is executed, unpickled or used as a path; all of it is checked before any of it is stored.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from sqlalchemy import Engine

from experiments.bench.columns import IDENTITY, Column, check_record
from experiments.bench.errors import BadInput
from experiments.bench.rows import Row, Sample, SampleKind
from experiments.bench.zip_file import deterministic_zip
from experiments.registry import registered
from experiments.runs import lossless_csv, run_data, safe_zip, store
from experiments.runs.run_data import Records, RunData

FORMAT: Final = "tinygrad lab run"
VERSION = 1
MAX_BYTES = 64 * 2**20  # unpacked, unless raised
MAX_DESCRIPTION_BYTES = 4 * 2**20  # bytes of run.json
BYTES_PER_CELL = 16  # of the bytes allowed: what a cell takes in memory is many times what it takes in a file
MEMBER = re.compile(r"run\.json|rows\.csv|samples\.csv|details/[A-Za-z0-9_]{1,64}\.csv|artifacts/[0-9a-f]{64}")
RUN, ROWS, SAMPLES = "run.json", "rows.csv", "samples.csv"
SAMPLE_KINDS: lossless_csv.CsvColumns = {
    "row": "integer", "kind": "text", "inner": "integer", "block": "integer", "seconds": "number"
}  # fmt: skip

T = TypeVar("T")
Text = Annotated[str, Field(max_length=255)]
Time = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]  # what a calendar can name
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
ColumnKinds = dict[Annotated[str, Field(min_length=1, max_length=64)], Literal["text", "integer", "number", "boolean"]]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class RunRecord(_Strict):
    """What a bundle says of the run itself: the columns of the table of runs that outlive its machine."""

    id: Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
    experiment: Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
    spec: dict[str, Any]
    device: Annotated[str, Field(max_length=32)]
    host: Text
    status: Literal["done", "failed", "crashed", "timeout", "cancelled", "lost"]
    created: Time
    started: Time | None
    finished: Time | None
    progress: FiniteFloat
    message: str
    traceback: str
    environment: dict[str, Any] | None
    fingerprint: Annotated[str, Field(max_length=16)] | None
    time_limit_s: FiniteFloat
    memory_limit_bytes: Annotated[int, Field(ge=0, lt=2**63)] | None
    owner: Text
    title: Text
    note: str
    tags: Text


class Description(_Strict):
    """The content of `run.json`."""

    format: Literal["tinygrad lab run"]
    version: int
    run: RunRecord
    tables: dict[str, ColumnKinds]
    sha256: dict[str, Hash]
    artifacts: dict[Annotated[str, Field(min_length=1, max_length=128)], Hash]


def export(db: Engine, run_id: str) -> bytes:
    """The bundle of an ended run; BadInput where there is none of this id, it has not ended, or cannot be carried."""
    if (found := run_data.read(db, run_id)) is None:
        raise BadInput(f"run: there is no run {run_id[:60]!r} in this database")
    if found.run["status"] not in store.ENDED:
        raise BadInput(f"run: {run_id} is {found.run['status']}; it can be exported when it has ended")
    try:
        members = _members_of(found)
        _checked(dict(members))  # what leaves here is taken elsewhere
    except ValueError as error:
        raise BadInput(f"run: {run_id} cannot be carried: {' '.join(str(error).split())[:300]}") from None
    return deterministic_zip(members)


def _members_of(found: RunData) -> dict[str, bytes]:
    tables = {ROWS: [row.values for row in found.rows], SAMPLES: _sample_records(found.rows)}
    tables |= {f"details/{name}.csv": records for name, records in found.details.items()}
    kinds = {name: lossless_csv.kinds_of(records) for name, records in tables.items()} | {SAMPLES: SAMPLE_KINDS}
    members = {name: lossless_csv.encode(records, kinds[name]).encode() for name, records in tables.items()}
    described = Description(
        format=FORMAT,
        version=VERSION,
        run=RunRecord(**{name: found.run[name] for name in RunRecord.model_fields}),
        tables=kinds,
        sha256={name: _sha256(content) for name, content in members.items()},
        artifacts={name: _sha256(content) for name, content in sorted(found.artifacts.items())},
    )
    members |= {f"artifacts/{_sha256(content)}": content for content in found.artifacts.values()}
    return {RUN: json.dumps(described.model_dump(), indent=1).encode(), **members}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sample_records(rows: Sequence[Row]) -> Records:
    return [
        {"row": number, "kind": one.kind, "inner": one.inner, "block": block, "seconds": seconds}
        for number, row in enumerate(rows)
        for one in sorted(row.samples, key=lambda one: one.kind)
        for block, seconds in enumerate(one.seconds)
    ]


def add(db: Engine, data: bytes, most_bytes: int = MAX_BYTES) -> tuple[str, bool]:
    """Stores the run in a bundle; gives its id and whether it is new here. BadInput with one line, nothing stored."""
    found, hashes = _read(data, most_bytes)
    return str(found.run["id"]), run_data.add(db, found, hashes)


def read(data: bytes) -> RunData:
    """What a bundle holds, stored nowhere. BadInput with one line."""
    return _read(data, MAX_BYTES)[0]


def _read(data: bytes, most_bytes: int) -> tuple[RunData, dict[str, str]]:
    try:
        return _checked(_members(data, most_bytes))
    except ValueError as error:
        raise BadInput(f"bundle: {error}") from None


def _members(data: bytes, most_bytes: int) -> dict[str, bytes]:
    """The members of a bundle by name, none of them too large to be looked into."""
    members = safe_zip.unpack(data, MEMBER, (RUN, ROWS, SAMPLES), most_bytes)
    if len(members[RUN]) > MAX_DESCRIPTION_BYTES:
        raise ValueError(f"run.json is larger than {MAX_DESCRIPTION_BYTES:,} bytes")
    tables = [content for name, content in members.items() if name.endswith(".csv")]
    if sum(one.count(b",") + one.count(b"\n") for one in tables) > most_bytes // BYTES_PER_CELL:
        raise ValueError(f"its tables have more than {most_bytes // BYTES_PER_CELL:,} cells; --most-mb raises it")
    return members


def _checked(members: dict[str, bytes]) -> tuple[RunData, dict[str, str]]:
    described = _description(members.pop(RUN))
    tables = {name: content for name, content in members.items() if name.endswith(".csv")}
    files = {name.removeprefix("artifacts/"): members[name] for name in members.keys() - tables.keys()}
    _check_hashes(described, tables, files)
    if list(described.tables[SAMPLES].items()) != list(SAMPLE_KINDS.items()):
        raise ValueError("samples.csv: its columns are not those of timings")
    timings = _table(SAMPLES, tables.pop(SAMPLES), SAMPLE_KINDS, lossless_csv.decode_columns)
    records = {
        name: _table(name, content, described.tables[name], lossless_csv.decode) for name, content in tables.items()
    }
    rows = [Row(record) for record in records.pop(ROWS)]
    _add_samples(rows, timings)
    details = {name.removeprefix("details/").removesuffix(".csv"): found for name, found in records.items()}
    _check_columns(described.run.experiment, rows, details)
    artifacts = {name: files[digest] for name, digest in described.artifacts.items()}
    return RunData(described.run.model_dump(), rows, details, artifacts), described.artifacts


def _description(content: bytes) -> Description:
    try:
        value = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError("run.json is no JSON") from None
    if b"\\u0000" in content:
        raise ValueError("run.json: a NUL character, which PostgreSQL cannot store")
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError("not a bundle of tinygrad lab")
    version = value.get("version")
    if type(version) is int and version > VERSION:
        raise ValueError(f"made by a newer version ({version}, this one knows {VERSION}): update tinygrad lab")
    try:
        return Description.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"run.json: {'.'.join(map(str, first['loc']))[:100]}: {first['msg'][:200]}") from None


def _refuse(name: str) -> None:
    """NaN and Infinity, which are no JSON."""
    raise ValueError(name)


def _check_hashes(described: Description, tables: dict[str, bytes], files: dict[str, bytes]) -> None:
    if described.tables.keys() != tables.keys() or described.sha256.keys() != tables.keys():
        raise ValueError("its tables are not those that run.json names")
    if set(described.artifacts.values()) != files.keys():
        raise ValueError("its artifacts are not those that run.json names")
    wanted = described.sha256 | {digest: digest for digest in files}
    for name, content in (tables | files).items():
        if _sha256(content) != wanted[name]:
            raise ValueError(f"{name[:60]} is damaged: its SHA-256 is not the one in run.json")


def _table(
    name: str, content: bytes, columns: lossless_csv.CsvColumns, decode: Callable[[str, lossless_csv.CsvColumns], T]
) -> T:
    try:
        return decode(content.decode(), columns)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _add_samples(rows: list[Row], values: list[list[Any]]) -> None:
    """Puts the timings behind their rows; ValueError where they are not in order, 0, 1, 2 … for each row and kind."""
    kinds = {kind: kind for kind in get_args(SampleKind)}
    numbers, said, inners, blocks, seconds = values
    start = 0
    for (number, kind, inner), group in itertools.groupby(zip(numbers, said, inners, strict=True)):
        here = slice(start, start := start + sum(1 for _ in group))
        if number is None or not 0 <= number < len(rows) or kind not in kinds:
            raise ValueError("samples.csv: a timing of no row or of no kind")
        if inner is None or not 0 < inner < 2**31 or None in seconds[here]:
            raise ValueError(f"samples.csv: a timing of row {number} is not inner calls and seconds")
        samples = rows[number].samples
        if kind in [one.kind for one in samples] or blocks[here] != list(range(len(blocks[here]))):
            raise ValueError(f"samples.csv: the timings of row {number} are not in order")
        samples.append(Sample(kinds[kind], inner, seconds[here]))


def _check_columns(name: str, rows: list[Row], details: dict[str, Records]) -> None:
    """ValueError where a value is of another kind than the experiment of this name, if it is known here, declares.

    Columns that it does not declare, from another version of it, are kept and not shown.
    """
    if (known := registered().get(name)) is None:
        return
    _check_kinds(ROWS, [row.values for row in rows], (*IDENTITY, *known.columns))
    for detail, records in details.items():
        _check_kinds(f"details/{detail}.csv", records, known.details.get(detail, ()))


def _check_kinds(table: str, records: Records, columns: Sequence[Column]) -> None:
    declared = {column.name for column in columns}
    for record in records:
        shown = {name: value for name, value in record.items() if name in declared}
        try:
            check_record(shown, columns)
        except ValueError as error:
            raise ValueError(f"{table}: {error}") from None
        if large := [name for name, value in shown.items() if isinstance(value, int) and value.bit_length() > 63]:
            raise ValueError(f"{table}: column {large[0]!r} holds an integer of more than 64 bits")
