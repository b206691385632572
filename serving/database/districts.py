"""Districts and their cameras."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from domain.cameras import Camera, CameraKey
from serving.database import tables
from serving.database.tracklet_rows import camera_of


@dataclass(frozen=True)
class StoredDistrict:
    """A district with its cameras, by id."""

    name: str
    time_zone: str  # IANA, such as Asia/Seoul
    cameras: list[Camera]


def stored_districts(connection: sa.Connection, among: Collection[str] | None = None) -> list[StoredDistrict]:
    """Districts that have cameras, by name, or those `among` some; without retired cameras without video or a gap."""
    table, cameras = tables.districts, tables.cameras
    of_district = table.c.name == cameras.c.district
    video, gap = (
        sa.exists().where(times.c.district == cameras.c.district, times.c.camera_id == cameras.c.id)
        for times in (tables.segments, tables.gaps)
    )
    query = sa.select(table.c.time_zone, cameras).join(cameras, of_district).order_by(cameras.c.district, cameras.c.id)
    query = query.where(cameras.c.retired.is_(None) | video | gap)
    rows = connection.execute(query if among is None else query.where(table.c.name.in_(among))).mappings().all()
    return [
        StoredDistrict(name, time_zone, [camera_of(row) for row in group])
        for (name, time_zone), group in groupby(rows, lambda row: (row["district"], row["time_zone"]))
    ]


def cameras_by_key(connection: sa.Connection, among: Collection[str] | None = None) -> dict[CameraKey, Camera]:
    """The cameras of `stored_districts`."""
    districts = stored_districts(connection, among)
    return {(district.name, camera.id): camera for district in districts for camera in district.cameras}


def camera_ids(connection: sa.Connection, district: str, *, in_service: bool = False) -> set[str]:
    """Ids of the cameras of `district`, or of those that are not retired; none if it is not stored."""
    table = tables.cameras
    query = sa.select(table.c.id).where(table.c.district == district)
    return set(connection.execute(query.where(table.c.retired.is_(None)) if in_service else query).scalars())


def add_cameras(connection: sa.Connection, district: str, cameras: Sequence[Camera], *, time_zone: str) -> None:
    """Adds a district and cameras, or updates their descriptions; sightings and other cameras stay.

    Args:
        connection: to the database.
        district: name of the district.
        cameras: new cameras, and known cameras with new descriptions.
        time_zone: time zone of the district, by its IANA name.
    """
    place = insert(tables.districts).values(name=district, time_zone=time_zone)
    connection.execute(place.on_conflict_do_update(index_elements=["name"], set_={"time_zone": time_zone}))
    for camera in cameras:
        description = camera.model_dump()
        row = insert(tables.cameras).values(district=district, **description)
        connection.execute(row.on_conflict_do_update(index_elements=["district", "id"], set_=description))
