"""Answers and tables small enough to score by hand: all cameras start together and run at ten frames a second."""

from datetime import UTC, datetime, timedelta

import numpy as np

from districts.box_files import TrackTable
from domain.answers import Answer, RankedTracklet, RouteStop

START = datetime(2026, 1, 1, tzinfo=UTC)
FPS = 10.0


def table(frames: range, identity: int, left: float = 0.0) -> TrackTable:
    """One box a frame, 10 wide and 20 high."""
    boxes = np.tile(np.array([left, 0, left + 10, 20], np.float32), (len(frames), 1))
    return TrackTable(np.array(frames), np.full(len(frames), identity), boxes, np.ones(len(frames), np.float32))


def joined(*tables: TrackTable) -> TrackTable:
    return TrackTable(
        *(np.concatenate([getattr(each, name) for each in tables]) for name in TrackTable.__dataclass_fields__)
    )


def answer(ranked: list[tuple[int, str, int, int]], route: list[int]) -> Answer:
    """Tracklets (id, camera, first frame, last frame), the likeliest first, and the route's ids."""
    return Answer(
        id="p01",
        ranked=tuple(
            RankedTracklet(
                tracklet=tracklet,
                camera=camera,
                distance=0.1,
                probability=0.9,
                first_seen=START + timedelta(seconds=(first - 1) / FPS),
                last_seen=START + timedelta(seconds=(last - 1) / FPS),
                first_frame=first,
                last_frame=last,
                crop=f"crops/{tracklet}.jpg",
                attributes={},
            )
            for tracklet, camera, first, last in ranked
        ),
        route=tuple(RouteStop(tracklet=tracklet, camera="c1", time=START) for tracklet in route),
    )
