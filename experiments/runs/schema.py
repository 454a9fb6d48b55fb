"""The tables of the store, the same for SQLite and PostgreSQL."""

import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

VERSION = 2  # of the schema; older databases are upgraded (see `migrations`), newer ones are refused

metadata = MetaData()


class Json(TypeDecorator[Any]):
    """JSON as text: PostgreSQL's own type takes no infinity or NaN, and no query looks inside."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> str | None:
        """To the database."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: Any, dialect: object) -> Any:
        """From the database."""
        return None if value is None else json.loads(value)


class PortableText(TypeDecorator[str]):
    """Text without the characters that a database refuses: NUL in PostgreSQL, lone surrogates in UTF-8."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        """To the database."""
        return (
            None
            if value is None
            else value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
        )


meta = Table(
    "meta",
    metadata,
    Column("name", PortableText(32), primary_key=True),
    Column("value", PortableText(64), nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", PortableText(32), primary_key=True),
    Column("experiment", PortableText(64), nullable=False),
    Column("spec", Json, nullable=False),
    Column("device", PortableText(32), nullable=False),
    Column("host", PortableText(255), nullable=False),  # the machine that runs it
    Column("status", PortableText(16), nullable=False),
    Column("cancel", Boolean, nullable=False, default=False),
    Column("created", Float, nullable=False),  # seconds since 1970, as all times here
    Column("started", Float),
    Column("finished", Float),
    Column("heartbeat", Float),
    Column("runner", PortableText(64)),  # which runner claimed it
    Column("progress", Float, nullable=False, default=0.0),
    Column("message", PortableText, nullable=False, default=""),
    Column("traceback", PortableText, nullable=False, default=""),
    Column("environment", Json),
    Column("fingerprint", PortableText(16)),
    Column("time_limit_s", Float, nullable=False),
    Column("memory_limit_bytes", BigInteger),
    Column("owner", PortableText(255), nullable=False, default=""),
    Column("title", PortableText(255), nullable=False, default=""),
    Column("note", PortableText, nullable=False, default=""),
    Column("tags", PortableText(255), nullable=False, default=""),
    Column("imported", Boolean, nullable=False, default=False),
    Column("imported_by", PortableText(255), nullable=False, default="", server_default=""),
    Index("runs_by_created", "created"),
    Index("runs_by_status", "status", "host"),
    Index("runs_by_experiment", "experiment", "created"),
)


def _of_run() -> Column[str]:
    return Column("run_id", PortableText(32), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)


rows = Table(
    "rows",
    metadata,
    _of_run(),
    Column("number", Integer, primary_key=True),
    Column("record", Json, nullable=False),
)

samples = Table(
    "samples",
    metadata,
    _of_run(),
    Column("number", Integer, primary_key=True),  # of the row that the timings belong to
    Column("kind", PortableText(16), primary_key=True),
    Column("inner", Integer, nullable=False),
    Column("seconds", Json, nullable=False),
)

details = Table(
    "details",
    metadata,
    _of_run(),
    Column("name", PortableText(64), primary_key=True),
    Column("chunk", Integer, primary_key=True),
    Column("records", Json, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("hash", PortableText(64), primary_key=True),
    Column("size", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

run_artifacts = Table(
    "run_artifacts",
    metadata,
    _of_run(),
    Column("name", PortableText(128), primary_key=True),
    Column("hash", PortableText(64), ForeignKey("artifacts.hash"), nullable=False),
)
