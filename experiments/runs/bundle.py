"""Bundles: one ended run as a zip file that carries it between machines and databases.

The members: `run.json`, `rows.csv`, `samples.csv`, `details/<name>.csv`, `artifacts/<hash>`, and nothing else.
`run.json` names the version, the run, the columns of every table with their kinds, and the SHA-256 of every table.
Nothing in a bundle is executed, unpickled or used as a path; all of it is checked before any of it is stored.
"""

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from sqlalchemy import Engine

from experiments.bench.columns import IDENTITY, Column, check_record
from experiments.bench.spec import BadInput, Row, Sample, SampleKind
from experiments.registry import registered
from experiments.runs import contents, exact_csv, store
from experiments.runs.contents import Contents, Records

FORMAT: Final = "tinygrad lab run"
VERSION = 1
MOST_BYTES = 64 * 2**20  # unpacked, unless raised
MOST_MEMBERS = 1_000
MOST_DESCRIPTION = 4 * 2**20  # bytes of run.json
MEMBER = re.compile(r"run\.json|rows\.csv|samples\.csv|details/[A-Za-z0-9_]{1,64}\.csv|artifacts/[0-9a-f]{64}")
RUN, ROWS, SAMPLES = "run.json", "rows.csv", "samples.csv"
SAMPLE_KINDS: exact_csv.Columns = {
    "row": "integer", "kind": "text", "inner": "integer", "block": "integer", "seconds": "number"
}  # fmt: skip

Text = Annotated[str, Field(max_length=255)]
LongText = Annotated[str, Field(max_length=100_000)]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Table = dict[Annotated[str, Field(min_length=1, max_length=64)], Literal["text", "integer", "number", "boolean"]]


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
    created: FiniteFloat
    started: FiniteFloat | None
    finished: FiniteFloat | None
    progress: FiniteFloat
    message: LongText
    traceback: LongText
    environment: dict[str, Any] | None
    fingerprint: Annotated[str, Field(max_length=16)] | None
    time_limit_s: FiniteFloat
    memory_limit_bytes: int | None
    owner: Text
    title: Text
    note: LongText
    tags: Text


class Description(_Strict):
    """The content of `run.json`."""

    format: Literal["tinygrad lab run"]
    version: int
    run: RunRecord
    tables: dict[str, Table]
    sha256: dict[str, Hash]
    artifacts: dict[Annotated[str, Field(min_length=1, max_length=128)], Hash]


def export(db: Engine, run_id: str) -> bytes:
    """The bundle of an ended run; BadInput where there is none of this id or it has not ended."""
    if (found := contents.read(db, run_id)) is None:
        raise BadInput(f"run: there is no run {run_id[:60]!r} in this database")
    if found.run["status"] not in store.ENDED:
        raise BadInput(f"run: {run_id} is {found.run['status']}; it can be exported when it has ended")
    tables = {ROWS: [row.values for row in found.rows], SAMPLES: _sample_records(found.rows)}
    tables |= {f"details/{name}.csv": records for name, records in found.details.items()}
    kinds = {name: exact_csv.kinds_of(records) for name, records in tables.items()} | {SAMPLES: SAMPLE_KINDS}
    members = {name: exact_csv.encode(records, kinds[name]).encode() for name, records in tables.items()}
    described = Description(
        format=FORMAT,
        version=VERSION,
        run=RunRecord(**{name: found.run[name] for name in RunRecord.model_fields}),
        tables=kinds,
        sha256={name: _sha256(content) for name, content in members.items()},
        artifacts={name: _sha256(content) for name, content in sorted(found.artifacts.items())},
    )
    members |= {f"artifacts/{_sha256(content)}": content for content in found.artifacts.values()}
    return _zip({RUN: json.dumps(described.model_dump(), indent=1).encode(), **members})


def _zip(members: dict[str, bytes]) -> bytes:
    """A zip that is the same for the same members: no time of day is in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sample_records(rows: list[Row]) -> Records:
    return [
        {"row": number, "kind": one.kind, "inner": one.inner, "block": block, "seconds": seconds}
        for number, row in enumerate(rows)
        for one in sorted(row.samples, key=lambda one: one.kind)
        for block, seconds in enumerate(one.seconds)
    ]


def add(db: Engine, data: bytes, most_bytes: int = MOST_BYTES) -> tuple[str, bool]:
    """Stores the run in a bundle; gives its id and whether it is new here. BadInput with one line, nothing stored."""
    found, hashes = _read(data, most_bytes)
    return str(found.run["id"]), contents.add(db, found, hashes)


def read(data: bytes) -> Contents:
    """What a bundle holds, stored nowhere. BadInput with one line."""
    return _read(data, MOST_BYTES)[0]


def _read(data: bytes, most_bytes: int) -> tuple[Contents, dict[str, str]]:
    try:
        return _checked(_members(data, most_bytes))
    except ValueError as error:
        raise BadInput(f"bundle: {error}") from None


def _members(data: bytes, most_bytes: int) -> dict[str, bytes]:
    """The members of a zip by name; ValueError before anything is unpacked that is too large or does not belong."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_members(infos, most_bytes)
            return {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"not a whole, plain zip file ({str(error)[:100]})") from None


def _check_members(infos: list[zipfile.ZipInfo], most_bytes: int) -> None:
    names = [info.filename for info in infos]
    if len(names) > MOST_MEMBERS or len(set(names)) < len(names):
        raise ValueError(f"more than {MOST_MEMBERS} members, or one of them twice")
    if unknown := [name for name in names if not MEMBER.fullmatch(name)]:
        raise ValueError(f"the member {unknown[0][:60]!r} does not belong into a bundle")
    if missing := [name for name in (RUN, ROWS, SAMPLES) if name not in names]:
        raise ValueError(f"{missing[0]} is missing")
    unpacked = sum(info.file_size for info in infos)  # zipfile reads no more of a member than it declares
    if unpacked > most_bytes:
        raise ValueError(f"{unpacked:,} bytes unpacked; at most {most_bytes:,} are taken")
    if next(info for info in infos if info.filename == RUN).file_size > MOST_DESCRIPTION:
        raise ValueError(f"run.json is larger than {MOST_DESCRIPTION:,} bytes")


def _checked(members: dict[str, bytes]) -> tuple[Contents, dict[str, str]]:
    described = _description(members.pop(RUN))
    tables = {name: content for name, content in members.items() if name.endswith(".csv")}
    files = {name.removeprefix("artifacts/"): members[name] for name in members.keys() - tables.keys()}
    _check_hashes(described, tables, files)
    records = {name: _records(name, content, described.tables[name]) for name, content in tables.items()}
    rows = [Row(record) for record in records.pop(ROWS)]
    _add_samples(rows, records.pop(SAMPLES))
    details = {name.removeprefix("details/").removesuffix(".csv"): found for name, found in records.items()}
    _check_columns(described.run.experiment, rows, details)
    artifacts = {name: files[digest] for name, digest in described.artifacts.items()}
    return Contents(described.run.model_dump(), rows, details, artifacts), described.artifacts


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


def _records(name: str, content: bytes, columns: exact_csv.Columns) -> Records:
    if b"\0" in content:
        raise ValueError(f"{name}: a NUL character, which PostgreSQL cannot store")
    try:
        return exact_csv.decode(content.decode(), columns)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _add_samples(rows: list[Row], records: Records) -> None:
    """Puts each timing behind its row; ValueError where they are not in order, 0, 1, 2 … for each row and kind."""
    kinds = {kind: kind for kind in get_args(SampleKind)}
    for record in records:
        number, said, inner, block, seconds = (record.get(name) for name in SAMPLE_KINDS)
        if not isinstance(number, int) or not 0 <= number < len(rows) or said not in kinds:
            raise ValueError("samples.csv: a timing of no row or of no kind")
        if not isinstance(inner, int) or not isinstance(seconds, float):
            raise ValueError(f"samples.csv: a timing of row {number} is not inner calls and seconds")
        kind, samples = kinds[said], rows[number].samples
        if block == 0 and kind not in [one.kind for one in samples]:
            samples.append(Sample(kind, inner, []))
        last = samples[-1] if samples else None
        if last is None or (last.kind, last.inner, len(last.seconds)) != (kind, inner, block):
            raise ValueError(f"samples.csv: the timings of row {number} are not in order")
        last.seconds.append(seconds)


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
        try:
            check_record({name: value for name, value in record.items() if name in declared}, columns)
        except ValueError as error:
            raise ValueError(f"{table}: {error}") from None
