"""A tracklet: one person, followed without a long break in one camera."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from jaxtyping import Float32, Int64, UInt8


@dataclass(frozen=True)
class FullFrame:
    """The whole picture in which a person is seen best."""

    number: int  # of the frame
    jpeg: bytes


@dataclass(frozen=True)
class Tracklet:
    """A person as the tracker of one camera describes them, from several frames.

    Frames count from 1 as in MOTChallenge text. Short breaks between two observations, up to the tracker's
    `interpolate_s`, are filled with interpolated boxes.
    """

    id: int  # unique within the tracker that made it; `serving.track` renumbers over all cameras
    camera_id: str
    first_frame: int
    last_frame: int
    first_seen: datetime  # with a time zone
    last_seen: datetime
    frames: Int64[np.ndarray, " frame"]  # rising
    boxes_xyxy: Float32[np.ndarray, "frame 4"]  # pixels of the original picture
    scores: Float32[np.ndarray, " frame"]  # of the detector
    embedding: Float32[np.ndarray, " feature"]  # unit length: quality-weighted mean over frames
    attributes: dict[str, dict[str, float]]  # group -> label -> mean probability; empty without an attribute engine
    quality: float  # 0..1, of the best crop
    crops: list[UInt8[np.ndarray, "_ _ 3"]]  # RGB, best first
    full_frame: FullFrame | None = None  # of the best crop; None where none was kept
    more_crops: Sequence[bytes] = ()  # JPEG: those that are next best to `crops`, for models that come later
    more_embeddings: Mapping[str, Float32[np.ndarray, " _"]] = field(default_factory=dict)  # of other models' versions

    @property
    def duration_s(self) -> float:
        """Seconds from `first_seen` to `last_seen`."""
        return (self.last_seen - self.first_seen).total_seconds()


def renumber(tracklets_by_camera: Iterable[Iterable[Tracklet]]) -> list[Tracklet]:
    """Tracklets of all cameras with new ids 1, 2, …: in order of camera, first frame and former id."""
    ordered = [
        tracklet
        for tracklets in tracklets_by_camera
        for tracklet in sorted(tracklets, key=lambda tracklet: (tracklet.first_frame, tracklet.id))
    ]
    return [replace(tracklet, id=number) for number, tracklet in enumerate(ordered, start=1)]
