"""All tables of the store."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSTZMULTIRANGE

revision = "1"
down_revision = None

_PROCESSED = (
    'SELECT district, camera_id, model_version, range_agg(tstzrange(start, greatest(start, "end"))) '
    "FROM segments WHERE state = 'done' AND model_version IS NOT NULL"
)
_GROUPED = "GROUP BY district, camera_id, model_version"


def upgrade() -> None:
    """Creates them in an empty database."""
    _create_districts()
    _create_segments()
    _keep_processed()
    _create_tracklets()
    _create_access()
    _create_cases()
    _create_audit()


def _create_districts() -> None:
    op.create_table(
        "districts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("time_zone", sa.Text, nullable=False),
    )
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
        sa.Column("postponed_since", sa.DateTime(timezone=True)),
        sa.Column("replaces", sa.BigInteger, sa.ForeignKey("segments.id", ondelete="SET NULL")),
        sa.CheckConstraint("state IN ('waiting', 'done', 'failed')", name="segments_state_check"),
        sa.ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
    )
    op.create_index(
        "segments_of_file",
        "segments",
        ["district", "camera_id", "checksum"],
        unique=True,
        postgresql_where=sa.text("replaces IS NULL"),
    )
    op.create_index("segments_replacing", "segments", ["replaces"], unique=True)
    op.create_index("segments_by_length", "segments", [sa.text('("end" - start)')])
    op.create_index(
        "segments_unfinished", "segments", ["district", "camera_id"], postgresql_where=sa.text("state <> 'done'")
    )
    op.create_table(
        "processed",
        sa.Column("district", sa.Text, primary_key=True),
        sa.Column("camera_id", sa.Text, primary_key=True),
        sa.Column("model_version", sa.Text, primary_key=True),
        sa.Column("times", TSTZMULTIRANGE, nullable=False),
        sa.ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
    )
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


def _keep_processed() -> None:
    """Creates triggers on `segments` that keep `processed` up to date."""
    op.execute(
        f"""
        CREATE FUNCTION update_processed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM changed WHERE state = 'done') THEN
                LOCK TABLE processed IN SHARE ROW EXCLUSIVE MODE;  -- what others finish meanwhile must be seen below
                DELETE FROM processed USING (SELECT DISTINCT district, camera_id FROM changed) AS touched
                WHERE (processed.district, processed.camera_id) = (touched.district, touched.camera_id);
                INSERT INTO processed {_PROCESSED}
                AND (district, camera_id) IN (SELECT district, camera_id FROM changed) {_GROUPED};
            END IF;
            RETURN NULL;
        END $$
        """
    )
    for event, rows in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        op.execute(
            f"CREATE TRIGGER processed_{rows.lower()}_of_{event.lower()} AFTER {event} ON segments "
            f"REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION update_processed()"
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
    op.create_table(
        "attribute_labels",
        sa.Column("group_name", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("place", sa.Integer, nullable=False, unique=True),
    )
    op.create_table(
        "tracklet_attributes",
        sa.Column("district", sa.Text, primary_key=True),
        sa.Column("tracklet_id", sa.BigInteger, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("camera_id", sa.Text, nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("probabilities", ARRAY(sa.Integer), nullable=False),
        sa.ForeignKeyConstraint(
            ["district", "tracklet_id", "day"],
            ["tracklets.district", "tracklets.id", "tracklets.day"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("tracklet_attributes_by_day", "tracklet_attributes", ["day"])


def _create_access() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("token_id", sa.Text, nullable=False, unique=True),
        sa.Column("token_hash", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("expires", sa.DateTime(timezone=True)),
        sa.Column("disabled", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "sessions",
        sa.Column("id_hash", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name", ondelete="CASCADE"), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
    )


def _create_cases() -> None:
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
        sa.Column("day", sa.Date, nullable=False),
        sa.ForeignKeyConstraint(
            ["district", "tracklet_id", "day"],
            ["tracklets.district", "tracklets.id", "tracklets.day"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("case_sightings_by_tracklet", "case_sightings", ["district", "tracklet_id", "day"])
    op.create_table(
        "removals",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("removed", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("cutoff", sa.DateTime(timezone=True)),
        sa.Column("tracklets", sa.Integer, nullable=False),
        sa.Column("crops", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "case_operators",
        sa.Column("case_id", sa.BigInteger, sa.ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name", ondelete="CASCADE"), primary_key=True),
    )
    op.create_table(
        "verdicts",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("case_id", sa.BigInteger, sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("tracklet_id", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("verdicts_by_sighting", "verdicts", ["case_id", "district", "tracklet_id"])
    op.create_table(
        "searches",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("case_id", sa.BigInteger, sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("question", JSONB, nullable=False),
        sa.Column("photo_sha256", sa.Text),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("found", JSONB, nullable=False),
        sa.Column("coverage", JSONB, nullable=False),
    )
    op.create_index("searches_by_case", "searches", ["case_id"])


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("details", JSONB, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.execute(
        """
        CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit is append-only: % is refused', TG_OP; END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()
        """
    )
