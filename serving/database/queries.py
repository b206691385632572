"""What searches read: the nearest tracklets, the tracklets that fit a description, and tracklets by number."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import sqlalchemy as sa
from pgvector import HalfVector
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects.postgresql import ARRAY

from domain.attribute_query import AttributeQuery
from domain.cameras import CameraKey
from domain.errors import InputError
from serving.database import tables
from serving.database.attribute_rows import attributes_in, log_likelihood
from serving.database.crops import crop_path
from serving.database.partition_scans import partition_scans, rows_of_scans
from serving.database.partitions import day_of, days_between, existing_partitions
from serving.database.tracklet_filter import ALL_TRACKLETS, TrackletFilter
from serving.database.tracklet_rows import (
    EmbeddedTracklet,
    StoredTracklet,
    embedded_of,
    keys_of,
    matches,
    pick,
    pick_embedded,
    tracklets_of,
    whole,
)

_PATIENCE_S = 2  # for a table that another transaction has locked
_LOOK_UP_EACH = (  # the planner does not know that one partition holds each row, and would rather read all of them
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; "
    "SET LOCAL plan_cache_mode = force_custom_plan"
)
_SEGMENT_OF = sa.select(tables.tracklets.c.segment_id).where(
    tables.tracklets.c.district == sa.bindparam("district"), tables.tracklets.c.id == sa.bindparam("id")
)


def nearest(
    engine: sa.Engine,
    embedding: np.ndarray,
    model_version: str,
    limit: int,
    where: TrackletFilter = ALL_TRACKLETS,
) -> list[EmbeddedTracklet]:
    """Up to `limit` tracklets, nearest first by cosine distance to `embedding`.

    Args:
        engine: of the database; two connections read at the same time.
        embedding: `[feature]`, unit length.
        model_version: of the re-ID model of `embedding`; tracklets without an embedding by it are left out.
        limit: maximum number of tracklets, at least 1.
        where: filter of the tracklets.
    """
    table = tables.tracklet_embeddings
    distance = sa.cast(table.c.embedding, HALFVEC(len(embedding))).cosine_distance(_vector(embedding))
    picked = pick_embedded(distance).where(*where.conditions(table), _is_of(model_version)).limit(limit)
    with engine.begin() as connection:
        scans = partition_scans(connection, limit, where)
    return embedded_of(rows_of_scans(engine, scans, picked), limit)


def nearest_in_cells(
    connection: sa.Connection,
    embedding: np.ndarray,
    model_version: str,
    limit: int,
    cells: Sequence[tuple[CameraKey, float, float]],
    where: TrackletFilter = ALL_TRACKLETS,
) -> list[EmbeddedTracklet]:
    """Up to `limit` tracklets that began in one of `cells`, nearest first; all of them are compared.

    Changes planner settings of the transaction.

    Args:
        connection: to the database.
        embedding: as of `nearest`.
        model_version: as of `nearest`.
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
    table = tables.tracklet_embeddings
    distance = sa.cast(table.c.embedding, HALFVEC(len(embedding))).cosine_distance(_vector(embedding))
    picked = (
        pick_embedded(distance + sa.literal_column("0"))  # the plain distance would be looked up before the cells
        .where(*where.conditions(table))
        .where(_is_of(model_version), table.c.day.in_(set(existing_partitions(connection)) & days))
        .where(
            table.c.district == of_cells.c.district,
            table.c.camera_id == of_cells.c.camera_id,
            table.c.first_seen.between(of_cells.c.since, of_cells.c.until),
        )
        .limit(limit)
    )
    look_up_each(connection)
    return embedded_of(connection.execute(whole(picked)))


def described(
    connection: sa.Connection,
    description: AttributeQuery,
    limit: int,
    where: TrackletFilter = ALL_TRACKLETS,
    *,
    attributes_version: str = "",
) -> list[StoredTracklet]:
    """Up to `limit` tracklets that fit `description` best, likeliest first.

    Changes planner settings of the transaction.

    Args:
        connection: to the database.
        description: attributes of the person.
        limit: maximum number of tracklets, at least 1.
        where: filter of the tracklets.
        attributes_version: of the attribute model by which tracklets are compared. Those that it has not described are
            compared by what another model says of them.

    Raises:
        InputError: if the description has no attribute.
    """
    if not description:
        raise InputError("a search without a photo must ask for at least one attribute, got none")
    places = _best_described(connection, description, limit, where, attributes_version)
    if not places:
        return []
    seen = tables.tracklets
    keys = keys_of(places)
    picked = pick(keys.c.place).where(
        seen.c.district == keys.c.district, seen.c.id == keys.c.tracklet_id, seen.c.day == keys.c.day
    )
    look_up_each(connection)
    return tracklets_of(connection.execute(whole(picked)))


def look_up_each(connection: sa.Connection) -> None:
    """Lets the planner look up each row by its key for the rest of the transaction."""
    connection.exec_driver_sql(_LOOK_UP_EACH)


def tracklets(connection: sa.Connection, ids: Collection[tuple[str, int]]) -> list[StoredTracklet]:
    """The stored tracklets among `ids`, by time; an id is a district and a number in it."""
    table = tables.tracklets
    picked = pick(table.c.first_seen).where(sa.tuple_(table.c.district, table.c.id).in_(list(ids)))
    return tracklets_of(connection.execute(whole(picked)))


def crop_of(connection: sa.Connection, district: str, tracklet_id: int) -> str | None:
    """Path of the crop of a tracklet, see `serving.database.crops`; None if it is not stored."""
    segment_id = connection.execute(_SEGMENT_OF, {"district": district, "id": tracklet_id}).scalar()
    return None if segment_id is None else crop_path(district, segment_id, tracklet_id)


def embedded(connection: sa.Connection, of: Sequence[StoredTracklet], model_version: str) -> list[EmbeddedTracklet]:
    """Those of the tracklets that have an embedding by this model, with it, in the order of `of`.

    Changes planner settings of the transaction.
    """
    if not of:
        return []
    table = tables.tracklet_embeddings
    look_up_each(connection)
    rows = connection.execute(matches(table, of).where(table.c.model_version == model_version))
    by_id = {(row.district, row.tracklet_id): np.asarray(row.embedding, np.float32) for row in rows}
    return [
        EmbeddedTracklet(**{**vars(one), "model_version": model_version, "embedding": by_id[one.district, one.id]})
        for one in of
        if (one.district, one.id) in by_id
    ]


def latest(connection: sa.Connection, district: str, model_version: str, limit: int) -> list[EmbeddedTracklet]:
    """Up to `limit` tracklets of a district with an embedding by this model, the latest first."""
    table = tables.tracklet_embeddings
    picked = pick_embedded(-sa.extract("epoch", table.c.last_seen))
    picked = picked.where(table.c.district == district, table.c.model_version == model_version).limit(limit)
    return embedded_of(connection.execute(whole(picked)))


def attributes(
    connection: sa.Connection, of: Sequence[StoredTracklet], attributes_version: str = ""
) -> list[dict[str, dict[str, float]]]:
    """Group -> label -> probability of each tracklet, as `described` compares it; empty if it was removed meanwhile.

    Changes planner settings of the transaction.
    """
    if not of:
        return []
    table = tables.tracklet_attributes
    look_up_each(connection)
    best_last = (table.c.model_version == attributes_version, table.c.model_version)
    rows = connection.execute(matches(table, of).order_by(*best_last)).all()
    described_as = attributes_in(connection, [row.probabilities for row in rows])
    by_id = {(row.district, row.tracklet_id): each for row, each in zip(rows, described_as, strict=True)}
    return [by_id.get((tracklet.district, tracklet.id), {}) for tracklet in of]


def reason_not_ready(engine: sa.Engine, model_version: str) -> str | None:
    """Why the database cannot be searched with this model; None if it can, also before its first sighting."""
    table = tables.tracklet_embeddings
    has_some = sa.exists().where(table.c.model_version == model_version)
    is_whole = tables.embedding_index_is_whole(model_version)
    try:
        with engine.begin() as connection:
            row = connection.execute(sa.select(has_some.label("has_some"), is_whole.label("is_whole"))).one()
    except sa.exc.DBAPIError as error:
        return f"the database does not answer: {error.orig}"
    return None if row.is_whole or not row.has_some else _without_index(model_version)


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
        "run serving.worker, serving.streams or serving.track, or serving.reembed for what is stored"
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


def _is_of(model_version: str) -> sa.ColumnElement[bool]:
    """Condition of embeddings of one model; a literal, or its index cannot be chosen."""
    version = sa.bindparam("version", model_version, sa.Text, unique=True, literal_execute=True)
    return tables.tracklet_embeddings.c.model_version == version


def _best_described(
    connection: sa.Connection, description: AttributeQuery, limit: int, where: TrackletFilter, attributes_version: str
) -> list[tuple[str, int, date]]:
    """Keys of the tracklets that fit best, likeliest first.

    A tracklet has a row of each model that has described it. If others than `attributes_version` are among the best,
    more are read until enough of them are left which it has not described.
    """
    table = tables.tracklet_attributes
    unlikelihood = -log_likelihood(connection, description)
    best = (
        sa.select(table.c.district, table.c.tracklet_id, table.c.day, table.c.model_version)
        .where(table.c.day.in_(days_between(connection, where.since, where.until)))
        .where(*where.conditions(table))
        .order_by(unlikelihood, table.c.tracklet_id)
    )
    most = limit
    while True:
        rows = connection.execute(best.limit(most)).all()
        of_others = [row[:3] for row in rows if row.model_version != attributes_version]
        own = _described_by(connection, of_others, attributes_version)
        kept = dict.fromkeys(row[:3] for row in rows if row.model_version == attributes_version or row[:3] not in own)
        if len(kept) >= limit or len(rows) < most:
            return list(kept)[:limit]
        most *= 4


def _described_by(
    connection: sa.Connection, keys: Sequence[tuple[str, int, date]], attributes_version: str
) -> set[tuple[str, int, date]]:
    """Those of the tracklets that this model has described."""
    if not keys:
        return set()
    table, asked = tables.tracklet_attributes, keys_of(keys)
    columns = [table.c[name] for name in ("district", "tracklet_id", "day")]
    same = sa.and_(*(column == asked.c[column.name] for column in columns))
    query = sa.select(*columns).join_from(asked, table, same).where(table.c.model_version == attributes_version)
    return {tuple(row) for row in connection.execute(query)}


def _without_index(model_version: str) -> str:
    index = tables.embedding_index(model_version)
    return f"the index {index} must be whole, it is missing or broken; drop it, and rerun serving.track or add a video"
