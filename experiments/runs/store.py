"""The store: runs, their rows, samples, details and artifacts in one SQL database.

Every function takes an engine and is one transaction, which for SQLite holds the write lock from its start.
"""

import contextlib
import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, case, cast, delete, func, insert, or_, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError

from experiments.bench.columns import Value
from experiments.bench.rows import Row
from experiments.runs import schema
from experiments.runs.database import StoreError as StoreError
from experiments.runs.database import database_url as database_url
from experiments.runs.database import engine as engine
from experiments.runs.database import reading

QUEUED, RUNNING = "queued", "running"
ENDED = ("done", "failed", "crashed", "timeout", "cancelled", "lost")
LOST_AFTER_S = 30.0


def new_id() -> str:
    """Twelve hexadecimal digits: short enough for a link, unique enough for a team."""
    return secrets.token_hex(6)


def add_run(db: Engine, **values: Any) -> str:
    """Writes a run, `queued` unless `status` says otherwise; returns its id."""
    run = {"id": new_id(), "status": QUEUED, "created": time.time(), **values}
    with db.begin() as connection:
        connection.execute(insert(schema.runs).values(run))
    return str(run["id"])


def get_run(db: Engine, run_id: str) -> RowMapping | None:
    """One run; None for an unknown id."""
    with reading(db) as connection:
        return connection.execute(select(schema.runs).where(schema.runs.c.id == run_id)).mappings().first()


def repeats(db: Engine, run: RowMapping, limit: int) -> list[str]:
    """The newest finished runs of the same spec on the same machine, this one among them if it is finished."""
    columns = schema.runs.c
    same = [columns[name] == run[name] for name in ("experiment", "spec", "device", "host", "fingerprint")]
    chosen = select(columns.id).where(*same, columns.status == "done").order_by(columns.created.desc()).limit(limit)
    with reading(db) as connection:
        return [str(run_id) for run_id in connection.execute(chosen).scalars()]


def get_runs(db: Engine, run_ids: Sequence[str]) -> dict[str, RowMapping]:
    """The stored runs among these ids, by id."""
    with reading(db) as connection:
        found = connection.execute(select(schema.runs).where(schema.runs.c.id.in_(run_ids))).mappings()
        return {str(run["id"]): run for run in found}


def queued_runs(db: Engine, host: str | None = None) -> list[RowMapping]:
    """The queued runs of one host, or of all, oldest first."""
    wanted = schema.runs.c.status == QUEUED
    if host is not None:
        wanted &= schema.runs.c.host == host
    with reading(db) as connection:
        return list(connection.execute(select(schema.runs).where(wanted).order_by(schema.runs.c.created)).mappings())


def claim(db: Engine, run_id: str, runner: str, **changes: Any) -> bool:
    """Assigns a queued run to `runner`; False if the run is no longer queued."""
    now = time.time()
    with db.begin() as connection:
        taken = connection.execute(
            update(schema.runs)
            .where(schema.runs.c.id == run_id, schema.runs.c.status == QUEUED)
            .values(status=RUNNING, runner=runner, started=now, heartbeat=now, **changes)
        )
    return taken.rowcount == 1


class Batch:
    """What a child reported since the last write; written together with the heartbeat in one transaction."""

    def __init__(self) -> None:
        self.changes: dict[str, Any] = {}
        self.rows: list[Row] = []
        self.details: list[tuple[str, list[dict[str, Value]]]] = []
        self.artifacts: list[tuple[str, str, bytes]] = []


def write(db: Engine, run_id: str, runner: str, batch: Batch, first_row: int, first_chunk: int) -> tuple[bool, bool]:
    """Writes a batch and the heartbeat of a running run. Returns (still this runner's, cancellation requested)."""
    mine = (schema.runs.c.id == run_id) & (schema.runs.c.status == RUNNING) & (schema.runs.c.runner == runner)
    with db.begin() as connection:
        beat = connection.execute(update(schema.runs).where(mine).values(heartbeat=time.time(), **batch.changes))
        if beat.rowcount != 1:
            return False, False
        write_rows(connection, run_id, batch.rows, first_row)
        for number, (name, records) in enumerate(batch.details, start=first_chunk):
            chunk = {"run_id": run_id, "name": name, "chunk": number, "records": records}
            connection.execute(insert(schema.details).values(chunk))
        for name, digest, content in batch.artifacts:
            write_artifact(connection, run_id, name, digest, content)
        cancel = connection.execute(select(schema.runs.c.cancel).where(schema.runs.c.id == run_id)).scalar()
    return True, bool(cancel)


def write_rows(connection: Connection, run_id: str, new: Sequence[Row], first: int) -> None:
    """Writes rows, numbered from `first`, with their samples."""
    if not new:
        return
    numbered = list(enumerate(new, start=first))
    connection.execute(
        insert(schema.rows), [{"run_id": run_id, "number": number, "record": row.values} for number, row in numbered]
    )
    timed = [
        {"run_id": run_id, "number": number, "kind": one.kind, "inner": one.inner, "seconds": one.seconds}
        for number, row in numbered
        for one in row.samples
    ]
    if timed:
        connection.execute(insert(schema.samples), timed)


def write_artifact(connection: Connection, run_id: str, name: str, digest: str, content: bytes) -> None:
    """Stores a file of a run; runs with the same file share one copy. Raises ValueError for a wrong hash."""
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"artifact {name}: its SHA-256 is not {digest[:12]}…")
    same = select(schema.artifacts.c.hash).where(schema.artifacts.c.hash == digest)
    if connection.execute(same.with_for_update(read=True, key_share=True)).scalar() is None:
        with (
            contextlib.suppress(IntegrityError),
            connection.begin_nested(),
        ):  # stored by another run just now
            connection.execute(insert(schema.artifacts).values(hash=digest, size=len(content), content=content))
    connection.execute(insert(schema.run_artifacts).values(run_id=run_id, name=name, hash=digest))


def finish(db: Engine, run_id: str, runner: str | None, status: str, message: str, traceback: str = "") -> bool:
    """Writes the end state of a run that has not ended, with `runner` only if it is that runner's; else False."""
    open_run = (schema.runs.c.id == run_id) & schema.runs.c.status.in_((QUEUED, RUNNING))
    if runner is not None:
        open_run &= schema.runs.c.runner == runner
    values: dict[str, Any] = {"status": status, "message": message, "traceback": traceback, "finished": time.time()}
    if status == "done":
        values["progress"] = 1.0
    with db.begin() as connection:
        return connection.execute(update(schema.runs).where(open_run).values(values)).rowcount == 1


def request_cancel(db: Engine, run_id: str) -> bool:
    """Cancels a queued run at once, and requests its runner to stop a running one; False if it has ended."""
    if (run := get_run(db, run_id)) is None or run["status"] in ENDED:
        return False
    with db.begin() as connection:
        waiting = (schema.runs.c.id == run_id) & (schema.runs.c.status == QUEUED)
        ended = {"status": "cancelled", "message": "cancelled before it started", "finished": time.time()}
        if connection.execute(update(schema.runs).where(waiting).values(ended)).rowcount == 0:
            connection.execute(update(schema.runs).where(schema.runs.c.id == run_id).values(cancel=True))
    return True


def reap(db: Engine, now: float | None = None) -> int:
    """Ends every running run whose heartbeat is older than 30 s as `lost`; returns how many."""
    silent = (schema.runs.c.status == RUNNING) & (schema.runs.c.heartbeat < (now or time.time()) - LOST_AFTER_S)
    ended = {
        "status": "lost",
        "message": f"no heartbeat for {LOST_AFTER_S:.0f} s: the executing process was killed, or its host went down",
        "finished": time.time(),
    }
    with reading(db) as connection:
        if connection.execute(select(func.count()).select_from(schema.runs).where(silent)).scalar() == 0:
            return 0
    with db.begin() as connection:
        return int(connection.execute(update(schema.runs).where(silent).values(ended)).rowcount)


def delete_run(db: Engine, run_id: str) -> bool:
    """Deletes an ended run with everything that belongs to it; False for an unknown run or one that has not ended."""
    with db.begin() as connection:
        if db.dialect.name == "postgresql":  # no other transaction may link a file that is being deleted
            connection.exec_driver_sql("LOCK TABLE artifacts IN EXCLUSIVE MODE")
        gone = connection.execute(
            delete(schema.runs).where(schema.runs.c.id == run_id, schema.runs.c.status.in_(ENDED))
        )
        used = select(schema.run_artifacts.c.hash)
        connection.execute(delete(schema.artifacts).where(schema.artifacts.c.hash.not_in(used)))
    return gone.rowcount == 1


def list_runs(db: Engine, limit: int = 20, offset: int = 0, **wanted: str) -> list[RowMapping]:
    """The newest runs that match: experiment, device, host and status exactly; `text` as a part of any text."""
    chosen = select(schema.runs).where(*conditions(wanted)).order_by(schema.runs.c.created.desc(), schema.runs.c.id)
    with reading(db) as connection:
        return list(connection.execute(chosen.limit(limit).offset(offset)).mappings())


def count_runs(db: Engine, **wanted: str) -> int:
    """How many runs match, see `list_runs`."""
    chosen = select(func.count()).select_from(schema.runs).where(*conditions(wanted))
    with reading(db) as connection:
        return int(connection.execute(chosen).scalar() or 0)


def conditions(wanted: Mapping[str, str]) -> list[Any]:
    """The filters of `list_runs` as conditions on the table of runs."""
    columns = schema.runs.c
    found: list[Any] = [columns[name] == value for name, value in wanted.items() if name != "text" and value]
    if text := wanted.get("text"):
        texts = (columns.id, columns.experiment, columns.title, columns.note, columns.tags, columns.message)
        searched = (*texts, cast(columns.spec, schema.PortableText()))
        found.append(or_(*(column.icontains(text, autoescape=True) for column in searched)))
    return found


def read_rows(db: Engine, run_id: str) -> list[dict[str, Value]]:
    """The rows of a run in the order in which they were measured."""
    return read_rows_of(db, [run_id])[run_id]


def read_rows_of(db: Engine, run_ids: Sequence[str]) -> dict[str, list[dict[str, Value]]]:
    """The rows of several runs, each in the order in which they were measured."""
    columns = schema.rows.c
    chosen = select(columns.run_id, columns.record).where(columns.run_id.in_(run_ids)).order_by(columns.number)
    found: dict[str, list[dict[str, Value]]] = {run_id: [] for run_id in run_ids}
    with reading(db) as connection:
        for run_id, record in connection.execute(chosen):
            found[run_id].append(record)
    return found


def read_samples(db: Engine, run_id: str) -> list[RowMapping]:
    """The raw timings of a run: row number, kind, inner calls, seconds per call."""
    columns = schema.samples.c
    chosen = select(schema.samples).where(columns.run_id == run_id).order_by(columns.number, columns.kind)
    with reading(db) as connection:
        return list(connection.execute(chosen).mappings())


def read_detail(db: Engine, run_id: str, name: str) -> list[dict[str, Value]]:
    """The records of one detail of a run."""
    columns = schema.details.c
    chosen = select(columns.records).where(columns.run_id == run_id, columns.name == name).order_by(columns.chunk)
    with reading(db) as connection:
        return [record for chunk in connection.execute(chosen).scalars() for record in chunk]


def read_artifacts(db: Engine, run_id: str) -> dict[str, bytes]:
    """The files of a run by name."""
    links, files = schema.run_artifacts, schema.artifacts
    chosen = select(links.c.name, files.c.content).join(files, links.c.hash == files.c.hash)
    with reading(db) as connection:
        found = connection.execute(chosen.where(links.c.run_id == run_id)).all()
    return {str(name): bytes(content) for name, content in found}


def artifact_names(db: Engine, run_id: str) -> dict[str, int]:
    """The names of a run's files with their sizes in bytes; reads no content."""
    links, files = schema.run_artifacts, schema.artifacts
    chosen = select(links.c.name, files.c.size).join(files, links.c.hash == files.c.hash).order_by(links.c.name)
    with reading(db) as connection:
        return {str(name): int(size) for name, size in connection.execute(chosen.where(links.c.run_id == run_id))}


def read_artifact(db: Engine, run_id: str, name: str) -> bytes:
    """One file of a run; raises KeyError for an unknown name."""
    links, files = schema.run_artifacts, schema.artifacts
    chosen = select(files.c.content).join(links, links.c.hash == files.c.hash)
    with reading(db) as connection:
        found = connection.execute(chosen.where(links.c.run_id == run_id, links.c.name == name)).scalar()
    if found is None:
        raise KeyError(name)
    return bytes(found)


def distinct(db: Engine, column: str, **wanted: str) -> list[str]:
    """The sorted values of one column over the runs that match (see `list_runs`), as choices of a filter."""
    chosen = select(schema.runs.c[column]).where(*conditions(wanted)).distinct().order_by(schema.runs.c[column])
    with reading(db) as connection:
        return [str(value) for value in connection.execute(chosen).scalars()]


def experiments_tried(db: Engine) -> set[str]:
    """The experiments with a run that ended as `done`; imported runs do not count."""
    columns = schema.runs.c
    chosen = select(columns.experiment).where(columns.status == "done", columns.imported.is_(False)).distinct()
    with reading(db) as connection:
        return {str(name) for name in connection.execute(chosen).scalars()}


def describe(db: Engine, run_id: str, title: str, note: str, tags: str) -> None:
    """Sets title, note and tags (separated by commas) of a run; measured data never changes."""
    with db.begin() as connection:
        texts = {"title": title[:255], "note": note, "tags": tags[:255]}
        connection.execute(update(schema.runs).where(schema.runs.c.id == run_id).values(texts))


def known_ceilings(db: Engine, fingerprint: str) -> list[dict[str, Value]]:
    """The latest ceilings of a machine and device: from the `ceilings` experiment, else from any run."""
    runs, details = schema.runs.c, schema.details.c
    measured_on_purpose = case((runs.experiment == "ceilings", 0), else_=1)
    chosen = (
        select(runs.id)
        .join(schema.details, details.run_id == runs.id)
        .where(runs.fingerprint == fingerprint, runs.status == "done", details.name == "ceilings")
        .order_by(measured_on_purpose, runs.created.desc())
        .limit(1)
    )
    with reading(db) as connection:
        found = connection.execute(chosen).scalar()
    return read_detail(db, str(found), "ceilings") if found else []
