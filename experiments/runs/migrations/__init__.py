"""Upgrades databases of older schemas in place, with Alembic.

Every change of the schema is one file in `versions`: revision N makes schema N out of schema N - 1. The row `schema` of
the table `meta` is authoritative: version 0.1 reads it too, to refuse newer schemas.
Nothing here is imported unless a database must be upgraded.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, update

from experiments.runs import schema

FOLDER = Path(__file__).parent


def upgrade(connection: Connection, found: int) -> None:
    """Upgrades from schema `found` to the current one, within the connection's transaction: all of it or nothing."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.stamp(config, str(found), purge=True)
    command.upgrade(config, str(schema.VERSION))
    connection.execute(update(schema.meta).where(schema.meta.c.name == "schema").values(value=str(schema.VERSION)))
