"""Tracklets as rows of the database, and rows as the tracklets that search reads."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import sqlalchemy as sa

from domain.cameras import Camera, CameraKey
from serving.database import tables
from serving.database.crops import crop_path
from serving.database.partitions import day_of
from serving.database.segments import RegisteredSegment
from serving.tracking.tracklet import Tracklet

_HALVES_HEADER_BYTES = 4  # before the big-endian numbers of a halfvec's binary form
_CAMERA_PREFIX = "at_"
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
    attributes_json: str
    crop: str  # path below the store's folder
    model_version: str  # see `version_of_model`

    @cached_property
    def attributes(self) -> dict[str, dict[str, float]]:
        """Group -> label -> probability; read when asked for, as of most candidates nobody does."""
        read: dict[str, dict[str, float]] = json.loads(self.attributes_json)
        return read


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
    table: sa.Table,
    cameras: Collection[CameraKey] | None,
    since: datetime | None,
    until: datetime | None,
    model_version: str | None,
) -> list[sa.ColumnElement[bool]]:
    """Conditions of a search, as `serving.database.store.Store.nearest` has them; None asks for nothing.

    `table` is `tracklets` or `tracklet_attributes`.
    """
    return [
        *([at_cameras(cameras, table.c.district, table.c.camera_id)] if cameras is not None else []),
        *([table.c.last_seen >= since] if since is not None else []),
        *([table.c.first_seen <= until] if until is not None else []),
        *([table.c.model_version == model_version] if model_version is not None else []),
    ]


def at_cameras(
    cameras: Collection[CameraKey], district: sa.ColumnElement[str], camera_id: sa.ColumnElement[str]
) -> sa.ColumnElement[bool]:
    """Whether `camera_id` of `district` is among `cameras`; a list of each district's, which PostgreSQL hashes."""
    ids = defaultdict(list)
    for name, camera in cameras:
        ids[name].append(camera)
    return sa.or_(sa.false(), *(sa.and_(district == name, camera_id.in_(those)) for name, those in ids.items()))


def pick(place: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Tracklets in the order of `place`; add conditions and a limit, and read it as `whole`."""
    table = tables.tracklets
    columns = [table.c[name] for name in (*_COLUMNS, "embedding")]
    return sa.select(*columns, place.label("place")).order_by(place)


def whole(picked: sa.Select[Any]) -> sa.Select[Any]:
    """Rows for `tracklets_of`: what is picked with its cameras, in any order.

    Embeddings are encoded here, for PostgreSQL would do so for all rows that it sorts, not only for those in the limit.
    """
    found, places = picked.subquery("found"), tables.cameras
    binary = sa.func.halfvec_send(found.c.embedding, type_=sa.LargeBinary)  # read far faster than its text
    attributes = sa.cast(found.c.attributes, sa.Text).label("attributes")  # decoded only where it is needed
    plain = [found.c[name] for name in (*_COLUMNS, "place") if name != "attributes"]
    camera = [places.c[name].label(_CAMERA_PREFIX + name) for name in Camera.model_fields]
    at_camera = sa.and_(found.c.district == places.c.district, found.c.camera_id == places.c.id)
    return sa.select(*plain, attributes, binary.label("halves"), *camera).join_from(found, places, at_camera)


def tracklets_of(rows: Iterable[sa.Row[Any]], limit: int | None = None) -> list[StoredTracklet]:
    """The first `limit` of rows of `whole`, in the order of their places, then of their numbers."""
    cameras: dict[tuple[str, str], Camera] = {}
    tracklets = []
    for row in sorted(rows, key=lambda row: (row.place, row.id))[:limit]:
        if (row.district, row.camera_id) not in cameras:
            cameras[row.district, row.camera_id] = camera_of(row._mapping, _CAMERA_PREFIX)
        tracklets.append(_stored(row, cameras[row.district, row.camera_id]))
    return tracklets


def _stored(row: sa.Row[Any], camera: Camera) -> StoredTracklet:
    return StoredTracklet(
        district=row.district,
        id=row.id,
        camera=camera,
        first_seen=row.first_seen.astimezone(UTC),
        last_seen=row.last_seen.astimezone(UTC),
        quality=row.quality,
        embedding=np.frombuffer(row.halves, ">f2", offset=_HALVES_HEADER_BYTES).astype(np.float32),
        attributes_json=row.attributes,
        crop=row.crop,
        model_version=row.model_version,
    )


def camera_of(row: sa.RowMapping, prefix: str = "") -> Camera:
    """A row of the table `cameras`, or one with its columns under a prefix."""
    return Camera.model_validate({name: row[prefix + name] for name in Camera.model_fields})
