"""Bundles: one ended run as a zip file, to move it between machines and databases.

The members: `run.json`, `rows.json`, `samples.json`, `details/<name>.json`, `artifacts/<hash>`, and nothing else.
`run.json` holds the version, the run, the SHA-256 of every table, and the names of the artifacts. A table is a list of
records; one of samples holds the row's number, the kind, the inner calls and the list of seconds. Bundles of version 1
have their tables as CSV (see `bundle_v1`).

Nothing in a bundle is executed, unpickled or used as a path; all of it is checked before any of it is stored.
An import (`import_run`) is refused for

- a file that is not a complete zip, a member that is unknown, missing or repeated, too many or too large members
  (`safe_zip`), too many table cells;
- a bundle version that is newer than this code, or a `run.json` with unknown, missing or invalid fields;
- a table or artifact that `run.json` does not list, or whose SHA-256 differs from the one there;
- a table that is not a list of flat records, and timings without a row, of an unknown kind, or given twice;
- a value of another kind than the experiment's column (`bench/columns.py`), if the experiment is installed.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from sqlalchemy import Engine

from experiments.bench.columns import IDENTITY, Column, check_record
from experiments.bench.errors import BadInput
from experiments.bench.rows import Row, Sample, SampleKind
from experiments.bench.zip_file import deterministic_zip
from experiments.registry import registered
from experiments.runs import bundle_v1, run_data, safe_zip, store
from experiments.runs.run_data import Records, RunData

FORMAT: Final = "tinygrad lab run"
VERSION = 2
MAX_BYTES = 64 * 2**20  # unpacked, unless raised
MAX_DESCRIPTION_BYTES = 4 * 2**20  # bytes of run.json
BYTES_PER_CELL = 16  # of the bytes allowed: a cell takes many times more memory than bytes in a file
MAX_NAME = 64  # characters of a column's name
MEMBER = re.compile(
    r"run\.json|(rows|samples)\.(json|csv)|details/[A-Za-z0-9_]{1,64}\.(json|csv)|artifacts/[0-9a-f]{64}"
)
RUN, ROWS, SAMPLES = "run.json", "rows.json", "samples.json"

Text = Annotated[str, Field(max_length=255)]
Time = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]  # what a calendar can show
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
ColumnKinds = dict[
    Annotated[str, Field(min_length=1, max_length=MAX_NAME)], Literal["text", "integer", "number", "boolean"]
]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class RunRecord(_Strict):
    """The run itself: the columns of the table of runs that mean the same on every machine."""

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
    version: Annotated[int, Field(ge=1)]
    run: RunRecord
    sha256: dict[str, Hash]
    artifacts: dict[Annotated[str, Field(min_length=1, max_length=128)], Hash]


class DescriptionV1(Description):
    """The content of `run.json` in version 1, with the columns of every table."""

    tables: dict[str, ColumnKinds]


def export(db: Engine, run_id: str) -> bytes:
    """The bundle of an ended run; raises BadInput for a run that is unknown, has not ended, or fits no bundle."""
    if (found := run_data.read(db, run_id)) is None:
        raise BadInput(f"run: there is no run {run_id[:60]!r} in this database")
    if found.run["status"] not in store.ENDED:
        raise BadInput(f"run: {run_id} is {found.run['status']}; it can be exported when it has ended")
    try:
        members = _members_of(found)
        _checked(dict(members))  # an import elsewhere makes the same checks
    except ValueError as error:
        raise BadInput(f"run: {run_id} cannot be exported: {' '.join(str(error).split())[:300]}") from None
    return deterministic_zip(members)


def _members_of(found: RunData) -> dict[str, bytes]:
    tables = {ROWS: [row.values for row in found.rows], SAMPLES: _sample_records(found.rows)}
    tables |= {f"details/{name}.json": records for name, records in found.details.items()}
    members = {name: _encoded(name, records) for name, records in tables.items()}
    described = Description(
        format=FORMAT,
        version=VERSION,
        run=RunRecord(**{name: found.run[name] for name in RunRecord.model_fields}),
        sha256={name: _sha256(content) for name, content in members.items()},
        artifacts={name: _sha256(content) for name, content in sorted(found.artifacts.items())},
    )
    members |= {f"artifacts/{_sha256(content)}": content for content in found.artifacts.values()}
    return {RUN: json.dumps(described.model_dump(), indent=1).encode(), **members}


def _encoded(name: str, records: Sequence[dict[str, Any]]) -> bytes:
    """The table as JSON, one record per line."""
    try:
        lines = [json.dumps(record, allow_nan=False) for record in records]
    except ValueError:
        raise ValueError(f"{name}: contains an infinity or a NaN, which JSON cannot represent") from None
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sample_records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {"row": number, "kind": one.kind, "inner": one.inner, "seconds": one.seconds}
        for number, row in enumerate(rows)
        for one in sorted(row.samples, key=lambda one: one.kind)
    ]


def import_run(db: Engine, data: bytes, max_bytes: int = MAX_BYTES, imported_by: str = "") -> tuple[str, bool]:
    """Stores the run of a bundle; returns its id and whether it is new in this database.

    Raises BadInput with a one-line message if the bundle is refused; nothing is stored then. `imported_by`: the
    signed-in user.
    """
    found, hashes = _read(data, max_bytes)
    return str(found.run["id"]), run_data.add(db, found, hashes, imported_by)


def read(data: bytes) -> RunData:
    """The run of a bundle, without storing it; raises BadInput with a one-line message."""
    return _read(data, MAX_BYTES)[0]


def _read(data: bytes, max_bytes: int) -> tuple[RunData, dict[str, str]]:
    try:
        return _checked(_members(data, max_bytes))
    except ValueError as error:
        raise BadInput(f"bundle: {error}") from None


def _members(data: bytes, max_bytes: int) -> dict[str, bytes]:
    """The members of a bundle by name, none of them too large to be parsed."""
    members = safe_zip.unpack(data, MEMBER, (RUN,), max_bytes)
    if len(members[RUN]) > MAX_DESCRIPTION_BYTES:
        raise ValueError(f"run.json is larger than {MAX_DESCRIPTION_BYTES:,} bytes")
    tables = [content for name, content in members.items() if _is_table(name)]
    if sum(one.count(b",") + one.count(b"\n") for one in tables) > max_bytes // BYTES_PER_CELL:
        raise ValueError(f"its tables have more than {max_bytes // BYTES_PER_CELL:,} cells; --max-mb raises the limit")
    return members


def _is_table(name: str) -> bool:
    return name != RUN and not name.startswith("artifacts/")


def _checked(members: dict[str, bytes]) -> tuple[RunData, dict[str, str]]:
    described = _description(members.pop(RUN))
    tables = {name: content for name, content in members.items() if _is_table(name)}
    files = {name.removeprefix("artifacts/"): members[name] for name in members.keys() - tables.keys()}
    _check_members(described, tables, files)
    if isinstance(described, DescriptionV1):
        found = bundle_v1.read_tables(tables, described.tables)
    else:
        found = {name: _table(name, content) for name, content in tables.items()}
    samples = found.pop(SAMPLES)
    rows = [Row(record) for record in _records(ROWS, found.pop(ROWS))]
    _add_samples(rows, samples)
    details = {
        name.removeprefix("details/").removesuffix(".json"): _records(name, records) for name, records in found.items()
    }
    _check_columns(described.run.experiment, rows, details)
    artifacts = {name: files[digest] for name, digest in described.artifacts.items()}
    return RunData(described.run.model_dump(), rows, details, artifacts), described.artifacts


def _description(content: bytes) -> Description:
    value = _parsed(RUN, content)
    if b"\\u0000" in content:
        raise ValueError("run.json contains a NUL character, which PostgreSQL cannot store")
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError("not a bundle of tinygrad lab")
    version = value.get("version")
    if type(version) is int and version > VERSION:
        raise ValueError(f"bundle version {version} is newer than the supported {VERSION}: update tinygrad lab")
    try:
        return (DescriptionV1 if version == 1 else Description).model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"run.json: {'.'.join(map(str, first['loc']))[:100]}: {first['msg'][:200]}") from None


def _parsed(name: str, content: bytes) -> Any:
    """The content as JSON with finite numbers; raises ValueError with a one-line message."""
    try:
        return json.loads(content, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise ValueError(f"{name} is not valid JSON") from None


def _finite(text: str) -> float:
    """The number; raises ValueError for NaN, Infinity and 1e999, which no database holds."""
    if not math.isfinite(value := float(text)):
        raise ValueError(text)
    return value


def _check_members(described: Description, tables: dict[str, bytes], files: dict[str, bytes]) -> None:
    ending = ".csv" if isinstance(described, DescriptionV1) else ".json"
    if missing := [name for name in ("rows" + ending, "samples" + ending) if name not in tables]:
        raise ValueError(f"{missing[0]} is missing")
    if described.sha256.keys() != tables.keys() or any(not name.endswith(ending) for name in tables):
        raise ValueError("its tables differ from those listed in run.json")
    if isinstance(described, DescriptionV1) and described.tables.keys() != tables.keys():
        raise ValueError("its tables differ from those listed in run.json")
    if set(described.artifacts.values()) != files.keys():
        raise ValueError("its artifacts differ from those listed in run.json")
    expected = described.sha256 | {digest: digest for digest in files}
    for name, content in (tables | files).items():
        if _sha256(content) != expected[name]:
            raise ValueError(f"{name[:60]} is damaged: its SHA-256 is not the one in run.json")


def _table(name: str, content: bytes) -> list[Any]:
    value = _parsed(name, content)
    if not isinstance(value, list):
        raise ValueError(f"{name} is not a list of records")
    return value


def _records(name: str, values: list[Any]) -> Records:
    """The values, if all of them are flat records."""
    for number, record in enumerate(values):
        if not isinstance(record, dict) or not all(0 < len(column) <= MAX_NAME for column in record):
            raise ValueError(
                f"{name}: record {number} is not an object with column names of 1 to {MAX_NAME} characters"
            )
        if not all(value is None or isinstance(value, str | int | float) for value in record.values()):
            raise ValueError(f"{name}: record {number} contains a list or an object")
    return values


def _add_samples(rows: list[Row], records: list[Any]) -> None:
    """Adds the samples to their rows; raises ValueError for one without a row, of an unknown kind, or given twice."""
    kinds = {kind: kind for kind in get_args(SampleKind)}
    for record in records:
        if not isinstance(record, dict) or record.keys() != {"row", "kind", "inner", "seconds"}:
            raise ValueError(f"{SAMPLES}: a record whose fields are not row, kind, inner and seconds")
        number, kind, inner, seconds = (record[name] for name in ("row", "kind", "inner", "seconds"))
        if type(number) is not int or not 0 <= number < len(rows) or not isinstance(kind, str) or kind not in kinds:
            raise ValueError(f"{SAMPLES}: a timing with an unknown row or kind")
        if type(inner) is not int or not 0 < inner < 2**31 or not _are_seconds(seconds):
            raise ValueError(f"{SAMPLES}: row {number} has an invalid number of inner calls or invalid seconds")
        samples = rows[number].samples
        if kind in [one.kind for one in samples]:
            raise ValueError(f"{SAMPLES}: the timings of row {number} are repeated or out of order")
        samples.append(Sample(kinds[kind], inner, seconds))


def _are_seconds(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) is float or (type(value) is int and value.bit_length() < 64) for value in values
    )


def _check_columns(name: str, rows: list[Row], details: dict[str, Records]) -> None:
    """Raises ValueError for a value of another kind than the experiment declares, if the experiment is installed.

    Columns that it does not declare, from another version of it, are stored and not shown.
    """
    if (known := registered().get(name)) is None:
        return
    _check_kinds(ROWS, [row.values for row in rows], (*IDENTITY, *known.columns))
    for detail, records in details.items():
        _check_kinds(f"details/{detail}.json", records, known.details.get(detail, ()))


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
