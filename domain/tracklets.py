"""A tracklet: one person, seen without a long break, in one camera."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from districts.layout import TrackTable


@dataclass(frozen=True)
class Tracklet:
    """What a camera's tracker knows of one person, described by several frames instead of one.

    Frames count from 1 as in MOTChallenge text; frames between two observations are interpolated, so they have no gap
    shorter than the tracker's `interpolate_s`.
    """

    id: int  # unique within the tracker that made it; `serving.track` renumbers over all cameras
    camera_id: str
    first_frame: int
    last_frame: int
    first_seen: datetime  # with a time zone
    last_seen: datetime
    frames: np.ndarray  # int64 [frame], rising
    boxes_xyxy: np.ndarray  # float32 [frame, 4], pixels of the original picture
    scores: np.ndarray  # float32 [frame], of the detector
    embedding: np.ndarray  # float32 [feature], unit length: quality-weighted mean over frames
    attributes: dict[str, dict[str, float]]  # group -> label -> mean probability; empty without an attribute engine
    quality: float  # 0..1, of its best crop
    crops: list[np.ndarray]  # uint8 [height, width, 3] RGB, best first

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last time it was seen."""
        return (self.last_seen - self.first_seen).total_seconds()


def track_table(tracklets: Iterable[Tracklet]) -> TrackTable:
    """All boxes of `tracklets` of one camera, ready for `districts.layout.write_tracks`."""
    kept = list(tracklets)
    empty = np.empty(0, np.int64)
    return TrackTable(
        frames=np.concatenate([empty, *(tracklet.frames for tracklet in kept)]),
        tracks=np.concatenate([empty, *(np.full(len(tracklet.frames), tracklet.id) for tracklet in kept)]),
        boxes_xyxy=np.concatenate([np.empty((0, 4), np.float32), *(tracklet.boxes_xyxy for tracklet in kept)]),
        confidences=np.concatenate([np.empty(0, np.float32), *(tracklet.scores for tracklet in kept)]),
    )


def renumber(tracklets_by_camera: Iterable[Iterable[Tracklet]]) -> list[Tracklet]:
    """Tracklets of several cameras with ids 1, 2, … that are unique over all: by camera, then first frame, then id."""
    ordered = [
        tracklet
        for tracklets in tracklets_by_camera
        for tracklet in sorted(tracklets, key=lambda one: (one.first_frame, one.id))
    ]
    return [replace(tracklet, id=number) for number, tracklet in enumerate(ordered, start=1)]
