"""The full frame of a sighting, and clips of recordings around it."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from domain.cameras import Camera, metres_between
from domain.errors import ArtifactError, InputError
from domain.videos import FileBytes
from serving.database import tables
from serving.database.crops import frame_path
from serving.database.ring import Ring
from serving.database.store import Store
from serving.database.tracklet_rows import camera_of
from serving.footage.clip_order import ClipOrder
from serving.footage.clips import ClipMakers, NoFootageError
from serving.footage.vms_link import FootageSettings

MOST_AROUND_S = 60  # before and after a sighting
_MOST_NEAR = 4  # cameras
MOST_CLIPS = 1 + _MOST_NEAR  # that are made at the same time: the first parts of all that a click shows come at once
_MOST_SIGHTING = timedelta(seconds=120)  # of a longer sighting, the clip shows the beginning
_MOST_SIDE_PX, _MOST_NEAR_SIDE_PX = 1280, 480  # of clips; those of cameras near it are shown small, beside each other
_RECORDING = "recording of that moment"
_NO_CLIP = (
    "the recording of a sighting must lie where it was processed and be readable by the service, or be in the ring of "
    "its live camera (serving.streams.ring), it is not"
)
_NO_LINK = FootageSettings(vms_url=None)
_log = logging.getLogger(__name__)


class NearCamera(BaseModel):
    """A camera near that of a sighting, which has a recording of that moment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    camera_id: str
    distance_m: float


class FootageAnswer(BaseModel):
    """What there is to see of a sighting besides its crop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    district: str
    tracklet_id: int
    camera_id: str
    first_seen: datetime
    last_seen: datetime
    box_xyxy: list[float] | None  # of the person in the full frame, pixels; None: there is no full frame
    has_clip: bool
    why_no_clip: str | None
    is_exact: bool  # False: times of the recording were corrected, so the frame may be beside the person
    near: list[NearCamera]  # nearest first
    vms_url: str | None  # of this moment in the district's own system


@dataclass(frozen=True)
class Window:
    """The part of a camera's recordings that a clip shows."""

    camera_id: str
    since: datetime
    until: datetime


class Footage:
    """Full frames and clips of a store's sightings. Safe to share between threads.

    Args:
        store: returns the open store.
        settings: of links to the district's own system.
    """

    def __init__(self, store: Callable[[], Store], settings: FootageSettings = _NO_LINK) -> None:
        self._store, self._settings = store, settings
        self._makers = ClipMakers(MOST_CLIPS)

    def start(self) -> None:
        """Start the processes that make clips, so that the first clip does not wait for them."""
        self._makers.start()

    def close(self) -> None:
        """End the processes that make clips."""
        self._makers.close()

    def about(self, district: str, tracklet_id: int) -> FootageAnswer:
        """What there is to see of a sighting.

        Raises:
            NoFootageError: if it is not stored.
        """
        with self._store().begin() as connection:
            seen = _sighting(connection, district, tracklet_id)
            near = [
                NearCamera(camera_id=camera.id, distance_m=round(distance_m, 1))
                for camera, distance_m in _nearest(connection, district, seen.camera_id)
                if self._is_recorded(connection, district, camera.id, seen.first_seen)
            ]
            is_here = Path(seen.source).is_file() or Ring(self._store().crops).covers(
                district, seen.camera_id, seen.first_seen
            )
        return FootageAnswer(
            district=district,
            tracklet_id=tracklet_id,
            camera_id=seen.camera_id,
            first_seen=seen.first_seen.astimezone(UTC),
            last_seen=seen.last_seen.astimezone(UTC),
            box_xyxy=next((box for number, *box, _ in seen.boxes if number == seen.full_frame), None),
            has_clip=is_here,
            why_no_clip=None if is_here else _NO_CLIP,
            is_exact=seen.damage is None,
            near=near[:_MOST_NEAR],
            vms_url=self._settings.link(district, seen.camera_id, seen.first_seen),
        )

    def _is_recorded(self, connection: sa.Connection, district: str, camera_id: str, moment: datetime) -> bool:
        files = _files(connection, district, camera_id, moment)
        is_file = any(Path(one.source).is_file() for one in files)
        return is_file or Ring(self._store().crops).covers(district, camera_id, moment)

    def frame(self, district: str, tracklet_id: int) -> bytes:
        """The full frame in which the person is seen best, as JPEG.

        Raises:
            NoFootageError: if the sighting is not stored, or has none.
        """
        store = self._store()
        with store.begin() as connection:
            seen = _sighting(connection, district, tracklet_id)
        if seen.full_frame is not None:
            try:
                return store.crops.read(frame_path(seen.crop))
            except (FileNotFoundError, ArtifactError) as error:
                _log.error("a sighting must have its full frame: %s", error)
        raise NoFootageError(f"a full frame must have been kept, none was of {district}/{tracklet_id}")

    def window(
        self, district: str, tracklet_id: int, before_s: float, after_s: float, camera_id: str | None = None
    ) -> Window:
        """The time from `before_s` before a sighting until `after_s` after it, at its camera or another near it.

        Raises:
            NoFootageError: if the sighting is not stored.
            InputError: if the camera is not of the sighting's district.
        """
        with self._store().begin() as connection:
            seen = _sighting(connection, district, tracklet_id)
            known = {camera.id for camera, _ in _nearest(connection, district, seen.camera_id)} | {seen.camera_id}
        if camera_id is not None and camera_id not in known:
            raise InputError(f"camera must be one of the sighting's district, got {camera_id}")
        since = seen.first_seen.astimezone(UTC)
        until = min(seen.last_seen.astimezone(UTC), since + _MOST_SIGHTING)
        return Window(
            camera_id or seen.camera_id, since - timedelta(seconds=before_s), until + timedelta(seconds=after_s)
        )

    def clip(self, district: str, tracklet_id: int, window: Window) -> Iterator[bytes]:
        """The recording of `window`, with a frame round the person where they are in view of its camera.

        Parts of an MP4, as they are made, with times since `window.since`.

        Raises:
            NoFootageError: if nothing was recorded then, or the recording cannot be read.
            OverdueError: if the deadline of the request passes.
        """
        with self._store().begin() as connection:
            seen = _sighting(connection, district, tracklet_id)
            is_of_person = window.camera_id == seen.camera_id
            files = [seen] if is_of_person else _files(connection, district, window.camera_id, seen.first_seen)
        name = f"the recording of {window.camera_id}"
        file = next((one for one in files if Path(one.source).is_file()), None)
        ring = Ring(self._store().crops)
        moment = seen.first_seen
        pieces = [] if file else ring.recording(district, window.camera_id, moment, window.since, window.until)
        if file is None and not pieces:
            raise NoFootageError(_NO_CLIP if is_of_person else f"camera {window.camera_id} has no {_RECORDING}")
        start = file.start if file is not None else pieces[0].start
        order = ClipOrder(
            name=name,
            begin_s=(window.since - start).total_seconds(),
            end_s=(window.until - start).total_seconds(),
            first_seen_s=(seen.first_seen - start).total_seconds() if is_of_person else None,
            boxes=[(int(number), *box) for number, *box, _ in seen.boxes] if is_of_person else [],
            most_side_px=_MOST_SIDE_PX if is_of_person else _MOST_NEAR_SIDE_PX,
            is_quick=not is_of_person,
        )
        with closing(_opened(Path(file.source)) if file is not None else _in_memory(ring.joined(pieces))) as content:
            yield from self._makers.make(content.descriptor, order)


def _sighting(connection: sa.Connection, district: str, tracklet_id: int) -> sa.Row[Any]:
    seen, segment = tables.tracklets, tables.segments
    columns = [seen.c[name] for name in ("camera_id", "first_seen", "last_seen", "boxes", "crop", "full_frame")]
    query = sa.select(*columns, segment.c.source, segment.c.start, segment.c.damage)
    query = query.join_from(seen, segment, seen.c.segment_id == segment.c.id)
    row: Any = connection.execute(query.where(seen.c.district == district, seen.c.id == tracklet_id)).one_or_none()
    if row is None:
        raise NoFootageError(f"footage must be of a stored sighting, got {district}/{tracklet_id}")
    return row


def _nearest(connection: sa.Connection, district: str, camera_id: str) -> list[tuple[Camera, float]]:
    """The other cameras of the district with their distance in metres, nearest first."""
    table = tables.cameras
    rows = connection.execute(sa.select(table).where(table.c.district == district)).mappings()
    cameras = {row["id"]: camera_of(row) for row in rows}
    here = cameras.pop(camera_id)
    distances = [(camera, metres_between(here, camera)) for camera in cameras.values()]
    return sorted(distances, key=lambda each: (each[1], each[0].id))


def _files(connection: sa.Connection, district: str, camera_id: str, moment: datetime) -> list[sa.Row[Any]]:
    """Sources of a camera that hold `moment`: files, and names of live streams."""
    table = tables.segments
    at_camera = (table.c.district == district) & (table.c.camera_id == camera_id)
    query = sa.select(table.c.source, table.c.start).where(at_camera, table.c.start <= moment, table.c.end >= moment)
    return list(connection.execute(query.order_by(table.c.id)))


def _opened(file: Path) -> FileBytes:
    try:
        return FileBytes(file)
    except InputError as error:
        raise NoFootageError(f"{file.name} must be readable by the service, it is not") from error


def _in_memory(content: bytes) -> FileBytes:
    """A file that has no place on a disk."""
    descriptor = os.memfd_create("recording")
    with os.fdopen(os.dup(descriptor), "wb") as written:
        written.write(content)
    return FileBytes.of_descriptor(descriptor)
