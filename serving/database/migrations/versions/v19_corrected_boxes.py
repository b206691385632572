"""Boxes in full frames that people corrected."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "19"
down_revision = "18"


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "corrected_boxes",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("case_id", sa.BigInteger, sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("tracklet_id", sa.BigInteger, nullable=False),
        sa.Column("box_xyxy", ARRAY(sa.Float)),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("corrected_boxes_by_sighting", "corrected_boxes", ["case_id", "district", "tracklet_id"])
