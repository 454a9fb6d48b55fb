"""Schema 1: that of version 0.1, whose databases have no table of Alembic's."""

revision = "1"
down_revision = None


def upgrade() -> None:
    """Nothing to do: it is where upgrades start."""
