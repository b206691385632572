"""Observations and appearance of one track, and the tracklet made of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from domain.embeddings import unit_length
from domain.tracklets import FullFrame, Tracklet

_SLOWEST_MEMORY = 0.95  # weight of the previous appearance when the new crop has quality 0
NO_MORE: Mapping[str, Float32[np.ndarray, " _"]] = MappingProxyType({})
_LEAST_WEIGHT = 1e-6  # keeps the mean defined for a track whose crops all have quality 0


@dataclass(eq=False)
class _StoredCrop:
    quality: float
    time_s: float
    crop: UInt8[np.ndarray, "height width 3"]


@dataclass
class TrackHistory:
    """Observations of one track; grows with each frame."""

    id: int
    frames: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    boxes_xyxy: list[Float32[np.ndarray, "4"]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    num_strong: int = 0  # observations with a high score
    num_embeddings: int = 0
    last_embedded_s: float = -np.inf
    # Moving average of embeddings, of unit length.
    appearance: Float32[np.ndarray, " feature"] = field(default_factory=lambda: np.empty(0, np.float32))
    _embedding_sum: Float64[np.ndarray, " feature"] | float = 0.0
    _more_sums: dict[str, Float64[np.ndarray, " _"]] = field(default_factory=dict)  # by other models' versions
    _crops: list[_StoredCrop] = field(default_factory=list)
    _full_frame: FullFrame | None = None  # of the best crop

    @property
    def last_seen_s(self) -> float:
        """Time of the last observation."""
        return self.times_s[-1]

    def observe(
        self, frame: int, time_s: float, box_xyxy: Float32[np.ndarray, "4"], score: float, is_strong: bool
    ) -> None:
        """Add a box."""
        self.frames.append(frame)
        self.times_s.append(time_s)
        self.boxes_xyxy.append(box_xyxy)
        self.scores.append(score)
        self.num_strong += is_strong

    def add_appearance(
        self,
        embedding: Float32[np.ndarray, " feature"],
        quality: float,
        crop: UInt8[np.ndarray, "height width 3"],
        full_frame: Callable[[], FullFrame] | None,
        more_embeddings: Mapping[str, Float32[np.ndarray, " _"]] = NO_MORE,
        *,
        best_crops: int,
        spacing_s: float,
    ) -> None:
        """Add the embedding and the crop of the last observation.

        Args:
            embedding: of unit length.
            quality: 0..1; a crop of low quality changes the appearance less.
            crop: copied if stored.
            full_frame: encodes the frame of the crop; called for a crop that is better than those before it.
            more_embeddings: of the crop by other models' versions, of unit length; always by the same models.
            best_crops: maximum number of stored crops.
            spacing_s: minimum time between two stored crops; of nearer ones the better is stored.
        """
        time_s = self.last_seen_s
        keep = _SLOWEST_MEMORY * (1 - quality / 2) if self.num_embeddings else 0.0
        self.appearance = (
            unit_length(keep * self.appearance + (1 - keep) * embedding) if self.num_embeddings else embedding
        )
        weight = quality + _LEAST_WEIGHT
        self._embedding_sum = self._embedding_sum + weight * embedding.astype(np.float64)
        for version, each in more_embeddings.items():
            self._more_sums[version] = self._more_sums.get(version, 0.0) + weight * each.astype(np.float64)
        self.num_embeddings += 1
        self.last_embedded_s = time_s
        rivals = [stored for stored in self._crops if abs(stored.time_s - time_s) < spacing_s]
        if not rivals and len(self._crops) >= best_crops:
            rivals = [min(self._crops, key=lambda stored: stored.quality)]
        if any(rival.quality >= quality for rival in rivals):
            return
        if full_frame is not None and all(stored.quality < quality for stored in self._crops):
            self._full_frame = full_frame()
        self._crops = [stored for stored in self._crops if stored not in rivals]
        self._crops.append(_StoredCrop(quality, time_s, crop.copy()))

    def successor(self, number: int) -> "TrackHistory":
        """A new track of the same person: it has the appearance but no observation yet."""
        return TrackHistory(number, appearance=self.appearance, num_embeddings=self.num_embeddings)

    def tracklet(self, camera_id: str, moment: Callable[[float], datetime], interpolate_s: float) -> Tracklet:
        """The track as a tracklet without attributes.

        Args:
            camera_id: the tracklet's camera.
            moment: converts seconds since the first frame to date and time.
            interpolate_s: longest interval between two observations whose missing frames are interpolated.
        """
        frames, boxes, scores = self._interpolated(interpolate_s)
        crops = sorted(self._crops, key=lambda stored: (-stored.quality, stored.time_s))
        return Tracklet(
            id=self.id,
            camera_id=camera_id,
            first_frame=self.frames[0],
            last_frame=self.frames[-1],
            first_seen=moment(self.times_s[0]),
            last_seen=moment(self.times_s[-1]),
            frames=frames,
            boxes_xyxy=boxes,
            scores=scores,
            embedding=unit_length(np.asarray(self._embedding_sum)),
            attributes={},
            quality=crops[0].quality,
            crops=[stored.crop for stored in crops],
            full_frame=self._full_frame,
            more_embeddings={version: unit_length(total) for version, total in self._more_sums.items()},
        )

    def _interpolated(
        self, interpolate_s: float
    ) -> tuple[Int64[np.ndarray, " frame"], Float32[np.ndarray, "frame 4"], Float32[np.ndarray, " frame"]]:
        """Frames, boxes and scores, with those of short breaks."""
        observed, times = np.array(self.frames, np.int64), np.array(self.times_s)
        bridged = np.diff(times) <= interpolate_s + 1e-9
        parts = [
            np.arange(first, second) if bridge else np.array([first])
            for first, second, bridge in zip(observed[:-1], observed[1:], bridged, strict=True)
        ]
        frames = np.concatenate([*parts, observed[-1:]]).astype(np.int64)
        boxes = np.stack(
            [np.interp(frames, observed, side) for side in np.stack(self.boxes_xyxy).astype(np.float64).T], axis=1
        )
        scores = np.interp(frames, observed, self.scores)
        return frames, boxes.astype(np.float32), scores.astype(np.float32)


def moments_since(start: datetime) -> Callable[[float], datetime]:
    """A function that converts seconds since `start` to date and time."""
    return lambda seconds: start + timedelta(seconds=seconds)
