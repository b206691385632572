"""Cameras as administrators keep them: added, renamed, moved and retired, each change with a record in the audit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import available_timezones

import sqlalchemy as sa
from pydantic import ValidationError

from domain.cameras import Camera, CameraKey
from domain.errors import InputError, shown
from domain.texts import AtMost
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.districts import add_cameras
from serving.database.segments import close_gap

_CAMERAS = tables.cameras
_USUAL = {"fps": 25.0, "width_px": 1920, "height_px": 1080}  # of a live camera; nothing here depends on them


class _Described(Camera):
    name: Annotated[str, AtMost(200)]


@dataclass(frozen=True)
class InService:
    """When a camera is in service; outside of it no video of it is missing."""

    begun: datetime | None  # None: unknown
    retired: datetime | None  # None: it is in service


@dataclass(frozen=True)
class CameraState:
    """A camera for administrators."""

    district: str
    camera: Camera
    service: InService
    last_processed: datetime | None  # end of the last video of it that was processed
    gap: str | None  # why its stream is away now


def camera_of(camera_id: str, name: str, latitude: str, longitude: str) -> Camera:
    """The live camera that an administrator describes; without a name its id is one.

    Raises:
        InputError: if an entry is invalid.
    """
    described = {"id": camera_id, "name": name or camera_id, "latitude": latitude, "longitude": longitude}
    try:
        return _Described.model_validate(described | _USUAL)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['loc'][0]} {first['msg']}, got {shown(first['input'])}") from error


def add_camera(
    connection: sa.Connection, district: str, camera: Camera, time_zone: str, begun: datetime, by: str
) -> None:
    """Adds `camera`, or brings it back with a new description if it is retired.

    Raises:
        InputError: if it is in service, or the district has another time zone.
    """
    known = _known(connection, district, camera.id)
    if known is not None and known.retired is None:
        raise InputError(
            f"a new camera must have an id of its own, {district} has {camera.id}; rename or move it instead"
        )
    zone = zone_of(connection, district)
    if zone not in (None, time_zone):
        raise InputError(f"the time zone of {district} must stay {zone}, got {time_zone}")
    add_cameras(connection, district, [camera], time_zone=time_zone)
    _update(connection, district, camera.id, begun=begun if known is None else known.begun, retired=None)
    place = {"name": camera.name, "latitude": camera.latitude, "longitude": camera.longitude}
    _record(connection, by, "add", district, camera.id, place)


def describe_camera(connection: sa.Connection, district: str, camera_id: str, by: str, **changed: Any) -> None:
    """Changes `name`, `latitude` or `longitude`, also of past sightings; the audit keeps what they were.

    Raises:
        InputError: if the camera is not stored.
    """
    known = _require(connection, district, camera_id)
    _update(connection, district, camera_id, **changed)
    before = {name: known._mapping[name] for name in changed}
    _record(connection, by, "change", district, camera_id, {"from": before, "to": changed})


def retire_camera(connection: sa.Connection, district: str, camera_id: str, at: datetime, by: str) -> None:
    """Takes a camera out of service; its sightings stay until the retention removes them.

    Raises:
        InputError: if the camera is not stored, or retired already.
    """
    known = _require(connection, district, camera_id)
    if known.retired is not None:
        raise InputError(
            f"{camera_id} of {district} must be in service, it was retired {known.retired:%Y-%m-%d %H:%M} UTC"
        )
    _update(connection, district, camera_id, retired=at)
    close_gap(connection, district, camera_id, at)
    _record(connection, by, "retire", district, camera_id, {"at": at.isoformat()})


def zone_for(connection: sa.Connection, district: str, given: str) -> str:
    """The time zone `given` for a district, else that which it has.

    Raises:
        InputError: if it is none.
    """
    zone = given or zone_of(connection, district)
    if zone not in available_timezones():
        raise InputError(
            f"the time zone of the new district {district} must be an IANA name, such as Asia/Seoul, got {zone}"
        )
    return str(zone)


def zone_of(connection: sa.Connection, district: str) -> str | None:
    """Time zone of a stored district; None if it is new."""
    table = tables.districts
    return connection.execute(sa.select(table.c.time_zone).where(table.c.name == district)).scalar()


def in_service(connection: sa.Connection) -> dict[CameraKey, InService]:
    """When each camera is in service."""
    columns = (_CAMERAS.c.district, _CAMERAS.c.id, _CAMERAS.c.begun, _CAMERAS.c.retired)
    rows = connection.execute(sa.select(*columns))
    return {(row.district, row.id): InService(row.begun, row.retired) for row in rows}


def cameras_away(connection: sa.Connection) -> dict[CameraKey, datetime]:
    """Cameras whose streams are away now, and since when."""
    gaps = tables.gaps.c
    rows = connection.execute(sa.select(gaps.district, gaps.camera_id, gaps.since).where(gaps.until.is_(None)))
    return {(row.district, row.camera_id): row.since for row in rows}


def camera_states(connection: sa.Connection, district: str | None = None) -> list[CameraState]:
    """All cameras, of `district` or of all, by district and id, also retired ones."""
    rows = connection.execute(_STATES, {"district": district}).mappings()
    return [
        CameraState(
            row["district"],
            Camera.model_validate({name: row[name] for name in Camera.model_fields}),
            InService(row["begun"], row["retired"]),
            row["last_processed"],
            row["gap"],
        )
        for row in rows
    ]


def _known(connection: sa.Connection, district: str, camera_id: str) -> sa.Row[Any] | None:
    is_it = (_CAMERAS.c.district == district) & (_CAMERAS.c.id == camera_id)
    return connection.execute(sa.select(_CAMERAS).where(is_it).with_for_update()).first()


def _require(connection: sa.Connection, district: str, camera_id: str) -> sa.Row[Any]:
    if (known := _known(connection, district, camera_id)) is None:
        raise InputError(
            f"the camera must be stored, {district} has no {camera_id}; python -m serving.cameras list names them"
        )
    return known


def _update(connection: sa.Connection, district: str, camera_id: str, **values: Any) -> None:
    is_it = (_CAMERAS.c.district == district) & (_CAMERAS.c.id == camera_id)
    connection.execute(sa.update(_CAMERAS).where(is_it).values(**values))


def _record(
    connection: sa.Connection, by: str, change: str, district: str, camera_id: str, details: Mapping[str, Any]
) -> None:
    described = {"camera": f"{district}/{camera_id}", "change": change, **details}
    audit.append(connection, by, Action.CAMERA, described)


def now() -> datetime:
    """This moment, in UTC and whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


_STATES = sa.text(
    """
    SELECT cameras.*, seen.last_processed, gaps.reason AS gap
    FROM cameras
    LEFT JOIN (
        SELECT district, camera_id, max(upper(times)) AS last_processed FROM processed GROUP BY district, camera_id
    ) AS seen ON (seen.district, seen.camera_id) = (cameras.district, cameras.id)
    LEFT JOIN gaps ON (gaps.district, gaps.camera_id) = (cameras.district, cameras.id) AND gaps.until IS NULL
    WHERE CAST(:district AS text) IS NULL OR cameras.district = :district
    ORDER BY cameras.district, cameras.id
    """
)
