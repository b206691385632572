"""Times within a segment that were not looked at: pauses of a recording, and what another recording has."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE

revision = "4"
down_revision = "3"

# As in revision 3, of the times that were looked at.
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
    """Adds the times, without which segments count as before."""
    op.add_column("segments", sa.Column("left_out", TSTZMULTIRANGE))
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
