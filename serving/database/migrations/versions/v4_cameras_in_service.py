"""From when to when a camera is in service: outside of it no video of the camera is missing."""

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    """Adds both moments; of cameras that are there already neither is known."""
    for name in ("begun", "retired"):
        op.add_column("cameras", sa.Column(name, sa.DateTime(timezone=True)))
