"""The database of the store: its URL, its engine, its upgrades, and its errors as one line."""

import contextlib
import functools
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_data_path
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, insert, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, InternalError, OperationalError

from experiments.bench.errors import first_line
from experiments.runs import schema

BUSY_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10
UPGRADE_TIMEOUT_S = 600.0  # how long a process waits while another one upgrades the same database
SCHEMA_LOCK = 7_470_119  # the advisory lock of PostgreSQL for creating and changing tables: an arbitrary number
NOT_ALLOWED = "42501"  # PostgreSQL's code for a missing privilege
MAX_BACKUPS = 2


class StoreError(RuntimeError):
    """The database cannot be used; the message says why, and what to do, in one line."""


def database_url() -> str:
    """`TINYLAB_DATABASE`, or an SQLite file in the user's data folder."""
    if given := os.environ.get("TINYLAB_DATABASE"):
        return given
    folder = user_data_path("tinygrad-lab")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder {folder} cannot be created: {error.strerror}; set TINYLAB_DATABASE") from error
    return f"sqlite:///{folder / 'runs.db'}"


@functools.cache
def engine(url: str) -> Engine:
    """The engine of a database with the current schema: created or upgraded where necessary. One per URL and process.

    Raises StoreError; a database of a newer version is refused before anything is changed.
    """
    made = _create_engine(url)
    try:
        with reading(made) as connection:
            found, file = _found_schema(connection), _sqlite_file(connection)
        if found is None:
            _create_schema(made)
        elif found < schema.VERSION:
            _upgrade(made, file)
    except BaseException:
        made.dispose()
        raise
    return made


def _create_engine(url: str) -> Engine:
    try:
        sqlite = make_url(url).get_backend_name() == "sqlite"
        limit = {"timeout": BUSY_TIMEOUT_S} if sqlite else {"connect_timeout": CONNECT_TIMEOUT_S}
        made = create_engine(url, connect_args=limit, pool_pre_ping=not sqlite)  # a server may have been restarted
    except (ArgumentError, ImportError, ValueError) as error:
        example = "sqlite:////folder/runs.db or postgresql+psycopg://user@host/name"
        fix = "run `pip install -r requirements-team.txt`"
        cause = f"no driver for it ({error}; {fix})" if isinstance(error, ImportError) else "not understood"
        raise StoreError(f"TINYLAB_DATABASE: {cause}; give a URL such as {example}") from None
    if sqlite:
        event.listen(made, "connect", _set_up_sqlite)
        event.listen(made, "begin", _begin_sqlite)
    event.listen(made, "handle_error", _raise_store_error)
    return made


def _raise_store_error(context: ExceptionContext) -> None:
    """Raises StoreError for a broken, full, locked, forbidden or unreachable database; bugs keep their exception."""
    if context.is_pre_ping:  # a dead connection is replaced
        return
    found = context.sqlalchemy_exception
    unusable = isinstance(found, OperationalError | InternalError | DataError) or type(found) is DatabaseError
    if found is not None and (unusable or getattr(found.orig, "sqlstate", None) == NOT_ALLOWED):
        shown = _shown(context.engine) if context.engine else "it"
        cause = first_line(found.orig) if found.orig else type(found).__name__
        raise StoreError(f"the database {shown} cannot be used: {cause}")


def _found_schema(connection: Connection) -> int | None:
    """The schema of the database; None if it is empty. Raises StoreError if the schema is newer than this version."""
    if not inspect(connection).has_table(schema.meta.name):
        return None
    chosen = select(schema.meta.c.value).where(schema.meta.c.name == "schema")
    found: str | None = connection.execute(chosen).scalar()
    if found is not None and (not found.isdigit() or int(found) > schema.VERSION):
        shown = _shown(connection.engine)
        raise StoreError(
            f"the database {shown} has schema {found[:20]}, but this version supports only up to {schema.VERSION}: "
            "update tinygrad lab"
        )
    return None if found is None else int(found)


@contextlib.contextmanager
def _changing_schema(made: Engine) -> Iterator[tuple[Connection, int | None]]:
    """A transaction during which no other process can create or change tables; yields the schema at its start."""
    with made.begin() as connection:
        if made.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
        yield connection, _found_schema(connection)


def _create_schema(made: Engine) -> None:
    with _changing_schema(made) as (connection, found):
        if found is None:
            schema.metadata.create_all(connection)
            connection.execute(insert(schema.meta).values(name="schema", value=str(schema.VERSION)))


def _upgrade(made: Engine, file: Path | None) -> None:
    """Upgrades a database of an older schema in one transaction; an SQLite file is backed up first.

    A process that is killed meanwhile leaves the old schema: the database rolls back, and the next start repeats it.
    """
    from experiments.runs import migrations

    try:
        with FileLock(f"{file}.lock", timeout=UPGRADE_TIMEOUT_S, mode=0o666) if file else contextlib.nullcontext():
            with _changing_schema(made) as (connection, found):
                if found is None or found == schema.VERSION:  # another process has upgraded it
                    return
                if file:
                    _back_up(file, found)
                migrations.upgrade(connection, found)
            if file:
                _prune_backups(file)
    except Timeout:
        raise StoreError(f"the database {_shown(made)} is being upgraded by another process; try again") from None
    except OSError as error:
        cause = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        raise StoreError(f"the database {_shown(made)} cannot be upgraded and was left unchanged: {cause}") from None


def _back_up(file: Path, found: int) -> None:
    """Copies the file as it was last committed to `<file>.schema-<found>.bak`; raises OSError if that is impossible."""
    copy, partial = _backup(file, found), Path(f"{file}.bak.partial")
    partial.unlink(missing_ok=True)
    try:
        with (
            contextlib.closing(sqlite3.connect(file)) as source,
            contextlib.closing(sqlite3.connect(partial)) as target,
        ):
            source.backup(target)
        partial.replace(copy)
    except sqlite3.Error as error:
        raise OSError(f"no backup could be written to {copy}: {first_line(error)}") from error
    finally:
        partial.unlink(missing_ok=True)


def _backup(file: Path, found: int) -> Path:
    return Path(f"{file}.schema-{found}.bak")


def _prune_backups(file: Path) -> None:
    """Deletes all but the newest backups."""
    pattern = re.compile(re.escape(file.name) + r"\.schema-(\d+)\.bak")
    schemas = [int(match[1]) for path in file.parent.iterdir() if (match := pattern.fullmatch(path.name))]
    for old in sorted(schemas)[:-MAX_BACKUPS]:
        _backup(file, old).unlink(missing_ok=True)


def _sqlite_file(connection: Connection) -> Path | None:
    """The file of an SQLite database; None for an in-memory database and for PostgreSQL."""
    if connection.dialect.name != "sqlite":
        return None
    name = connection.exec_driver_sql("PRAGMA database_list").all()[0][2]
    return Path(name) if name else None


def _shown(db: Engine) -> str:
    return db.url.render_as_string(hide_password=True)


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Takes the write lock at once: a transaction that reads first and writes later would fail under contention."""
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


@contextlib.contextmanager
def reading(db: Engine) -> Iterator[Connection]:
    """A connection for reads alone: it takes no write lock."""
    with db.connect().execution_options(reads_only=True) as connection:
        yield connection
