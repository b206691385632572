"""Attributes of sightings that people corrected."""

import sqlalchemy as sa
from alembic import op

revision = "17"
down_revision = "16"


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "corrections",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("case_id", sa.BigInteger, sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("tracklet_id", sa.BigInteger, nullable=False),
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("label", sa.Text),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("corrections_by_sighting", "corrections", ["case_id", "district", "tracklet_id"])
