"""Tables of the store: districts, cameras, segments of video, tracklets, cases, removals, accounts, searches, audit.

A change here needs a revision in `serving/database/migrations/versions`.
"""

import hashlib

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    ScalarSelect,
    Table,
    Text,
    column,
    func,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSTZMULTIRANGE

metadata = MetaData()
_EMBEDDING_INDEX = "embeddings_of_"  # and digits of the model's version

districts = Table(
    "districts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("time_zone", Text, nullable=False),  # IANA
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
    Column("begun", DateTime(timezone=True)),  # in service since then; None if unknown
    Column("retired", DateTime(timezone=True)),  # out of service since then
)

segments = Table(  # see serving.database.segments
    "segments",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("district", Text, nullable=False),
    Column("camera_id", Text, nullable=False),
    Column("source", Text, nullable=False),  # path or stream's name, never with a password
    Column("checksum", Text, nullable=False),  # sha256 of the file; of a stream "<name>@<start>"
    Column("start", DateTime(timezone=True), nullable=False),
    Column("end", DateTime(timezone=True)),  # before it is done: as the file declares it, if it does
    Column("state", Text, nullable=False),
    Column("frames", Integer),
    Column("error", Text),  # why it failed
    Column("damage", Text),  # what could not be decoded
    Column("looked_at", Integer),  # frames; None if unknown
    Column("due", Integer),  # frames that should have been looked at, see serving.database.segments.Looks
    Column("unreadable", Integer),  # packets that could not be decoded
    Column("left_out", TSTZMULTIRANGE),  # times in it that were not looked at: pauses, and what another segment has
    Column("model_version", Text),  # re-ID model that processed it; see `segment_models` for all
    Column("deployment_version", Text),  # of all models together; None if unknown
    Column("created", DateTime(timezone=True), nullable=False, server_default=func.now()),  # start of waiting
    Column("postponed_since", DateTime(timezone=True)),  # a resource is unreachable, such as a network share
    Column("ended", DateTime(timezone=True)),  # when it was done or failed
    Column(
        "replaces", BigInteger, ForeignKey("segments.id", ondelete="SET NULL")
    ),  # segment that is removed when this one is done
    CheckConstraint("state IN ('waiting', 'done', 'failed')", name="segments_state_check"),
    ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
    Index(
        "segments_of_file",
        "district",
        "camera_id",
        "checksum",
        unique=True,
        postgresql_where=text("replaces IS NULL"),
    ),
    Index("segments_replacing", "replaces", unique=True),
    Index("segments_by_length", text('("end" - start)')),  # the longest one bounds how long a tracklet lasts
    Index("segments_by_ended", "ended"),
    Index("segments_unfinished", "district", "camera_id", postgresql_where=text("state <> 'done'")),
)

segment_models = Table(  # models from which all sightings of the segment have an embedding, or attributes
    "segment_models",
    metadata,
    Column("segment_id", BigInteger, ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column("task", Text, nullable=False),  # reid or attributes
)

# Times of the segments that are done, by each re-ID model from which their sightings have embeddings. Triggers merge
# them, so that no query merges a month of them, and say which are thin: looked at less than about twice a second, or
# with a tenth of the frames skipped that were due.
processed = Table(
    "processed",
    metadata,
    Column("district", Text, primary_key=True),
    Column("camera_id", Text, primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column("looks_per_s", Float, primary_key=True),  # of thin times, rounded down to one digit; else infinity
    Column("times", TSTZMULTIRANGE, nullable=False),
    ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
)

gaps = Table(  # times without video of a camera that should have sent it
    "gaps",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("district", Text, nullable=False),
    Column("camera_id", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("until", DateTime(timezone=True)),  # None while the gap lasts
    Column("reason", Text, nullable=False),
    ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
    Index("gaps_open", "district", "camera_id", unique=True, postgresql_where=text("until IS NULL")),
)

tracklets = Table(  # see serving.database.partitions
    "tracklets",
    metadata,
    Column("district", Text, primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # unique in its district
    Column("day", Date, primary_key=True),  # of last_seen, in UTC
    Column("segment_id", BigInteger, ForeignKey("segments.id", ondelete="CASCADE"), nullable=False),
    Column("camera_id", Text, nullable=False),
    Column("first_seen", DateTime(timezone=True), nullable=False),
    Column("last_seen", DateTime(timezone=True), nullable=False),
    Column("boxes", JSONB, nullable=False),  # [[frame, left, top, right, bottom, score], …], pixels
    Column("quality", Float, nullable=False),
    Column("model_version", Text, nullable=False),  # re-ID model that made it
    Column("crop", Text, nullable=False),  # path of the best one below the store's folder
    Column("num_crops", Integer, nullable=False, server_default="1"),
    Column("full_frame", Integer),  # number of the frame that lies beside the crop; None if none was kept
    ForeignKeyConstraint(["district", "camera_id"], ["cameras.district", "cameras.id"], ondelete="CASCADE"),
    Index("tracklets_by_time", "camera_id", "first_seen"),
    Index("tracklets_by_segment", "segment_id"),
    postgresql_partition_by="LIST (day)",
)

models_in_use = Table(  # re-ID models with which searches compare, of which the last counts; see rollout
    "models_in_use",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("model_version", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("account", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

deployments = Table(  # that have worked on the store; see serving.database.deployments
    "deployments",
    metadata,
    Column("version", Text, primary_key=True),
    Column("recorded", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("models", JSONB, nullable=False),  # [domain.registered.ModelOrigin, …]
)

attribute_labels = Table(  # see serving.database.attribute_rows
    "attribute_labels",
    metadata,
    Column("group_name", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("place", Integer, nullable=False, unique=True),  # of its probability, from 1 on
)

tracklet_embeddings = Table(  # of each re-ID model, for no model's can be compared with another's; partitions as above
    "tracklet_embeddings",
    metadata,
    Column("district", Text, primary_key=True),
    Column("tracklet_id", BigInteger, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column("segment_id", BigInteger, nullable=False),  # copies of the tracklet's, so that a search reads no other table
    Column("camera_id", Text, nullable=False),
    Column("first_seen", DateTime(timezone=True), nullable=False),
    Column("last_seen", DateTime(timezone=True), nullable=False),
    Column("embedding", HALFVEC, nullable=False),
    ForeignKeyConstraint(
        ["district", "tracklet_id", "day"],
        ["tracklets.district", "tracklets.id", "tracklets.day"],
        ondelete="CASCADE",
    ),
    Index("tracklet_embeddings_by_time", "camera_id", "first_seen"),
    Index("tracklet_embeddings_by_model", "model_version"),
    postgresql_partition_by="LIST (day)",
)

tracklet_attributes = Table(  # of each attribute model, in narrow rows, for a search by description reads all of them
    "tracklet_attributes",
    metadata,
    Column("district", Text, primary_key=True),
    Column("tracklet_id", BigInteger, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("model_version", Text, primary_key=True),  # empty: unknown, or without an attribute model
    Column("camera_id", Text, nullable=False),
    Column("first_seen", DateTime(timezone=True), nullable=False),
    Column("last_seen", DateTime(timezone=True), nullable=False),
    Column("probabilities", ARRAY(Integer), nullable=False),  # millionths
    ForeignKeyConstraint(
        ["district", "tracklet_id", "day"],
        ["tracklets.district", "tracklets.id", "tracklets.day"],
        ondelete="CASCADE",
    ),
    Index("tracklet_attributes_by_day", "day"),
)

cases = Table(
    "cases",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("title", Text, nullable=False),
    Column("opened", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("closed", DateTime(timezone=True)),
    Column("legal_hold", Boolean, nullable=False),  # keeps the case's sightings, also when it is closed
    Column("second_person", Boolean, nullable=False, server_default="false"),  # see serving.cases.standing
    Column("districts", ARRAY(Text)),  # to which its searches are limited; None: all
)

emergencies = Table(  # cases that an operator opened, to which a reviewer must agree; see serving.cases.emergency
    "emergencies",
    metadata,
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("account", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("agree_by", DateTime(timezone=True), nullable=False),
    Column("agreed", DateTime(timezone=True)),
    Column("agreed_by", Text),
    Column("told", DateTime(timezone=True)),  # when the first reviewer was told on the page
    Column("sent", DateTime(timezone=True)),  # as of alerts
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_try", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

case_sightings = Table(
    "case_sightings",
    metadata,
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("district", Text, primary_key=True),
    Column("tracklet_id", BigInteger, primary_key=True),
    Column("day", Date, nullable=False),  # the tracklet's
    ForeignKeyConstraint(
        ["district", "tracklet_id", "day"],
        ["tracklets.district", "tracklets.id", "tracklets.day"],
        ondelete="CASCADE",
    ),
    Index("case_sightings_by_tracklet", "district", "tracklet_id", "day"),
)

found_sightings = Table(  # sightings that a search or route of the case found; see serving.cases.visible
    "found_sightings",
    metadata,
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("district", Text, primary_key=True),
    Column("tracklet_id", BigInteger, primary_key=True),
)

removals = Table(  # a row per run of serving.retention, replaced district or replaced segment
    "removals",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("removed", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column(
        "cutoff", DateTime(timezone=True)
    ),  # of a retention: tracklets last seen before it were removed; None of a replacement
    Column("tracklets", Integer, nullable=False),
    Column("crops", Integer, nullable=False),  # files, including those of an interrupted run; 0 until they are deleted
    Column("reason", Text, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),  # serving.web.permissions.Role
    Column("token_id", Text, nullable=False, unique=True),  # the public half of the token
    Column("token_hash", Text, nullable=False),  # Argon2id of the secret half
    Column("subject", Text, unique=True),  # issuer and subject at an OpenID provider
    Column("created", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires", DateTime(timezone=True)),
    Column("disabled", DateTime(timezone=True)),
    Column("districts", ARRAY(Text)),  # to which it is bound; None: all
)

sessions = Table(  # of browsers
    "sessions",
    metadata,
    Column("id_hash", Text, primary_key=True),  # SHA-256 of what the cookie holds
    Column("account", Text, ForeignKey("accounts.name", ondelete="CASCADE"), nullable=False),
    Column("created", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires", DateTime(timezone=True), nullable=False),
    Column("sign_in", BigInteger, nullable=False, server_default="0"),  # number of the audit's record of it
)

case_operators = Table(  # operators who may work on a case; reviewers may work on all cases
    "case_operators",
    metadata,
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("account", Text, ForeignKey("accounts.name", ondelete="CASCADE"), primary_key=True),
)

verdicts = Table(  # all verdicts, of which the last on a sighting counts; they outlive the sighting
    "verdicts",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("district", Text, nullable=False),
    Column("tracklet_id", BigInteger, nullable=False),
    Column("verdict", Text, nullable=False),  # confirmed, rejected or none
    Column("account", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("verdicts_by_sighting", "case_id", "district", "tracklet_id"),
)

corrections = Table(  # attributes of sightings by people, of which the last counts; see serving.cases.corrections
    "corrections",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("district", Text, nullable=False),
    Column("tracklet_id", BigInteger, nullable=False),
    Column("group_name", Text, nullable=False),
    Column("label", Text),  # None: taken back
    Column("account", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("corrections_by_sighting", "case_id", "district", "tracklet_id"),
)

corrected_boxes = Table(  # of people in full frames, by people; the last counts; see serving.cases.boxes
    "corrected_boxes",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("district", Text, nullable=False),
    Column("tracklet_id", BigInteger, nullable=False),
    Column("box_xyxy", ARRAY(Float)),  # pixels of the full frame; None: taken back
    Column("account", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("corrected_boxes_by_sighting", "case_id", "district", "tracklet_id"),
)

case_photos = Table(  # of the person; see serving.cases.question
    "case_photos",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("account", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("sha256", Text, nullable=False),
    Index("case_photos_by_case", "case_id"),
)

case_notes = Table(
    "case_notes",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("account", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("text", Text, nullable=False),
    Index("case_notes_by_case", "case_id"),
)

sheets = Table(  # for officers on foot; see serving.sheets
    "sheets",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("account", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires", DateTime(timezone=True), nullable=False),
    Column("revoked", DateTime(timezone=True)),
    Column("token_hash", Text, nullable=False, unique=True),  # SHA-256 of what the link holds
    Column("pdf_sha256", Text, nullable=False),
    Column("opened", Integer, nullable=False, server_default="0"),  # how often the link was opened
    Index("sheets_by_case", "case_id"),
)

watches = Table(  # standing searches of a case; see serving.watching
    "watches",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("account", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("ended", DateTime(timezone=True)),  # before `until`
    Column("min_probability", Float, nullable=False),  # of a match, from which on it is told
    Column("question", JSONB, nullable=False),  # all fields of the request but the photos
    Column("cameras", JSONB),  # [[district, camera id], …]; None for all
    Column("embedding", HALFVEC),  # of the person; None where attributes alone are watched for
    Column("model_version", Text, nullable=False),
    Column("alarms_a_day", Float),  # expected when it was created; None if nothing was seen before
    Index("watches_by_case", "case_id"),
)

alerts = Table(  # sightings that a watch told; they outlive the sighting
    "alerts",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("watch_id", BigInteger, ForeignKey("watches.id", ondelete="CASCADE"), nullable=False),
    Column("district", Text, nullable=False),
    Column("tracklet_id", BigInteger, nullable=False),
    Column("probability", Float, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("sent", DateTime(timezone=True)),  # when the webhook took it; None before, and without one
    Column("tries", Integer, nullable=False, server_default="0"),  # to send it
    Column("next_try", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("alerts_of_watch", "watch_id", "district", "tracklet_id", unique=True),
    Index("alerts_unsent", "next_try", postgresql_where=text("sent IS NULL")),
)

new_sightings = Table(  # sightings that no watch has looked at; filled only while there is a watch
    "new_sightings",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("district", Text, nullable=False),
    Column("tracklet_id", BigInteger, nullable=False),
)

searches = Table(
    "searches",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("case_id", BigInteger, ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("account", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("reason", Text, nullable=False),
    Column("question", JSONB, nullable=False),  # all fields of the request but the photo
    Column("photo_sha256", Text),
    Column("model_version", Text, nullable=False),
    Column("deployment_version", Text),  # of all models together; None if unknown
    Column("found", JSONB, nullable=False),  # [[district, tracklet id], …], nearest first
    Column("coverage", JSONB, nullable=False),  # see serving.search.coverage.shorten_coverage
    Index("searches_by_case", "case_id"),
)

audit = Table(  # append-only, by triggers; see serving.database.audit
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3, … without a gap
    Column("at", DateTime(timezone=True), nullable=False),
    Column("account", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("hash", Text, nullable=False),  # SHA-256 over the hash before it and this record
    Index("audit_by_time", "at"),
)


def embedding_index(model_version: str) -> str:
    """Name of the index over the embeddings of a re-ID model."""
    return f"{_EMBEDDING_INDEX}{hashlib.sha256(model_version.encode()).hexdigest()[:12]}"


def embedding_index_is_whole(model_version: str) -> ScalarSelect[bool]:
    """Whether the index over the embeddings of a model is valid in every partition; NULL if it does not exist."""
    indexes = table("pg_index", column("indisvalid", Boolean), column("indexrelid"))
    name = func.to_regclass(embedding_index(model_version))
    return select(indexes.c.indisvalid).where(indexes.c.indexrelid == name).scalar_subquery()


def create_embedding_index(model_version: str, feature: int) -> DDL:
    """Creates, if it does not exist, the HNSW index by cosine distance over a model's embeddings, a graph per day.

    The column has no fixed length, so that it holds embeddings of any model; the index casts to the length of its
    model's, and covers only these: a search reads no more, however many models have embeddings.
    """
    quoted = model_version.replace("'", "''").replace("%", "%%")  # a DDL formats with %
    return DDL(
        f"CREATE INDEX IF NOT EXISTS {embedding_index(model_version)} ON tracklet_embeddings "
        f"USING hnsw ((embedding::halfvec({int(feature)})) halfvec_cosine_ops) WHERE model_version = '{quoted}'"
    )
