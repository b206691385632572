"""Tables of the store: districts, their cameras, and the tracklets seen in them."""

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

districts = Table(
    "districts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("time_zone", Text, nullable=False, server_default="UTC"),  # IANA
)

cameras = Table(
    "cameras",
    metadata,
    Column("district", Text, ForeignKey("districts.name", ondelete="CASCADE"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("latitude", Float, nullable=False),
    Column("longitude", Float, nullable=False),
    Column("fps", Float, nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("start", DateTime(timezone=True)),
)

tracklets = Table(
    "tracklets",
    metadata,
    Column("district", Text, primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # unique in its district
    Column("camera_id", Text, nullable=False),
    Column("first_seen", DateTime(timezone=True), nullable=False),
    Column("last_seen", DateTime(timezone=True), nullable=False),
    Column("boxes", JSONB, nullable=False),  # [[frame, left, top, right, bottom, score], …], pixels
    Column("quality", Float, nullable=False),
    Column("feature", Integer, nullable=False),  # length of the embedding: models differ in it
    Column("embedding", HALFVEC, nullable=False),
    Column("attributes", JSONB, nullable=False),  # {group: {label: probability}}
    Column("model_version", Text, nullable=False),  # embeddings of different models cannot be compared
    Column("crop", Text, nullable=False),  # path below the store's folder
    ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
    Index("tracklets_by_time", "camera_id", "first_seen"),
)


def add_time_zone() -> DDL:
    """Gives the districts of a store that is older than their time zones the column for them."""
    return DDL("ALTER TABLE districts ADD COLUMN IF NOT EXISTS time_zone TEXT NOT NULL DEFAULT 'UTC'")


def create_embedding_index(feature: int) -> DDL:
    """Makes, if it is missing, the HNSW index by cosine distance over all embeddings of this length.

    A column without a length holds embeddings of any model; the index casts to a length and covers its rows only.
    """
    return DDL(
        f"CREATE INDEX IF NOT EXISTS tracklets_embedding_{int(feature)} ON tracklets "
        f"USING hnsw ((embedding::halfvec({int(feature)})) halfvec_cosine_ops) WHERE feature = {int(feature)}"
    )
