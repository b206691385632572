"""What searches read: the nearest tracklets, the tracklets that fit a description, and tracklets by number."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import sqlalchemy as sa
from pgvector import HalfVector
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects.postgresql import ARRAY

from domain.attribute_query import AttributeQuery
from domain.cameras import CameraKey
from domain.errors import InputError
from serving.database import tables, tracklet_rows
from serving.database.attribute_rows import log_likelihood
from serving.database.partition_scans import partition_scans, rows_of_scans
from serving.database.partitions import day_of, days_between, existing_partitions
from serving.database.tracklet_filter import ALL_TRACKLETS, TrackletFilter
from serving.database.tracklet_rows import StoredTracklet, pick, tracklets_of, whole

_PATIENCE_S = 2  # for a table that another transaction has locked
_LOOK_UP_EACH = (  # the planner does not know that one partition holds each row, and would rather read all of them
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; "
    "SET LOCAL plan_cache_mode = force_custom_plan"
)


def nearest(
    engine: sa.Engine, embedding: np.ndarray, limit: int, where: TrackletFilter = ALL_TRACKLETS
) -> list[StoredTracklet]:
    """Up to `limit` tracklets, nearest first by cosine distance to `embedding`.

    Args:
        engine: of the database; two connections read at the same time.
        embedding: `[feature]`, unit length; tracklets whose embeddings have another length are left out.
        limit: maximum number of tracklets, at least 1.
        where: filter of the tracklets.
    """
    feature, table = len(embedding), tables.tracklets
    distance = sa.cast(table.c.embedding, HALFVEC(feature)).cosine_distance(_vector(embedding))
    picked = (
        pick(distance)
        .where(*where.conditions(table))
        .where(table.c.feature == sa.literal_column(str(feature)))  # a literal, or the index cannot be chosen
        .limit(limit)
    )
    with engine.begin() as connection:
        scans = partition_scans(connection, limit, where)
    return tracklets_of(rows_of_scans(engine, scans, picked), limit)


def nearest_in_cells(
    connection: sa.Connection,
    embedding: np.ndarray,
    limit: int,
    cells: Sequence[tuple[CameraKey, float, float]],
    where: TrackletFilter = ALL_TRACKLETS,
) -> list[StoredTracklet]:
    """Up to `limit` tracklets that began in one of `cells`, nearest first; all of them are compared.

    Changes planner settings of the transaction.

    Args:
        connection: to the database.
        embedding: as of `nearest`.
        limit: maximum number of tracklets.
        cells: cameras with the times, POSIX, from and until which a tracklet begins; those of a camera are apart.
        where: filter of the tracklets.
    """
    if not cells:
        return []
    cameras, begins, ends = zip(*cells, strict=True)
    since, until = ([datetime.fromtimestamp(moment_s, UTC) for moment_s in each] for each in (begins, ends))
    days = {
        day_of(begin) + timedelta(days=number)
        for begin, end in zip(since, until, strict=True)
        for number in range((day_of(end) - day_of(begin)).days + 2)  # it may end a day later
    }
    texts, times = ARRAY(sa.Text), ARRAY(sa.DateTime(timezone=True))
    columns = {
        "district": sa.literal([district for district, _ in cameras], texts),
        "camera_id": sa.literal([camera for _, camera in cameras], texts),
        "since": sa.literal(since, times),
        "until": sa.literal(until, times),
    }
    of_cells = sa.func.unnest(*columns.values()).table_valued(*columns, name="cells").render_derived()
    feature, table = len(embedding), tables.tracklets
    distance = sa.cast(table.c.embedding, HALFVEC(feature)).cosine_distance(_vector(embedding))
    picked = (
        pick(distance + sa.literal_column("0"))  # the plain distance would be looked up in its index, before the cells
        .where(*where.conditions(table))
        .where(table.c.feature == feature, table.c.day.in_(set(existing_partitions(connection)) & days))
        .where(
            table.c.district == of_cells.c.district,
            table.c.camera_id == of_cells.c.camera_id,
            table.c.first_seen.between(of_cells.c.since, of_cells.c.until),
        )
        .limit(limit)
    )
    connection.exec_driver_sql(_LOOK_UP_EACH)
    return tracklets_of(connection.execute(whole(picked)))


def described(
    connection: sa.Connection, description: AttributeQuery, limit: int, where: TrackletFilter = ALL_TRACKLETS
) -> list[StoredTracklet]:
    """Up to `limit` tracklets that fit `description` best, likeliest first.

    Changes planner settings of the transaction.

    Raises:
        InputError: if the description has no attribute.
    """
    if not description:
        raise InputError("a search without a photo must ask for at least one attribute, got none")
    seen, table = tables.tracklets, tables.tracklet_attributes
    unlikelihood = (-log_likelihood(connection, description)).label("place")
    fitting = (
        sa.select(table.c.district, table.c.tracklet_id, table.c.day, unlikelihood)
        .where(table.c.day.in_(days_between(connection, where.since, where.until)))
        .where(*where.conditions(table))
        .order_by("place", table.c.tracklet_id)
        .limit(limit)
        .subquery("fitting")
    )
    picked = pick(fitting.c.place).where(
        seen.c.district == fitting.c.district, seen.c.id == fitting.c.tracklet_id, seen.c.day == fitting.c.day
    )
    connection.exec_driver_sql(_LOOK_UP_EACH)
    return tracklets_of(connection.execute(whole(picked)))


def tracklets(connection: sa.Connection, ids: Collection[tuple[str, int]]) -> list[StoredTracklet]:
    """The stored tracklets among `ids`, by time; an id is a district and a number in it."""
    table = tables.tracklets
    picked = pick(table.c.first_seen).where(sa.tuple_(table.c.district, table.c.id).in_(list(ids)))
    return tracklets_of(connection.execute(whole(picked)))


def latest(connection: sa.Connection, district: str, model_version: str, limit: int) -> list[StoredTracklet]:
    """Up to `limit` tracklets of a district by one model, the latest first."""
    table = tables.tracklets
    picked = pick(-sa.extract("epoch", table.c.last_seen))
    picked = picked.where(table.c.district == district, table.c.model_version == model_version).limit(limit)
    return tracklets_of(connection.execute(whole(picked)))


def attributes(connection: sa.Connection, of: Sequence[StoredTracklet]) -> list[dict[str, dict[str, float]]]:
    """Group -> label -> probability of each tracklet; empty if it was removed meanwhile.

    Changes planner settings of the transaction.
    """
    if not of:
        return []
    connection.exec_driver_sql(_LOOK_UP_EACH)
    rows = connection.execute(tracklet_rows.attributes_of(of))
    by_id = {(row.district, row.id): row.attributes for row in rows}
    return [by_id.get((tracklet.district, tracklet.id), {}) for tracklet in of]


def reason_not_ready(engine: sa.Engine, model_version: str) -> str | None:
    """Why the database cannot be searched with this model; None if it can, also before its first sighting."""
    table = tables.tracklets
    is_whole = tables.embedding_index_is_whole(table.c.feature).label("is_whole")
    of_model = sa.select(table.c.feature, is_whole).where(table.c.model_version == model_version).limit(1)
    processed = sa.exists().where(tables.processed.c.model_version == model_version)  # else all rows would be read
    try:
        with engine.begin() as connection:
            row = connection.execute(of_model.where(processed)).first()
    except sa.exc.DBAPIError as error:
        return f"the database does not answer: {error.orig}"
    return None if row is None or row.is_whole else _without_index(row.feature)


def nothing_processed(engine: sa.Engine, model_version: str) -> str | None:
    """A warning that searches find nothing, because the model has processed no video; None if it has."""
    models = sa.select(tables.processed.c.model_version).distinct()
    with engine.begin() as connection:
        others = set(connection.execute(models).scalars())
    if model_version in others:
        return None
    by = f"only by {', '.join(sorted(others)[:5])}" if others else "by none"
    return (
        f"video must be processed by the model {model_version} before a search finds anybody, it is processed {by}; "
        "run serving.worker, serving.streams or serving.track"
    )


def reason_no_account_is_let_in(engine: sa.Engine) -> str | None:
    """Why no token can be looked up; None if it can."""
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE_S}s'")
            connection.execute(sa.select(tables.accounts.c.name).limit(1)).first()
    except sa.exc.DBAPIError as error:
        return f"no account can be let in, because the accounts cannot be read: {error.orig}"
    return None


def _vector(embedding: np.ndarray) -> sa.ColumnElement[HalfVector]:
    return sa.cast(sa.literal(HalfVector(embedding).to_text(), sa.Text), HALFVEC(len(embedding)))


def _without_index(feature: int) -> str:
    index = tables.embedding_index(feature)
    return f"the index {index} must be whole, it is missing or broken; drop it, and rerun serving.track or add a video"
