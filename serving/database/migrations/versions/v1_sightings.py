"""Districts, their cameras, and the tracklets seen in them: the tables from before revisions were written down."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects.postgresql import JSONB

revision = "1"
down_revision = None


def upgrade() -> None:
    """Create them in an empty database."""
    op.create_table("districts", sa.Column("name", sa.Text, primary_key=True))
    op.create_table(
        "cameras",
        sa.Column("district", sa.Text, sa.ForeignKey("districts.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("latitude", sa.Float, nullable=False),
        sa.Column("longitude", sa.Float, nullable=False),
        sa.Column("fps", sa.Float, nullable=False),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
        sa.Column("start", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "tracklets",
        sa.Column("district", sa.Text, primary_key=True),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("camera_id", sa.Text, nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("boxes", JSONB, nullable=False),
        sa.Column("quality", sa.Float, nullable=False),
        sa.Column("feature", sa.Integer, nullable=False),
        sa.Column("embedding", HALFVEC, nullable=False),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("crop", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
    )
    op.create_index("tracklets_by_time", "tracklets", ["camera_id", "first_seen"])
