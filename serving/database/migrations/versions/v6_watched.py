"""What each model has watched of each camera, merged, kept by triggers on the segments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE

revision = "6"
down_revision = "5"

_WATCHED = (
    'SELECT district, camera_id, model_version, range_agg(tstzrange(start, greatest(start, "end"))) '
    "FROM segments WHERE state = 'done' AND model_version IS NOT NULL"
)
_GROUPED = "GROUP BY district, camera_id, model_version"


def upgrade() -> None:
    """Create the table from the segments that are there."""
    op.create_table(
        "watched",
        sa.Column("district", sa.Text, primary_key=True),
        sa.Column("camera_id", sa.Text, primary_key=True),
        sa.Column("model_version", sa.Text, primary_key=True),
        sa.Column("times", TSTZMULTIRANGE, nullable=False),
        sa.ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
    )
    op.create_index(
        "segments_to_watch", "segments", ["district", "camera_id"], postgresql_where=sa.text("state <> 'done'")
    )
    op.execute(f"INSERT INTO watched {_WATCHED} {_GROUPED}")
    op.execute(
        f"""
        CREATE FUNCTION watch_again() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM changed WHERE state = 'done') THEN
                LOCK TABLE watched IN SHARE ROW EXCLUSIVE MODE;  -- what others finish meanwhile must be seen below
                DELETE FROM watched USING (SELECT DISTINCT district, camera_id FROM changed) AS touched
                WHERE (watched.district, watched.camera_id) = (touched.district, touched.camera_id);
                INSERT INTO watched {_WATCHED}
                AND (district, camera_id) IN (SELECT district, camera_id FROM changed) {_GROUPED};
            END IF;
            RETURN NULL;
        END $$
        """
    )
    for event, rows in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        op.execute(
            f"CREATE TRIGGER watch_{rows.lower()}_of_{event.lower()} AFTER {event} ON segments "
            f"REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION watch_again()"
        )
