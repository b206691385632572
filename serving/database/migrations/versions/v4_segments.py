"""Segments of video and gaps between them; tracklets in partitions by day, each with its segment."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects.postgresql import JSONB

revision = "4"
down_revision = "3"

_BEFORE = "before segments"  # source and checksum of the segment that a camera's tracklets of before get


def upgrade() -> None:
    """Create them and move the tracklets there; those of one camera become one segment that is done."""
    _create_segments()
    op.execute("ALTER TABLE case_sightings DROP CONSTRAINT case_sightings_district_tracklet_id_fkey")
    op.execute("ALTER TABLE tracklets RENAME TO tracklets_before")
    op.execute("ALTER TABLE tracklets_before DROP CONSTRAINT tracklets_pkey")
    op.execute("ALTER TABLE tracklets_before DROP CONSTRAINT tracklets_district_camera_id_fkey")
    op.execute("DROP INDEX tracklets_by_time")
    _create_tracklets()
    _move_tracklets()
    _widen_case_sightings()


def _create_segments() -> None:
    op.create_table(
        "segments",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("camera_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("checksum", sa.Text, nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end", sa.DateTime(timezone=True)),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("frames", sa.Integer),
        sa.Column("error", sa.Text),
        sa.Column("damage", sa.Text),
        sa.Column("model_version", sa.Text),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("state IN ('waiting', 'done', 'failed')", name="segments_state_check"),
        sa.UniqueConstraint("district", "camera_id", "checksum"),
        sa.ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
    )
    op.create_index("segments_by_length", "segments", [sa.text('("end" - start)')])
    op.create_table(
        "gaps",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("camera_id", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
    )
    op.create_index(
        "gaps_open", "gaps", ["district", "camera_id"], unique=True, postgresql_where=sa.text("until IS NULL")
    )


def _create_tracklets() -> None:
    op.create_table(
        "tracklets",
        sa.Column("district", sa.Text, primary_key=True),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("segment_id", sa.BigInteger, sa.ForeignKey("segments.id", ondelete="CASCADE"), nullable=False),
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
        postgresql_partition_by="LIST (day)",
    )
    op.create_index("tracklets_by_time", "tracklets", ["camera_id", "first_seen"])
    op.create_index("tracklets_by_segment", "tracklets", ["segment_id"])


def _move_tracklets() -> None:
    connection = op.get_bind()
    connection.execute(
        sa.text(
            'INSERT INTO segments (district, camera_id, source, checksum, start, "end", state, model_version) '
            "SELECT district, camera_id, :before, :before, min(first_seen), max(last_seen), 'done', min(model_version) "
            "FROM tracklets_before GROUP BY district, camera_id ORDER BY district, camera_id"
        ),
        {"before": _BEFORE},
    )
    days = "SELECT DISTINCT (last_seen AT TIME ZONE 'UTC')::date AS day FROM tracklets_before ORDER BY day"
    for day in connection.execute(sa.text(days)).scalars().all():
        op.execute(f"CREATE TABLE tracklets_{day:%Y%m%d} PARTITION OF tracklets FOR VALUES IN ('{day.isoformat()}')")
    columns = "first_seen, last_seen, boxes, quality, feature, embedding, attributes, model_version, crop"
    op.execute(
        f"INSERT INTO tracklets (district, id, day, segment_id, camera_id, {columns}) "
        "SELECT district, old.id, (last_seen AT TIME ZONE 'UTC')::date, segments.id, camera_id, "
        f"{', '.join(f'old.{name}' for name in columns.split(', '))} "
        "FROM tracklets_before AS old JOIN segments USING (district, camera_id)"
    )
    features = connection.execute(sa.text("SELECT DISTINCT feature FROM tracklets_before")).scalars().all()
    op.drop_table("tracklets_before")
    for feature in features:
        op.execute(
            f"CREATE INDEX tracklets_embedding_{feature} ON tracklets "
            f"USING hnsw ((embedding::halfvec({feature})) halfvec_cosine_ops) WHERE feature = {feature}"
        )


def _widen_case_sightings() -> None:
    op.add_column("case_sightings", sa.Column("day", sa.Date))
    op.execute(
        "UPDATE case_sightings SET day = tracklets.day FROM tracklets "
        "WHERE tracklets.district = case_sightings.district AND tracklets.id = case_sightings.tracklet_id"
    )
    op.alter_column("case_sightings", "day", nullable=False)
    op.create_foreign_key(
        None, "case_sightings", "tracklets",
        ["district", "tracklet_id", "day"], ["district", "id", "day"], ondelete="CASCADE",
    )  # fmt: skip
    op.drop_index("case_sightings_by_tracklet")
    op.create_index("case_sightings_by_tracklet", "case_sightings", ["district", "tracklet_id", "day"])
