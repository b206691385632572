"""Tracklets as rows of the database, and rows as the tracklets that search reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from domain.cameras import Camera
from serving.database import tables
from serving.database.crops import crop_path
from serving.database.partitions import day_of
from serving.database.segments import RegisteredSegment
from serving.database.wanted import LEAST_PROBABILITY, SURE_PROBABILITY, Wanted
from serving.tracking.tracklet import Tracklet

_HALVES_HEADER_BYTES = 4  # before the big-endian numbers of a halfvec's binary form
_COLUMNS = ("district", "id", "camera_id", "first_seen", "last_seen", "quality", "attributes", "crop", "model_version")


@dataclass(frozen=True)
class StoredTracklet:
    """A tracklet as the store returns it to search."""

    district: str
    id: int  # unique in its district
    camera: Camera
    first_seen: datetime
    last_seen: datetime
    quality: float
    embedding: np.ndarray  # float32 [feature], unit length up to half precision
    attributes: dict[str, dict[str, float]]  # group -> label -> probability
    crop: str  # path below the store's folder
    model_version: str  # see `version_of_model`


def row_of(tracklet: Tracklet, segment: RegisteredSegment, model_version: str) -> dict[str, Any]:
    """`tracklet`, which was seen in `segment`, as a row of the table."""
    boxes = np.column_stack([tracklet.frames, tracklet.boxes_xyxy, tracklet.scores]).astype(np.float64)
    return {
        "district": segment.district,
        "id": tracklet.id,
        "day": day_of(tracklet.last_seen),
        "segment_id": segment.id,
        "camera_id": tracklet.camera_id,
        "first_seen": tracklet.first_seen,
        "last_seen": tracklet.last_seen,
        "boxes": boxes.round(3).tolist(),
        "quality": float(tracklet.quality),
        "feature": len(tracklet.embedding),
        "embedding": np.asarray(tracklet.embedding, np.float32),
        "attributes": {
            group: {label: round(float(probability), 6) for label, probability in labels.items()}
            for group, labels in tracklet.attributes.items()
        },
        "model_version": model_version,
        "crop": crop_path(segment.district, segment.id, tracklet.id),
    }


def filters(
    cameras: Sequence[str] | None, since: datetime | None, until: datetime | None, model_version: str | None
) -> list[sa.ColumnElement[bool]]:
    """Conditions of a search, as `serving.database.store.Store.nearest` has them; None asks for nothing."""
    table = tables.tracklets
    return [
        *([table.c.camera_id.in_(cameras)] if cameras is not None else []),
        *([table.c.last_seen >= since] if since is not None else []),
        *([table.c.first_seen <= until] if until is not None else []),
        *([table.c.model_version == model_version] if model_version is not None else []),
    ]


def select_tracklets() -> sa.Select[Any]:
    """What `read` needs of each; add filters and an order."""
    table = tables.tracklets
    binary = sa.func.halfvec_send(table.c.embedding, type_=sa.LargeBinary)  # read far faster than its text
    return sa.select(*(table.c[name] for name in _COLUMNS), binary.label("halves"))


def read_keys(connection: sa.Connection, keys: Sequence[sa.Row[Any]]) -> list[StoredTracklet]:
    """The tracklets of rows that have their primary keys, as long as they are there, in the same order."""
    table = tables.tracklets
    names = [column.name for column in table.primary_key]
    arrays = [
        sa.cast(sa.bindparam(f"keys_{name}", [key._mapping[name] for key in keys]), ARRAY(table.c[name].type))
        for name in names
    ]
    wanted = sa.func.unnest(*arrays).table_valued(*names, with_ordinality="place", name="wanted").render_derived()
    query = select_tracklets().join(wanted, sa.and_(*(table.c[name] == wanted.c[name] for name in names)))
    return read(connection, query.order_by(wanted.c.place))


def fit(group: str, wanted: Wanted) -> sa.ColumnElement[float]:
    """How well a row fits what is wanted of the attribute `group`, 0..1: as `serving.searching.description` has it."""
    probabilities = {
        label: sa.func.coalesce(sa.cast(tables.tracklets.c.attributes[group][label].astext, sa.Float), 0.0)
        for label in wanted.labels
    }
    allowed = [probabilities[label] for label in wanted.allowed]
    likely: sa.ColumnElement[float] = sum(allowed[1:], start=allowed[0])
    if wanted.or_unknown:
        unsure = sa.func.greatest(*probabilities.values()) < SURE_PROBABILITY
        likely = sa.case((unsure, sa.func.greatest(likely, wanted.chance)), else_=likely)
    return sa.func.least(sa.func.greatest(likely, LEAST_PROBABILITY), 1.0)


def read(connection: sa.Connection, query: sa.Select[Any]) -> list[StoredTracklet]:
    """What a query of `select_tracklets` finds, in its order."""
    rows = connection.execute(query).all()
    places = tables.cameras
    seen_at = list({(row.district, row.camera_id) for row in rows})
    at_place = sa.tuple_(places.c.district, places.c.id).in_(seen_at)
    stored = connection.execute(sa.select(places).where(at_place)).mappings().all() if seen_at else []
    cameras = {(row["district"], row["id"]): camera_of(row) for row in stored}
    return [  # a camera is missing only if its sightings were replaced between the two questions
        _stored(row, cameras[row.district, row.camera_id]) for row in rows if (row.district, row.camera_id) in cameras
    ]


def _stored(row: sa.Row[Any], camera: Camera) -> StoredTracklet:
    return StoredTracklet(
        district=row.district,
        id=row.id,
        camera=camera,
        first_seen=row.first_seen.astimezone(UTC),
        last_seen=row.last_seen.astimezone(UTC),
        quality=row.quality,
        embedding=np.frombuffer(row.halves, ">f2", offset=_HALVES_HEADER_BYTES).astype(np.float32),
        attributes=row.attributes,
        crop=row.crop,
        model_version=row.model_version,
    )


def camera_of(row: sa.RowMapping) -> Camera:
    """A row of the table `cameras`."""
    return Camera.model_validate({name: row[name] for name in Camera.model_fields})
