"""Roll-out of a re-ID model: with which model searches compare, and which video has embeddings by which.

A service that carries two models searches with the one before until all stored sightings have embeddings by the new
one; then it switches, once. From then on a person decides, with `serving.rollout`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from domain.cameras import CameraKey
from serving.database import tables
from serving.database.audit import Action, append

_LONGEST = timedelta(hours=1)  # that a sighting began before the time in which it is searched
COMPLETE = "all stored sightings have an embedding"


@dataclass(frozen=True)
class InUse:
    """The re-ID model with which searches compare."""

    model_version: str
    at: datetime
    account: str
    reason: str


def in_use(connection: sa.Connection) -> InUse | None:
    """The model that was chosen last; None before the first roll-out."""
    table = tables.models_in_use
    row = connection.execute(sa.select(table).order_by(table.c.id.desc()).limit(1)).mappings().first()
    return InUse(**{name: row[name] for name in InUse.__dataclass_fields__}) if row is not None else None


def use(connection: sa.Connection, model_version: str, account: str, reason: str) -> None:
    """Let searches compare with this model from now on; the audit records it."""
    chosen = {"model_version": model_version, "reason": reason}
    connection.execute(sa.insert(tables.models_in_use), {**chosen, "account": account})
    append(connection, account, Action.MODEL, chosen)


def switch_if_complete(connection: sa.Connection, model_version: str, account: str) -> bool:
    """Let searches compare with a model that has never been in use, if all video that is done has embeddings by it."""
    table, segments, models = tables.models_in_use, tables.segments, tables.segment_models
    connection.execute(sa.text("LOCK TABLE models_in_use IN SHARE ROW EXCLUSIVE MODE"))  # processes switch once
    if connection.execute(sa.select(sa.exists().where(table.c.model_version == model_version))).scalar_one():
        return False
    has = sa.exists().where(models.c.segment_id == segments.c.id, models.c.model_version == model_version)
    lacks = sa.select(segments.c.id).where(segments.c.state == "done", ~has).limit(1)
    if connection.execute(lacks).first() is not None:
        return False
    use(connection, model_version, account, COMPLETE)
    return True


def other_models(connection: sa.Connection, district: str, model_version: str) -> list[str]:
    """Other re-ID models by which sightings of the district have embeddings; none before the first roll-out."""
    if in_use(connection) is None:
        return []
    table = tables.tracklet_embeddings
    of_district = sa.select(table.c.model_version).distinct().where(table.c.district == district)
    others = of_district.where(table.c.model_version != model_version).order_by(table.c.model_version)
    return list(connection.execute(others).scalars())


def only_by(
    connection: sa.Connection,
    model_version: str,
    instead_of: str,
    since: datetime | None,
    until: datetime | None,
) -> list[tuple[CameraKey, float, float]]:
    """Times, POSIX, of each camera in which sightings begin that have embeddings by the first model alone.

    Among them are the times of live video whose segment has not ended.
    """
    begin = since - _LONGEST if since is not None else None
    rows = connection.execute(_ONLY_BY, {"model": model_version, "other": instead_of, "since": begin, "until": until})
    return [((row.district, row.camera_id), row.since.timestamp(), row.until.timestamp()) for row in rows]


_ONLY_BY = sa.text(
    """
    WITH by_model AS (
        SELECT district, camera_id, model_version, range_agg(part) AS times FROM processed, unnest(times) AS part
        WHERE model_version IN (:model, :other) GROUP BY 1, 2, 3
    )
    SELECT one.district, one.camera_id, lower(part) AS since, upper(part) AS until
    FROM by_model AS one
    LEFT JOIN by_model AS other ON (other.district, other.camera_id, other.model_version)
        = (one.district, one.camera_id, CAST(:other AS text))
    CROSS JOIN LATERAL unnest(
        one.times * tstzmultirange(tstzrange(:since, :until)) - coalesce(other.times, tstzmultirange())
    ) AS part
    WHERE one.model_version = CAST(:model AS text)
    UNION ALL SELECT district, camera_id, start, coalesce("end", now()) FROM segments
    WHERE state = 'waiting' AND EXISTS (SELECT FROM tracklets WHERE segment_id = segments.id)
    ORDER BY 1, 2, 3
    """
)
