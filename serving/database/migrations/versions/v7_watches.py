"""Watches of cases, what they told, and the sightings at which they have not looked."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects.postgresql import JSONB

revision = "7"
down_revision = "6"


def upgrade() -> None:
    """Creates the three tables."""
    op.create_table(
        "watches",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("case_id", sa.BigInteger, sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True)),
        sa.Column("min_probability", sa.Float, nullable=False),
        sa.Column("question", JSONB, nullable=False),
        sa.Column("cameras", JSONB),
        sa.Column("embedding", HALFVEC),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("alarms_a_day", sa.Float),
    )
    op.create_index("watches_by_case", "watches", ["case_id"])
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("watch_id", sa.BigInteger, sa.ForeignKey("watches.id", ondelete="CASCADE"), nullable=False),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("tracklet_id", sa.BigInteger, nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("sent", sa.DateTime(timezone=True)),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_try", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("alerts_of_watch", "alerts", ["watch_id", "district", "tracklet_id"], unique=True)
    op.create_index("alerts_unsent", "alerts", ["next_try"], postgresql_where=sa.text("sent IS NULL"))
    op.create_table(
        "new_sightings",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("tracklet_id", sa.BigInteger, nullable=False),
    )
