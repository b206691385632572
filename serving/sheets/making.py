"""Makes the sheet of a case from its matches: pictures with other people covered, map, and manifest."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import cv2
import numpy as np
import sqlalchemy as sa

from domain.cameras import Camera
from domain.deadline import require_time
from domain.errors import ArtifactError, InputError
from domain.images import Picture, decode_jpeg, encode_jpeg
from serving.access.accounts import Account
from serving.cases.boxes import boxes_of
from serving.cases.standing import Standing, sightings_standing, voices
from serving.cases.verdict import Verdict
from serving.cases.visible import CaseAnswer, open_case_of
from serving.database import tables
from serving.database.crops import Crops, frame_path
from serving.database.districts import stored_districts
from serving.footage.clip_maker import mark
from serving.perception.perception import Perception
from serving.search.search import SightingKey
from serving.sheets.covering import Box, cover_others, overlap
from serving.sheets.map_picture import draw_map
from serving.sheets.sheet import Listed, Sheet, Stop

MOST_STOPS = 20  # the latest matches
_MOST_SIDE_PX = 1280  # of a picture
_AROUND = 0.15  # of a box, at each side of the picture of the person
_OWN = 0.4  # intersection over union of the person's box with the detected box that is theirs, at least
_QUALITY = 88


@dataclass(frozen=True)
class _Match:
    """A match and where everybody stood in its full frame; boxes in pixels."""

    seen: Any  # row of `tracklets`
    judges: list[str]
    person: Box | None  # as corrected, if somebody did; None: no full frame was kept
    others: list[Box]  # by the tracks of the same video


@dataclass(frozen=True)
class Plan:
    """What a sheet is made from."""

    case: CaseAnswer
    matches: list[_Match]  # by time
    cameras: dict[tuple[str, str], Camera]
    zones: dict[str, str]  # by district

    @property
    def keys(self) -> list[SightingKey]:
        """The matches."""
        return [(match.seen.district, match.seen.id) for match in self.matches]


def plan_sheet(connection: sa.Connection, account: Account, case_id: int) -> Plan:
    """The latest matches of a case, which counts them as matches.

    Raises:
        UnknownCaseError, InputError: as `open_case_of`.
        InputError: if the case has no match that is stored.
    """
    case = open_case_of(connection, account, case_id)
    is_case = tables.cases.c.id == case_id
    keys = [key for _, key in sightings_standing(connection, is_case, Standing.CONFIRMED)]
    seen = tables.tracklets
    latest = sa.select(seen).where(sa.tuple_(seen.c.district, seen.c.id).in_(keys)).order_by(seen.c.first_seen.desc())
    rows = connection.execute(latest.limit(MOST_STOPS)).all()
    if not rows:
        raise InputError("a sheet shows matches of the case, it has none that is stored", code="no_confirmed")
    voice = voices(is_case)
    given = sa.select(voice).where(voice.c.verdict == Verdict.CONFIRMED).order_by(voice.c.id)
    judges: dict[SightingKey, list[str]] = {}
    for row in connection.execute(given):
        judges.setdefault((row.district, row.tracklet_id), []).append(row.account)
    drawn = {(one.district, one.tracklet_id): np.array(one.box_xyxy) for one in boxes_of(connection, case_id)}
    districts = stored_districts(connection)
    return Plan(
        case=case,
        matches=[_match(connection, row, judges[row.district, row.id], drawn) for row in reversed(rows)],
        cameras={(district.name, camera.id): camera for district in districts for camera in district.cameras},
        zones={district.name: district.time_zone for district in districts},
    )


def make_sheet(
    plan: Plan,
    crops: Crops,
    perception: Perception,
    layer: Mapping[str, Any],
    *,
    account: str,
    note: str,
    language: str,
    made: datetime,
    expires: datetime,
) -> Sheet:
    """The sheet.

    Args:
        plan: its matches.
        crops: where the full frames are.
        perception: finds people who have no track, so that they are covered too.
        layer: GeoJSON of streets, see `draw_map`.
        account: who makes it.
        note: for the officer.
        language: of its words.
        made: now.
        expires: until when it may be used.

    Raises:
        OverdueError: if the deadline of the request passes.
        EnginesAwayError: if the engines stopped.
    """
    stops = [_stop(number, match, plan, crops, perception) for number, match in enumerate(plan.matches, start=1)]
    around = [camera for (district, _), camera in plan.cameras.items() if district in {stop.district for stop in stops}]
    drawn = draw_map([(stop.latitude, stop.longitude) for stop in stops], around, layer)
    pictures = {"map.jpg": drawn}
    for stop in stops:
        for name, picture in (("frame", stop.frame), ("person", stop.person)):
            if picture is not None:
                pictures[f"{stop.number}-{name}.jpg"] = picture
    zone = ZoneInfo(stops[0].time_zone)
    return Sheet(
        case_id=plan.case.id,
        title=plan.case.title,
        note=note,
        language=language,
        account=account,
        made=made.astimezone(zone),
        expires=expires.astimezone(zone),
        second_person=plan.case.second_person,
        stops=stops,
        map=drawn,
        manifest=[Listed(name=name, sha256=hashlib.sha256(picture).hexdigest()) for name, picture in pictures.items()],
    )


def pictures_of(frame: Picture, person: Box, others: Sequence[Box], perception: Perception) -> tuple[Picture, Picture]:
    """The frame with everybody but the person covered and a frame round the person, and the part that shows them.

    Args:
        frame: a full frame.
        person: box of the person, pixels.
        others: boxes of the tracks of others at that moment.
        perception: finds who has no track.
    """
    scale = min(1.0, _MOST_SIDE_PX / max(frame.shape[:2]))
    detected = [np.asarray(box, np.float64) for box in perception.detect([frame])[0].boxes_xyxy]
    own = max(detected, key=lambda box: overlap(box, person), default=None)
    is_own = own is not None and overlap(own, person) >= _OWN
    strangers = [box for box in detected if not (is_own and box is own)]
    covered = cover_others(frame, person, others, strangers)
    height, width = frame.shape[:2]
    aside = _AROUND * (person[2:] - person[:2])
    left, top = np.floor(np.clip(person[:2] - aside, 0, (width - 1, height - 1))).astype(int).tolist()
    right, bottom = np.ceil(np.clip(person[2:] + aside, (left + 1, top + 1), (width, height))).astype(int).tolist()
    part = covered[top:bottom, left:right].copy()
    small = cv2.resize(covered, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else covered
    mark(small, person * scale)
    return small, part


def _match(connection: sa.Connection, row: Any, judges: list[str], drawn: Mapping[SightingKey, Box]) -> _Match:
    person = _box_in(row.boxes, row.full_frame)
    if person is None:
        return _Match(row, judges, None, [])
    person = drawn.get((row.district, row.id), person)
    seen = tables.tracklets
    is_beside = (seen.c.segment_id == row.segment_id) & ((seen.c.district != row.district) | (seen.c.id != row.id))
    at_once = (seen.c.first_seen <= row.last_seen) & (seen.c.last_seen >= row.first_seen)
    beside = connection.execute(sa.select(seen.c.boxes).where(is_beside, at_once)).scalars()
    others = [box for boxes in beside if (box := _box_in(boxes, row.full_frame)) is not None]
    return _Match(row, judges, person, others)


def _box_in(boxes: Sequence[Sequence[float]], frame: int | None) -> Box | None:
    """The box of a track, `[frame, left, top, right, bottom, score]` each, in this frame."""
    found = next((box[1:5] for box in boxes if box[0] == frame), None)
    return None if found is None else np.asarray(found, np.float64)


def _stop(number: int, match: _Match, plan: Plan, crops: Crops, perception: Perception) -> Stop:
    require_time()
    seen = match.seen
    camera = plan.cameras[seen.district, seen.camera_id]
    frame = _frame_of(match, crops)
    pictures: tuple[bytes | None, bytes | None] = None, None
    if frame is not None and match.person is not None:
        whole, part = pictures_of(frame, match.person, match.others, perception)
        pictures = encode_jpeg(whole, _QUALITY), encode_jpeg(part, _QUALITY)
    zone = plan.zones[seen.district]
    return Stop(
        number=number,
        district=seen.district,
        tracklet_id=seen.id,
        camera=camera.name,
        latitude=camera.latitude,
        longitude=camera.longitude,
        first_seen=seen.first_seen.astimezone(ZoneInfo(zone)),
        last_seen=seen.last_seen.astimezone(ZoneInfo(zone)),
        time_zone=zone,
        judges=match.judges,
        frame=pictures[0],
        person=pictures[1],
    )


def _frame_of(match: _Match, crops: Crops) -> Picture | None:
    """The full frame; None if none was kept, or it cannot be read."""
    if match.person is None:
        return None
    try:
        return decode_jpeg(crops.read(frame_path(match.seen.crop)))
    except (FileNotFoundError, ArtifactError, InputError):
        return None
