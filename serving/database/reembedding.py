"""Embeddings and attributes that stored sightings get from models which came after them.

A sighting keeps those of earlier models, so that searches by them go on. Nothing else of it changes.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from domain.errors import InputError
from serving.database import tables
from serving.database.attribute_rows import Attributes, attribute_rows
from serving.database.locks import lock_writers, try_lock_models
from serving.database.queries import look_up_each
from serving.database.tracklet_rows import embedding_row
from serving.database.watches import announce_sightings

_STILL_NEW = timedelta(hours=1)  # since a sighting was seen, in which watches are told of it
_COPIED = ("district", "id", "day", "segment_id", "camera_id", "first_seen", "last_seen", "crop", "num_crops")


@dataclass(frozen=True)
class Models:
    """Versions of the models from which all sightings are to have an embedding and attributes."""

    reid: str
    attributes: str  # empty without an attribute model

    @property
    def by_task(self) -> dict[str, str]:
        """Version of the model of each task, as `segment_models` names it."""
        return {task: version for task, version in vars(self).items() if version}


@dataclass(frozen=True)
class Lacking:
    """A stored sighting that lacks an embedding or attributes by the models."""

    row: dict[str, Any]  # of `tracklets`
    needs_embedding: bool
    needs_attributes: bool

    @property
    def key(self) -> tuple[str, int]:
        """District and tracklet id."""
        return self.row["district"], self.row["id"]


@dataclass(frozen=True)
class Learnt:
    """What the models say of a sighting, of that which it lacks."""

    of: Lacking
    embedding: np.ndarray  # float32 [feature], unit length; empty if it has one
    attributes: Attributes  # empty if it has some


@contextmanager
def hold_models(engine: sa.Engine, models: Models) -> Iterator[None]:
    """Lets no other process give sightings what these models say, in this context.

    Raises:
        InputError: if another process does so.
    """
    with engine.begin() as guard:
        if not try_lock_models(guard, "\n".join(models.by_task.values())):
            raise InputError(
                f"sightings must get embeddings by {models.reid} from one process at a time, another does so; wait for "
                "it, or end it"
            )
        yield


def pending_segments(connection: sa.Connection, models: Models, most: int) -> list[int]:
    """Up to `most` segments whose sightings may lack something by the models, the latest first."""
    segments, done = tables.segments, tables.segment_models
    is_done = [
        sa.exists().where(done.c.segment_id == segments.c.id, done.c.model_version == version)
        for version in models.by_task.values()
    ]
    pending = sa.select(segments.c.id).where(segments.c.state != "waiting", sa.not_(sa.and_(*is_done)))
    latest = pending.order_by(segments.c.start.desc(), segments.c.id).limit(most)
    return list(connection.execute(latest).scalars())


def lacking(connection: sa.Connection, segment_ids: Sequence[int], models: Models) -> list[Lacking]:
    """The sightings of the segments that lack something by the models, by time. Changes planner settings."""
    seen, embedded, described = tables.tracklets, tables.tracklet_embeddings, tables.tracklet_attributes
    query = (
        sa.select(
            *(seen.c[name] for name in _COPIED),
            embedded.c.tracklet_id.is_(None).label("needs_embedding"),
            described.c.tracklet_id.is_(None).label("is_undescribed"),
        )
        .join_from(seen, embedded, _is_of(embedded, models.reid), isouter=True)
        .join(described, _is_of(described, models.attributes), isouter=True)
        .where(seen.c.segment_id.in_(segment_ids))
        .order_by(seen.c.first_seen, seen.c.id)
    )
    look_up_each(connection)
    rows = connection.execute(query).mappings()
    found = [
        Lacking(
            {name: row[name] for name in _COPIED},
            row["needs_embedding"],
            bool(models.attributes) and row["is_undescribed"],
        )
        for row in rows
    ]
    return [one for one in found if one.needs_embedding or one.needs_attributes]


def add(connection: sa.Connection, learnt: Sequence[Learnt], models: Models) -> None:
    """Stores what the models say of sightings, unless they were removed meanwhile. Idempotent.

    Sightings of the last hour are announced, so that watches by this re-ID model look at them: they had no embedding by
    it before.
    """
    lock_writers(connection)
    stored = _stored(connection, {one.of.key for one in learnt})
    kept = [one for one in learnt if one.of.key in stored]
    embedded, described = tables.tracklet_embeddings, tables.tracklet_attributes
    embeddings = [embedding_row(one.of.row, one.embedding, models.reid) for one in kept if one.of.needs_embedding]
    texts = attribute_rows(
        connection, [(one.of.row, one.attributes) for one in kept if one.of.needs_attributes], models.attributes
    )
    if embeddings:
        connection.execute(tables.create_embedding_index(models.reid, len(embeddings[0]["embedding"])))
    for table, rows in ((embedded, embeddings), (described, texts)):
        if rows:
            connection.execute(postgresql.insert(table).on_conflict_do_nothing(), rows)
    since = datetime.now(UTC) - _STILL_NEW
    if recent := [one.of.row for one in kept if one.of.needs_embedding and one.of.row["last_seen"] > since]:
        announce_sightings(connection, recent)


def finish(
    connection: sa.Connection, segment_ids: Sequence[int], models: Models, without: Collection[tuple[str, int]]
) -> None:
    """Records that all sightings of the segments have what the models say, but those of `without`, for want of a crop.

    A segment that has got other sightings meanwhile stays pending.
    """
    lock_writers(connection)
    again = {one.row["segment_id"] for one in lacking(connection, segment_ids, models) if one.key not in without}
    segments, done = tables.segments, tables.segment_models
    is_whole = (segments.c.id.in_(set(segment_ids) - again)) & (segments.c.state != "waiting")
    for task, version in models.by_task.items():
        rows = sa.select(segments.c.id, sa.literal(version), sa.literal(task)).where(is_whole)
        columns = ["segment_id", "model_version", "task"]
        connection.execute(postgresql.insert(done).from_select(columns, rows).on_conflict_do_nothing())


def progress(connection: sa.Connection, models: Models) -> tuple[int, int]:
    """Number of sightings with an embedding by the re-ID model, and of all."""
    embedded, seen = tables.tracklet_embeddings, tables.tracklets
    of_model = sa.select(sa.func.count()).select_from(embedded).where(embedded.c.model_version == models.reid)
    of_all = sa.select(sa.func.count()).select_from(seen)
    return connection.execute(of_model).scalar_one(), connection.execute(of_all).scalar_one()


def _is_of(table: sa.Table, version: str) -> sa.ColumnElement[bool]:
    seen = tables.tracklets
    same = [seen.c.district == table.c.district, seen.c.id == table.c.tracklet_id, seen.c.day == table.c.day]
    return sa.and_(*same, table.c.model_version == version)


def _stored(connection: sa.Connection, keys: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
    seen = tables.tracklets
    query = sa.select(seen.c.district, seen.c.id).where(sa.tuple_(seen.c.district, seen.c.id).in_(list(keys)))
    return {(row.district, row.id) for row in connection.execute(query)}
