"""The database of the store: where it is, how it is opened, and what is said where it cannot be used."""

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

from platformdirs import user_data_path
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, insert, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, InternalError, OperationalError

from experiments.runs import schema

BUSY_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10
CHANGING_TABLES = 7_470_119  # the advisory lock of PostgreSQL under which tables are made: any number of our own
NOT_ALLOWED = "42501"  # PostgreSQL's code for a role that may not do this


class StoreError(RuntimeError):
    """The database cannot be used; the message says why and what to do, in one line."""


def database_url() -> str:
    """`TINYLAB_DATABASE`, or an SQLite file in the user's data folder."""
    if given := os.environ.get("TINYLAB_DATABASE"):
        return given
    folder = user_data_path("tinygrad-lab")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder {folder} cannot be made: {error.strerror}; set TINYLAB_DATABASE") from error
    return f"sqlite:///{folder / 'runs.db'}"


@functools.cache
def engine(url: str) -> Engine:
    """The engine of a database, its tables made where they are missing. One per URL and process.

    There is one schema so far; its first change brings Alembic, applied here under the same lock.
    """
    made = _made(url)
    try:
        with made.begin() as connection:
            if made.dialect.name == "postgresql":  # two that make the same table at once would fail
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({CHANGING_TABLES})")
            _check_version(connection, _shown(made))
            schema.metadata.create_all(connection)
            if _version(connection) is None:
                connection.execute(insert(schema.meta).values(name="schema", value=str(schema.VERSION)))
    except BaseException:
        made.dispose()
        raise
    return made


def _made(url: str) -> Engine:
    try:
        sqlite = make_url(url).get_backend_name() == "sqlite"
        limit = {"timeout": BUSY_TIMEOUT_S} if sqlite else {"connect_timeout": CONNECT_TIMEOUT_S}
        made = create_engine(url, connect_args=limit, pool_pre_ping=not sqlite)  # a server may have been restarted
    except (ArgumentError, ImportError, ValueError) as error:
        example = "sqlite:////folder/runs.db or postgresql+psycopg://user@host/name"
        mend = "run `pip install -r requirements-team.txt`"
        cause = f"no driver for it ({error}; {mend})" if isinstance(error, ImportError) else "not understood"
        raise StoreError(f"TINYLAB_DATABASE: {cause}; give a URL as in {example}") from None
    if sqlite:
        event.listen(made, "connect", _set_up_sqlite)
        event.listen(made, "begin", _begin_sqlite)
    event.listen(made, "handle_error", _say_unusable)
    return made


def _say_unusable(context: ExceptionContext) -> None:
    """Makes a StoreError of a database that is broken, full, locked, closed to us or away; our mistakes stay theirs."""
    if context.is_pre_ping:  # a connection that has died is replaced
        return
    found = context.sqlalchemy_exception
    unusable = isinstance(found, OperationalError | InternalError | DataError) or type(found) is DatabaseError
    if found is not None and (unusable or getattr(found.orig, "sqlstate", None) == NOT_ALLOWED):
        shown = _shown(context.engine) if context.engine else "it"
        cause = str(found.orig).strip().splitlines() or [type(found.orig).__name__]
        raise StoreError(f"the database {shown} cannot be used: {cause[0]}")


def _check_version(connection: Connection, shown: str) -> None:
    """Refuses, before anything is changed, a database that a newer version made."""
    if not inspect(connection).has_table(schema.meta.name):
        return
    found = _version(connection)
    if found is not None and (not found.isdigit() or int(found) > schema.VERSION):
        raise StoreError(
            f"the database {shown} has schema {found[:20]}, this version knows {schema.VERSION}: update tinygrad lab"
        )


def _version(connection: Connection) -> str | None:
    return connection.execute(select(schema.meta.c.value).where(schema.meta.c.name == "schema")).scalar()


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
    """A connection for reads alone: no write lock is taken."""
    with db.connect().execution_options(reads_only=True) as connection:
        yield connection
