"""Embeddings and attributes of several models at once, in tables of their own.

Embeddings are copied and their index is built anew, which takes minutes for a million sightings. Attributes stay as
they are: the array holds the same probabilities as the JSON that goes. By which attribute model they are is unknown.
"""

import hashlib

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC

revision = "12"
down_revision = "11"

# As in revision 3, but by the models of `segment_models`.
_LEAST_LOOKS_PER_S = "1.9"
_LEAST_SHARE = "0.9"
_RATE = "(looked_at / greatest(seconds, 1))"
_STEP = f"power(10, floor(log({_RATE})))"
_ROUNDED = f"CASE WHEN looked_at = 0 THEN 0 ELSE floor({_RATE} / {_STEP}) * {_STEP} END"
_IS_THIN = f"looked_at < {_LEAST_SHARE} * due OR {_RATE} < {_LEAST_LOOKS_PER_S}"
_LOOKS_PER_S = f"CASE WHEN {_IS_THIN} THEN {_ROUNDED} ELSE 'infinity' END::float8"
_LOOKED_AT = 'tstzmultirange(tstzrange(start, greatest(start, "end"))) - coalesce(left_out, tstzmultirange())'


def upgrade() -> None:
    """Adds the tables, moves what is there into them, and counts processed times by model."""
    _create_embeddings()
    op.drop_constraint("tracklet_attributes_pkey", "tracklet_attributes")
    op.drop_column("tracklet_attributes", "model_version")  # it was the re-ID model's
    op.add_column("tracklet_attributes", sa.Column("model_version", sa.Text, nullable=False, server_default=""))
    op.alter_column("tracklet_attributes", "model_version", server_default=None)
    op.create_primary_key(
        "tracklet_attributes_pkey", "tracklet_attributes", ["district", "tracklet_id", "day", "model_version"]
    )
    op.add_column("tracklets", sa.Column("num_crops", sa.Integer, nullable=False, server_default="1"))
    for name in ("feature", "embedding", "attributes"):
        op.drop_column("tracklets", name)
    _create_segment_models()


def _create_embeddings() -> None:
    op.create_table(
        "tracklet_embeddings",
        sa.Column("district", sa.Text, primary_key=True),
        sa.Column("tracklet_id", sa.BigInteger, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("model_version", sa.Text, primary_key=True),
        sa.Column("segment_id", sa.BigInteger, nullable=False),
        sa.Column("camera_id", sa.Text, nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("embedding", HALFVEC, nullable=False),
        sa.ForeignKeyConstraint(
            ["district", "tracklet_id", "day"],
            ["tracklets.district", "tracklets.id", "tracklets.day"],
            ondelete="CASCADE",
        ),
        postgresql_partition_by="LIST (day)",
    )
    op.create_index("tracklet_embeddings_by_time", "tracklet_embeddings", ["camera_id", "first_seen"])
    op.create_index("tracklet_embeddings_by_model", "tracklet_embeddings", ["model_version"])
    connection = op.get_bind()
    children = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'tracklets'::regclass ORDER BY 1"
    for name in connection.exec_driver_sql(children).scalars().all():
        digits = name.removeprefix("tracklets_")
        op.execute(
            f"CREATE TABLE tracklet_embeddings_{digits} PARTITION OF tracklet_embeddings FOR VALUES IN ('{digits}')"
        )
    op.execute(
        "INSERT INTO tracklet_embeddings SELECT district, id, day, model_version, segment_id, camera_id, first_seen, "
        "last_seen, embedding FROM tracklets"
    )
    models = "SELECT model_version, max(feature) FROM tracklets GROUP BY model_version"
    for version, feature in connection.exec_driver_sql(models).all():
        quoted = version.replace("'", "''")
        connection.exec_driver_sql(
            f"CREATE INDEX embeddings_of_{hashlib.sha256(version.encode()).hexdigest()[:12]} ON tracklet_embeddings "
            f"USING hnsw ((embedding::halfvec({feature})) halfvec_cosine_ops) WHERE model_version = '{quoted}'"
        )


def _create_segment_models() -> None:
    """Creates the table, and triggers that keep `processed` up to date by it."""
    op.create_table(
        "segment_models",
        sa.Column("segment_id", sa.BigInteger, sa.ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("model_version", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, nullable=False),
    )
    op.execute(
        "INSERT INTO segment_models SELECT id, model_version, 'reid' FROM segments "
        "WHERE state = 'done' AND model_version IS NOT NULL"
    )
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION update_processed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM changed WHERE state = 'done') THEN
                LOCK TABLE processed IN SHARE ROW EXCLUSIVE MODE;  -- what others finish meanwhile must be seen below
                DELETE FROM processed USING (SELECT DISTINCT district, camera_id FROM changed) AS touched
                WHERE (processed.district, processed.camera_id) = (touched.district, touched.camera_id);
                INSERT INTO processed {_processed("SELECT * FROM segment_models")}
                AND (district, camera_id) IN (SELECT district, camera_id FROM changed) GROUP BY 1, 2, 3, 4;
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        f"""
        CREATE FUNCTION add_processed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM changed JOIN segments ON id = segment_id WHERE state = 'done') THEN
                LOCK TABLE processed IN SHARE ROW EXCLUSIVE MODE;
                INSERT INTO processed {_processed("SELECT * FROM changed")} GROUP BY 1, 2, 3, 4
                ON CONFLICT ON CONSTRAINT processed_pkey DO UPDATE SET times = processed.times + EXCLUDED.times;
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER processed_of_new_models AFTER INSERT ON segment_models REFERENCING NEW TABLE AS changed "
        "FOR EACH STATEMENT EXECUTE FUNCTION add_processed()"
    )


def _processed(models: str) -> str:
    """SQL of the processed times of segments that are done, by the rows of `models`; for a GROUP BY 1, 2, 3, 4."""
    return f"""
    SELECT district, camera_id, models.model_version, {_LOOKS_PER_S}, range_agg(looked)
    FROM segments
    JOIN ({models}) AS models ON models.segment_id = segments.id AND models.task = 'reid'
    CROSS JOIN LATERAL (SELECT {_LOOKED_AT} AS looked) AS spans
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(extract(epoch FROM upper(part) - lower(part))), 0) AS seconds FROM unnest(looked) AS part
    ) AS lengths
    WHERE state = 'done'
    """
