"""Sightings that a case may see, and what shows that the clock was set back."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Adds them; what earlier searches found is taken from their record."""
    op.create_table(
        "found_sightings",
        sa.Column("case_id", sa.BigInteger, sa.ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("district", sa.Text, primary_key=True),
        sa.Column("tracklet_id", sa.BigInteger, primary_key=True),
    )
    # A search that is older than the segment found what had this number before its district was replaced.
    op.execute(
        """
        INSERT INTO found_sightings (case_id, district, tracklet_id)
        SELECT DISTINCT searches.case_id, seen.district, seen.id
        FROM searches CROSS JOIN jsonb_array_elements(searches.found) AS one
        JOIN tracklets AS seen ON seen.district = one ->> 0 AND seen.id = (one ->> 1)::bigint
        JOIN segments ON segments.id = seen.segment_id AND segments.created <= searches.at
        """
    )
    op.create_index("audit_by_time", "audit", ["at"])
    op.add_column("sessions", sa.Column("sign_in", sa.BigInteger, nullable=False, server_default="0"))
