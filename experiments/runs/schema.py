"""The tables of the store, the same for SQLite and PostgreSQL."""

from sqlalchemy import (
    JSON,
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
)

VERSION = 1  # of the schema; a database from a newer version is refused

metadata = MetaData()

meta = Table(
    "meta", metadata, Column("name", String(32), primary_key=True), Column("value", String(64), nullable=False)
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("experiment", String(64), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("device", String(32), nullable=False),
    Column("host", String(255), nullable=False),  # the machine that is to carry it out
    Column("status", String(16), nullable=False),
    Column("cancel", Boolean, nullable=False, default=False),
    Column("created", Float, nullable=False),  # seconds since 1970, as all times here
    Column("started", Float),
    Column("finished", Float),
    Column("heartbeat", Float),
    Column("runner", String(64)),  # which runner claimed it
    Column("progress", Float, nullable=False, default=0.0),
    Column("message", Text, nullable=False, default=""),
    Column("traceback", Text, nullable=False, default=""),
    Column("environment", JSON),
    Column("fingerprint", String(16)),
    Column("time_limit_s", Float, nullable=False),
    Column("memory_limit_bytes", BigInteger),
    Column("owner", String(255), nullable=False, default=""),
    Column("title", String(255), nullable=False, default=""),
    Column("note", Text, nullable=False, default=""),
    Column("tags", String(255), nullable=False, default=""),
    Column("imported", Boolean, nullable=False, default=False),
    Index("runs_by_created", "created"),
    Index("runs_by_status", "status", "host"),
    Index("runs_by_experiment", "experiment", "created"),
)


def _of_run() -> Column[str]:
    return Column("run_id", String(32), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)


rows = Table(
    "rows",
    metadata,
    _of_run(),
    Column("number", Integer, primary_key=True),
    Column("record", JSON, nullable=False),
)

samples = Table(
    "samples",
    metadata,
    _of_run(),
    Column("number", Integer, primary_key=True),  # of the row that these timings stand behind
    Column("kind", String(16), primary_key=True),
    Column("inner", Integer, nullable=False),
    Column("seconds", JSON, nullable=False),
)

details = Table(
    "details",
    metadata,
    _of_run(),
    Column("name", String(64), primary_key=True),
    Column("chunk", Integer, primary_key=True),
    Column("records", JSON, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("size", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

run_artifacts = Table(
    "run_artifacts",
    metadata,
    _of_run(),
    Column("name", String(128), primary_key=True),
    Column("hash", String(64), ForeignKey("artifacts.hash"), nullable=False),
)
