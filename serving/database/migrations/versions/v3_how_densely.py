"""How densely each segment was processed, which times within it were not, and the processed times by both.

An earlier version stored the number of decoded frames, or of processed frames for a live camera: all of them count as
processed. So a recording that was processed with a stride counts as dense until it is processed again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE

revision = "3"
down_revision = "2"

# Twice a second: who walks through three metres of view is then seen four times, and three times confirm a track. A
# twentieth less is allowed for clocks and for the frame at either end.
_LEAST_LOOKS_PER_S = "1.9"
_LEAST_SHARE = "0.9"  # of the frames that should have been looked at
_RATE = "(looked_at / greatest(seconds, 1))"
_STEP = f"power(10, floor(log({_RATE})))"
_ROUNDED = f"CASE WHEN looked_at = 0 THEN 0 ELSE floor({_RATE} / {_STEP}) * {_STEP} END"
_IS_THIN = f"looked_at < {_LEAST_SHARE} * due OR {_RATE} < {_LEAST_LOOKS_PER_S}"
_LOOKS_PER_S = f"CASE WHEN {_IS_THIN} THEN {_ROUNDED} ELSE 'infinity' END::float8"
_LOOKED_AT = 'tstzmultirange(tstzrange(start, greatest(start, "end"))) - coalesce(left_out, tstzmultirange())'
_PROCESSED = f"""
    SELECT district, camera_id, model_version, {_LOOKS_PER_S}, range_agg(looked)
    FROM segments
    CROSS JOIN LATERAL (SELECT {_LOOKED_AT} AS looked) AS spans
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(extract(epoch FROM upper(part) - lower(part))), 0) AS seconds FROM unnest(looked) AS part
    ) AS lengths
    WHERE state = 'done' AND model_version IS NOT NULL
"""
_GROUPED = "GROUP BY 1, 2, 3, 4"


def upgrade() -> None:
    """Adds the counts and the times, and divides the processed times by them."""
    for name in ("looked_at", "due", "unreadable"):
        op.add_column("segments", sa.Column(name, sa.Integer))
    op.add_column("segments", sa.Column("left_out", TSTZMULTIRANGE))  # pauses, and what another recording has
    op.drop_table("processed")
    op.create_table(
        "processed",
        sa.Column("district", sa.Text, primary_key=True),
        sa.Column("camera_id", sa.Text, primary_key=True),
        sa.Column("model_version", sa.Text, primary_key=True),
        sa.Column("looks_per_s", sa.Float, primary_key=True),
        sa.Column("times", TSTZMULTIRANGE, nullable=False),
        sa.ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
    )
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION update_processed() RETURNS trigger LANGUAGE plpgsql AS $$
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
    op.execute("UPDATE segments SET looked_at = frames, due = frames WHERE state = 'done'")  # the triggers do the rest
