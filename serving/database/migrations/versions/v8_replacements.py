"""Segments that take the place of others, and those that wait for what is away; what replaced is a removal too."""

import sqlalchemy as sa
from alembic import op

revision = "8"
down_revision = "7"


def upgrade() -> None:
    """Add the columns; a file is known once a camera, but for the segment that is to replace its first."""
    op.add_column("segments", sa.Column("postponed_since", sa.DateTime(timezone=True)))
    op.add_column("segments", sa.Column("replaces", sa.BigInteger))
    op.create_foreign_key(None, "segments", "segments", ["replaces"], ["id"], ondelete="SET NULL")
    op.drop_constraint("segments_district_camera_id_checksum_key", "segments")
    op.create_index(
        "segments_of_file", "segments", ["district", "camera_id", "checksum"],
        unique=True, postgresql_where=sa.text("replaces IS NULL"),
    )  # fmt: skip
    op.create_index("segments_replacing", "segments", ["replaces"], unique=True)
    op.alter_column("removals", "cutoff", nullable=True)
