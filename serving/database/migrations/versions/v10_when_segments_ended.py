"""When a segment was done or failed, from which the progress of an ingest is told."""

import sqlalchemy as sa
from alembic import op

revision = "10"
down_revision = "9"


def upgrade() -> None:
    """Adds the time; segments of before have none."""
    op.add_column("segments", sa.Column("ended", sa.DateTime(timezone=True)))
    op.create_index("segments_by_ended", "segments", ["ended"])
