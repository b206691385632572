"""Attributes in narrow rows of their own, so that a search by description does not read the JSON of every tracklet."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "9"
down_revision = "8"


def upgrade() -> None:
    """Create the tables from the tracklets that are there; about a minute for 100,000 of them."""
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
    op.execute(
        """
        INSERT INTO attribute_labels (group_name, label, place)
        SELECT group_name, label, row_number() OVER (ORDER BY group_name, label) FROM (
            SELECT DISTINCT in_group.key AS group_name, of_group.label
            FROM tracklets CROSS JOIN LATERAL jsonb_each(attributes) AS in_group
            CROSS JOIN LATERAL (SELECT jsonb_object_keys(in_group.value) UNION ALL SELECT '') AS of_group (label)
        ) AS found
        """
    )
    op.execute(  # || makes PostgreSQL fetch and unpack the JSON of a row once, not for each label
        """
        INSERT INTO tracklet_attributes
        SELECT district, id, day, camera_id, first_seen, last_seen, model_version, ARRAY(
            SELECT coalesce(round(1000000 * CASE label
                WHEN '' THEN (SELECT max(value::numeric) FROM jsonb_each_text(attributes -> group_name))
                ELSE (attributes -> group_name ->> label)::numeric
            END)::int, 0)
            FROM attribute_labels ORDER BY place
        )
        FROM (
            SELECT district, id, day, camera_id, first_seen, last_seen, model_version, attributes || '{}' AS attributes
            FROM tracklets OFFSET 0
        ) AS seen
        """
    )
    op.create_index("tracklet_attributes_by_day", "tracklet_attributes", ["day"])
    op.execute("ANALYZE tracklet_attributes")
