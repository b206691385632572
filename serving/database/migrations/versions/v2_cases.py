"""Cases with their sightings and legal holds, and the record of what retention removed."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Create the tables; those of revision 1 stay as they are."""
    op.create_table(
        "cases",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("opened", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("closed", sa.DateTime(timezone=True)),
        sa.Column("legal_hold", sa.Boolean, nullable=False),
    )
    op.create_table(
        "case_sightings",
        sa.Column("case_id", sa.BigInteger, sa.ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("district", sa.Text, primary_key=True),
        sa.Column("tracklet_id", sa.BigInteger, primary_key=True),
        sa.ForeignKeyConstraint(
            ["district", "tracklet_id"], ["tracklets.district", "tracklets.id"], ondelete="CASCADE"
        ),
    )
    op.create_index("case_sightings_by_tracklet", "case_sightings", ["district", "tracklet_id"])
    op.create_table(
        "removals",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("removed", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("cutoff", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tracklets", sa.Integer, nullable=False),
        sa.Column("crops", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
