"""Everything that belongs to a run, read or written as a whole: the content of a bundle."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from experiments.bench.columns import Value
from experiments.bench.rows import Row, Sample
from experiments.runs import database, schema, store

Records = list[dict[str, Value]]


@dataclass(frozen=True)
class RunData:
    """The run's record in the table of runs, its rows with their samples, and its details and artifacts by name."""

    run: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    details: dict[str, Records] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)


def read(db: Engine, run_id: str) -> RunData | None:
    """Everything that belongs to one run; None for an unknown id."""
    if (run := store.get_run(db, run_id)) is None:
        return None
    rows = [Row(record) for record in store.read_rows(db, run_id)]
    for one in store.read_samples(db, run_id):
        rows[one["number"]].samples.append(Sample(one["kind"], one["inner"], list(one["seconds"])))
    chosen = select(schema.details.c.name).where(schema.details.c.run_id == run_id).distinct()
    with database.reading(db) as connection:
        names = sorted(connection.execute(chosen).scalars())
    details = {name: store.read_detail(db, run_id, name) for name in names}
    return RunData(dict(run), rows, details, store.read_artifacts(db, run_id))


def add(db: Engine, contents: RunData, hashes: Mapping[str, str], imported_by: str = "") -> bool:
    """Writes an ended run whole or not at all, marked as imported; False if a run of this id exists.

    `hashes` are the SHA-256 of the artifacts by name. `imported_by`: the user who imports it; `owner` stays the user
    who ran it.
    """
    run_id = contents.run["id"]
    try:
        with db.begin() as connection:
            connection.execute(
                insert(schema.runs).values({**contents.run, "imported": True, "imported_by": imported_by})
            )
            store.write_rows(connection, run_id, contents.rows, first=0)
            for name, records in contents.details.items():
                chunk = {"run_id": run_id, "name": name, "chunk": 0, "records": records}
                connection.execute(insert(schema.details).values(chunk))
            for name, content in contents.artifacts.items():
                store.write_artifact(connection, run_id, name, hashes[name], content)
    except IntegrityError:
        if store.get_run(db, run_id) is None:
            raise
        return False
    return True
