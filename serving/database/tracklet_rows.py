"""Conversion of tracklets to rows of the database, and of rows to the tracklets that search reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from domain.cameras import Camera
from domain.tracklets import Tracklet
from serving.database import tables
from serving.database.crops import crop_path
from serving.database.partitions import day_of
from serving.database.segments import RegisteredSegment

_HALVES_HEADER_BYTES = 4  # before the big-endian numbers of a halfvec's binary form
_CAMERA_PREFIX = "at_"
_COLUMNS = ("district", "id", "camera_id", "first_seen", "last_seen", "quality", "crop", "model_version", "segment_id")


@dataclass(frozen=True)
class StoredTracklet:
    """A tracklet as search reads it, without its attributes, because most candidates are never shown."""

    district: str
    id: int  # unique in its district
    camera: Camera
    first_seen: datetime
    last_seen: datetime
    quality: float
    embedding: np.ndarray  # float32 [feature], unit length up to half precision
    crop: str  # path below the store's folder
    model_version: str  # `ModelCard.version` of the re-ID engine
    deployment_version: str | None = None  # `version_of_deployment` of all models that made it; None if unknown


def row_of(tracklet: Tracklet, segment: RegisteredSegment, model_version: str) -> dict[str, Any]:
    """Row of `tracklets` for a tracklet of `segment`."""
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
        "full_frame": tracklet.full_frame.number if tracklet.full_frame is not None else None,
    }


def pick(place: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Selects tracklets in the order of `place`; add conditions and a limit, and read the result through `whole`."""
    table = tables.tracklets
    columns = [table.c[name] for name in (*_COLUMNS, "embedding")]
    return sa.select(*columns, place.label("place")).order_by(place)


def whole(picked: sa.Select[Any]) -> sa.Select[Any]:
    """Selects the rows for `tracklets_of`: the picked tracklets with their cameras and segments, in any order.

    Embeddings are encoded here, because in `pick` PostgreSQL would encode those of all rows that it sorts, not only of
    the rows in the limit.
    """
    rows, cameras, segments = picked.subquery("picked"), tables.cameras, tables.segments
    binary = sa.func.halfvec_send(rows.c.embedding, type_=sa.LargeBinary)  # read far faster than its text
    plain = [rows.c[name] for name in (*_COLUMNS, "place")]
    camera = [cameras.c[name].label(_CAMERA_PREFIX + name) for name in Camera.model_fields]
    at_camera = sa.and_(rows.c.district == cameras.c.district, rows.c.camera_id == cameras.c.id)
    columns = [*plain, segments.c.deployment_version, binary.label("halves"), *camera]
    return sa.select(*columns).join_from(rows, cameras, at_camera).join(segments, rows.c.segment_id == segments.c.id)


def tracklets_of(rows: Iterable[sa.Row[Any]], limit: int | None = None) -> list[StoredTracklet]:
    """Tracklets of the first `limit` rows of `whole`, by place, then by id."""
    cameras: dict[tuple[str, str], Camera] = {}
    tracklets = []
    for row in sorted(rows, key=attrgetter("place", "id"))[:limit]:
        if (row.district, row.camera_id) not in cameras:
            cameras[row.district, row.camera_id] = camera_of(row._mapping, _CAMERA_PREFIX)
        tracklets.append(_stored(row, cameras[row.district, row.camera_id]))
    return tracklets


def attributes_of(tracklets: Sequence[StoredTracklet]) -> sa.Select[Any]:
    """Selects district, id and attributes of `tracklets`, in any order; each partition is read for its own only."""
    table = tables.tracklets
    keys = (
        sa.func.unnest(
            sa.literal([tracklet.district for tracklet in tracklets], ARRAY(sa.Text)),
            sa.literal([tracklet.id for tracklet in tracklets], ARRAY(sa.BigInteger)),
            sa.literal([day_of(tracklet.last_seen) for tracklet in tracklets], ARRAY(sa.Date)),
        )
        .table_valued("district", "id", "day")
        .render_derived()
    )
    matches = sa.and_(*(table.c[name] == keys.c[name] for name in ("district", "id", "day")))
    return sa.select(table.c.district, table.c.id, table.c.attributes).join_from(keys, table, matches)


def _stored(row: sa.Row[Any], camera: Camera) -> StoredTracklet:
    return StoredTracklet(
        district=row.district,
        id=row.id,
        camera=camera,
        first_seen=row.first_seen.astimezone(UTC),
        last_seen=row.last_seen.astimezone(UTC),
        quality=row.quality,
        embedding=np.frombuffer(row.halves, ">f2", offset=_HALVES_HEADER_BYTES).astype(np.float32),
        crop=row.crop,
        model_version=row.model_version,
        deployment_version=row.deployment_version,
    )


def camera_of(row: sa.RowMapping, prefix: str = "") -> Camera:
    """The camera of a row of `cameras`, or of a row that has the columns of `cameras` with a prefix."""
    return Camera.model_validate({name: row[prefix + name] for name in Camera.model_fields})
