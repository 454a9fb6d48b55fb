"""Schema 2: who imported a run. `owner` stays the user who ran it, wherever that was."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Adds `runs.imported_by`; a still-running app of version 0.1 can keep writing rows without it."""
    op.add_column("runs", sa.Column("imported_by", sa.String(255), nullable=False, server_default=""))
