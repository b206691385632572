"""Conversion of tracklets to rows of the database, and of rows to the tracklets that search reads."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
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
_COLUMNS = ("camera_id", "first_seen", "last_seen", "segment_id", "model_version")


@dataclass(frozen=True)
class StoredTracklet:
    """A tracklet as search reads it, without its attributes, because most candidates are never shown."""

    district: str
    id: int  # unique in its district
    camera: Camera
    first_seen: datetime
    last_seen: datetime
    crop: str  # path below the store's folder
    model_version: str  # `ModelCard.version` of the re-ID engine that made it, or its embedding if it has one
    deployment_version: str | None  # `version_of_deployment` of all models that made it; None if unknown


@dataclass(frozen=True)
class EmbeddedTracklet(StoredTracklet):
    """A tracklet with its embedding by one model."""

    embedding: np.ndarray  # float32 [feature], unit length up to half precision


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
        "model_version": model_version,
        "crop": crop_path(segment.district, segment.id, tracklet.id),
        "num_crops": 1 + len(tracklet.more_crops),
        "full_frame": tracklet.full_frame.number if tracklet.full_frame is not None else None,
    }


def embedding_row(row: Mapping[str, Any], embedding: np.ndarray, model_version: str) -> dict[str, Any]:
    """Row of `tracklet_embeddings` for a row of `tracklets`."""
    copied = {name: row[name] for name in ("district", "day", "segment_id", "camera_id", "first_seen", "last_seen")}
    embedded = {"model_version": model_version, "embedding": np.asarray(embedding, np.float32)}
    return {**copied, "tracklet_id": row["id"], **embedded}


def pick(place: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Selects tracklets in the order of `place`; add conditions and a limit, and read the result through `whole`."""
    table = tables.tracklets
    columns = [table.c[name] for name in ("district", "id", *_COLUMNS)]
    return sa.select(*columns, place.label("place")).order_by(place)


def pick_embedded(place: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """As `pick`, with embeddings; add the condition of one model."""
    table = tables.tracklet_embeddings
    columns = [table.c[name] for name in ("district", *_COLUMNS, "embedding")]
    return sa.select(table.c.tracklet_id.label("id"), *columns, place.label("place")).order_by(place)


def whole(picked: sa.Select[Any]) -> sa.Select[Any]:
    """Selects the rows for `tracklets_of`: the picked tracklets with their cameras and segments, in any order.

    Embeddings are encoded here, because in `pick_embedded` PostgreSQL would encode those of all rows that it sorts, not
    only of the rows in the limit.
    """
    rows, cameras, segments = picked.subquery("picked"), tables.cameras, tables.segments
    columns = [rows.c[name] for name in ("district", "id", *_COLUMNS, "place")]
    columns += [cameras.c[name].label(_CAMERA_PREFIX + name) for name in Camera.model_fields]
    if "embedding" in rows.c:  # read far faster than its text
        columns.append(sa.func.halfvec_send(rows.c.embedding, type_=sa.LargeBinary).label("halves"))
    at_camera = sa.and_(rows.c.district == cameras.c.district, rows.c.camera_id == cameras.c.id)
    query = sa.select(*columns, segments.c.deployment_version)
    return query.join_from(rows, cameras, at_camera).join(segments, rows.c.segment_id == segments.c.id)


def tracklets_of(rows: Iterable[sa.Row[Any]]) -> list[StoredTracklet]:
    """Tracklets of the rows of `whole`, by place, then by id."""
    return [StoredTracklet(**known) for _, known in _known(rows)]


def embedded_of(rows: Iterable[sa.Row[Any]], limit: int | None = None) -> list[EmbeddedTracklet]:
    """As `tracklets_of`, of rows with embeddings, the first `limit` of them."""
    known = list(islice(_known(rows), limit))
    if not known:
        return []
    sent = np.frombuffer(b"".join(row.halves for row, _ in known), np.uint8).reshape(len(known), -1)
    embeddings = sent[:, _HALVES_HEADER_BYTES:].copy().view(">f2").astype(np.float32)
    return [EmbeddedTracklet(**each, embedding=one) for (_, each), one in zip(known, embeddings, strict=True)]


def matches(table: sa.Table, tracklets: Sequence[StoredTracklet]) -> sa.Select[Any]:
    """Selects the rows of `table`, which refers to tracklets, that belong to `tracklets`.

    A partition is read for its own only.
    """
    keys = keys_of([(tracklet.district, tracklet.id, day_of(tracklet.last_seen)) for tracklet in tracklets])
    same = [table.c[name] == keys.c[name] for name in ("district", "tracklet_id", "day")]
    return sa.select(table).join_from(keys, table, sa.and_(*same))


def keys_of(keys: Sequence[tuple[str, int, date]]) -> sa.TableValuedAlias:
    """A table of these districts, tracklets and days, with their `place` in the list."""
    districts, ids, days = zip(*keys, strict=True)
    return (
        sa.func.unnest(
            sa.literal(list(districts), ARRAY(sa.Text)),
            sa.literal(list(ids), ARRAY(sa.BigInteger)),
            sa.literal(list(days), ARRAY(sa.Date)),
        )
        .table_valued("district", "tracklet_id", "day", with_ordinality="place", name="keys")
        .render_derived()
    )


def _known(rows: Iterable[sa.Row[Any]]) -> Iterator[tuple[sa.Row[Any], dict[str, Any]]]:
    """Each row with the fields of its `StoredTracklet`, in order."""
    cameras: dict[tuple[str, str], Camera] = {}
    for row in sorted(rows, key=attrgetter("place", "id")):
        if (row.district, row.camera_id) not in cameras:
            cameras[row.district, row.camera_id] = camera_of(row._mapping, _CAMERA_PREFIX)
        yield (
            row,
            {
                "district": row.district,
                "id": row.id,
                "camera": cameras[row.district, row.camera_id],
                "first_seen": row.first_seen.astimezone(UTC),
                "last_seen": row.last_seen.astimezone(UTC),
                "crop": crop_path(row.district, row.segment_id, row.id),
                "model_version": row.model_version,
                "deployment_version": row.deployment_version,
            },
        )


def camera_of(row: sa.RowMapping, prefix: str = "") -> Camera:
    """The camera of a row of `cameras`, or of a row that has the columns of `cameras` with a prefix."""
    return Camera.model_validate({name: row[prefix + name] for name in Camera.model_fields})
