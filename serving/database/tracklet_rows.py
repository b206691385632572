"""Tracklets as rows of the database, and rows as the tracklets that search reads."""

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
_COLUMNS = ("district", "id", "camera_id", "first_seen", "last_seen", "quality", "crop", "model_version")


@dataclass(frozen=True)
class StoredTracklet:
    """A tracklet as the store returns it to search, without its attributes: most candidates are never shown."""

    district: str
    id: int  # unique in its district
    camera: Camera
    first_seen: datetime
    last_seen: datetime
    quality: float
    embedding: np.ndarray  # float32 [feature], unit length up to half precision
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
    plain = [found.c[name] for name in (*_COLUMNS, "place")]
    camera = [places.c[name].label(_CAMERA_PREFIX + name) for name in Camera.model_fields]
    at_camera = sa.and_(found.c.district == places.c.district, found.c.camera_id == places.c.id)
    return sa.select(*plain, binary.label("halves"), *camera).join_from(found, places, at_camera)


def tracklets_of(rows: Iterable[sa.Row[Any]], limit: int | None = None) -> list[StoredTracklet]:
    """The first `limit` of rows of `whole`, in the order of their places, then of their numbers."""
    cameras: dict[tuple[str, str], Camera] = {}
    tracklets = []
    for row in sorted(rows, key=attrgetter("place", "id"))[:limit]:
        if (row.district, row.camera_id) not in cameras:
            cameras[row.district, row.camera_id] = camera_of(row._mapping, _CAMERA_PREFIX)
        tracklets.append(_stored(row, cameras[row.district, row.camera_id]))
    return tracklets


def attributes_of(tracklets: Sequence[StoredTracklet]) -> sa.Select[Any]:
    """District, number and attributes of `tracklets`, in any order; each partition is asked for its own only."""
    table = tables.tracklets
    wanted = (
        sa.func.unnest(
            sa.literal([one.district for one in tracklets], ARRAY(sa.Text)),
            sa.literal([one.id for one in tracklets], ARRAY(sa.BigInteger)),
            sa.literal([day_of(one.last_seen) for one in tracklets], ARRAY(sa.Date)),
        )
        .table_valued("district", "id", "day")
        .render_derived()
    )
    is_wanted = sa.and_(*(table.c[name] == wanted.c[name] for name in ("district", "id", "day")))
    return sa.select(table.c.district, table.c.id, table.c.attributes).join_from(wanted, table, is_wanted)


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
    )


def camera_of(row: sa.RowMapping, prefix: str = "") -> Camera:
    """A row of the table `cameras`, or one with its columns under a prefix."""
    return Camera.model_validate({name: row[prefix + name] for name in Camera.model_fields})
