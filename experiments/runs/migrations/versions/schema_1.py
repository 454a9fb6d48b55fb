"""Schema 1: that of version 0.1, whose databases have no Alembic table."""

revision = "1"
down_revision = None


def upgrade() -> None:
    """Nothing to do: upgrades start from this schema."""
