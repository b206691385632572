"""Tracks people within one camera by constant-velocity motion and appearance, strong boxes first, then weak ones.

Motion alone continues a track only for `motion_s`, and only at a box on its prediction: in a longer time people change
places. Every other pair needs likeness, so people are told apart even where they are looked at once a second. How long
the tracker waits for a person depends on the measured interval between looks, see `serving.tracking.patience`.

A frame takes two calls, because embedding is the most expensive step. `plan` predicts the motion and selects the boxes
to embed: new people, people who are not where they are predicted, and at intervals each person. The caller embeds the
selected boxes of all cameras in one batch and passes the result to `update`. Times are in seconds, so any frame rate
works.

Sources: two association rounds by score as in ByteTrack (Zhang et al. 2022); motion combined with appearance as in
BoT-SORT (Aharon et al. 2022); appearance averaged by confidence as in Deep OC-SORT (Maggiolino et al. 2023).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from domain.boxes import Detections, pairwise_iou
from domain.embeddings import cosine_distances
from domain.errors import InputError
from domain.tracklets import Tracklet
from serving.tracking import kalman
from serving.tracking.association import Pairs, cheapest_pairs, clear_pairs
from serving.tracking.crop_quality import CropFeatures
from serving.tracking.history import TrackHistory, moments_since
from serving.tracking.patience import Patience
from serving.tracking.reach import has_left, within_reach
from serving.tracking.settings import TrackerSettings

_ROUNDING_S = 1e-6  # of differences of times


@dataclass(frozen=True)
class FramePlan:
    """Prediction for a frame, and the boxes that must be embedded before the update."""

    frame: int
    time_s: float
    boxes_xyxy: Float32[np.ndarray, "box 4"]  # in an order that is independent of the detector's
    scores: Float32[np.ndarray, " box"]
    motion: kalman.Motion  # predicted state of the tracks
    costs: Float64[np.ndarray, "track box"]  # motion only, infinite outside the gate
    clear_pairs: Pairs  # assigned by motion alone
    on_prediction: Bool[np.ndarray, "track box"]  # motion alone may assign them
    to_embed: Int64[np.ndarray, " crop"]  # indices of boxes, rising
    size_px: tuple[int, int] | None  # width and height of the frame, if known


class Tracker:
    """Tracks the people in one camera's view. Ids start at 1, belong to this object and are never used twice.

    Args:
        camera_id: camera of the tracklets.
        start: time of the first frame, with a time zone.
        strong_score: minimum score of a box that starts a track; weaker boxes only continue tracks.
        match_distance: maximum cosine distance between two embeddings of one person.
    """

    def __init__(
        self, camera_id: str, start: datetime, settings: TrackerSettings, *, strong_score: float, match_distance: float
    ) -> None:
        self._camera_id, self._moment = camera_id, moments_since(start)
        self._settings, self._strong_score, self._match_distance = settings, strong_score, match_distance
        self._tracks: list[TrackHistory] = []
        self._motion = kalman.start(np.empty((0, 4)))  # row i belongs to track i
        self._time_s = -np.inf
        self._patience = Patience(settings)
        self._last_id = 0

    def plan(
        self, frame: int, time_s: float, detections: Detections, size_px: tuple[int, int] | None = None
    ) -> FramePlan:
        """Predict the tracks, compare them with `detections` and select the boxes to embed; changes no state.

        Args:
            frame: number of the frame.
            time_s: since the first frame.
            detections: people only.
            size_px: width and height of the frame; without it, nobody is known to have left it.

        Raises:
            InputError: if the frame is not later than the previous frame.
        """
        if time_s <= self._time_s:
            raise InputError(
                f"frames of {self._camera_id} must come in order of time, got {time_s} after {self._time_s}"
            )
        order = np.lexsort((*detections.boxes_xyxy.T[::-1], -detections.scores))
        boxes, scores = detections.boxes_xyxy[order], detections.scores[order]
        motion = kalman.predict(self._motion, time_s - self._time_s if self._tracks else 0.0)
        costs = self._motion_costs(motion, boxes)
        strong = scores >= self._strong_score
        on_prediction = pairwise_iou(motion.boxes_xyxy, boxes) >= self._settings.motion_min_iou
        on_prediction &= self._is_recent(time_s)[:, None]
        comparable = self._active(time_s)[:, None] & strong[None]
        tracks, pairs = clear_pairs(np.where(comparable, costs, np.inf), self._settings.clear_margin)
        sure = on_prediction[tracks, pairs]
        tracks, pairs = tracks[sure], pairs[sure]
        to_embed = strong.copy()
        to_embed[pairs] = [self._is_due(self._tracks[track], time_s) for track in tracks]
        selected = np.flatnonzero(to_embed)
        return FramePlan(frame, time_s, boxes, scores, motion, costs, (tracks, pairs), on_prediction, selected, size_px)

    def update(self, plan: FramePlan, features: CropFeatures) -> list[Tracklet]:
        """Continue, revive, start and end tracks; returns the tracklets that ended.

        Args:
            plan: of this frame, from `plan`.
            features: of the boxes `plan.to_embed`, in that order.
        """
        box_of_track = self._associate(plan, features)
        if self._time_s > -np.inf:
            self._patience.add_interval(plan.time_s - self._time_s)
        self._motion, self._time_s = plan.motion, plan.time_s
        crop_of_box = {int(box): crop for crop, box in enumerate(plan.to_embed)}
        continued = np.flatnonzero(box_of_track >= 0)
        self._correct(plan, continued, box_of_track[continued])
        divided = self._divide(plan, {int(index): int(box_of_track[index]) for index in continued}, crop_of_box)
        for index in continued:
            self._observe(self._tracks[index], plan, features, int(box_of_track[index]), crop_of_box)
        ended = divided + self._end(np.array([self._is_over(track) for track in self._tracks], bool))
        newcomers = np.setdiff1d(np.flatnonzero(plan.scores >= self._strong_score), box_of_track[continued])
        self._motion = self._motion.joined(kalman.start(plan.boxes_xyxy[newcomers]))
        for box in newcomers:
            self._last_id += 1
            self._tracks.append(TrackHistory(self._last_id))
            self._observe(self._tracks[-1], plan, features, int(box), crop_of_box)
        return ended

    def close(self) -> list[Tracklet]:
        """End all tracks and return their tracklets; later frames continue the numbering."""
        return self._end(np.ones(len(self._tracks), bool))

    def _associate(self, plan: FramePlan, features: CropFeatures) -> Int64[np.ndarray, " track"]:
        """Box that continues each track; -1 if none does."""
        settings = self._settings
        box_of_track = np.full(len(self._tracks), -1, np.int64)
        box_of_track[plan.clear_pairs[0]] = plan.clear_pairs[1]
        free = np.ones(len(plan.scores), bool)
        free[plan.clear_pairs[1]] = False
        strong, active = plan.scores >= self._strong_score, self._active(plan.time_s)
        distances = self._appearance_distances(plan, features)
        appearance_cost = np.minimum(distances / (2 * self._match_distance), 1)
        weight = settings.appearance_weight
        costs = (1 - weight) * plan.costs + weight * appearance_cost
        likely = plan.on_prediction | (distances <= self._match_distance)
        recent = self._is_recent(plan.time_s)
        rounds = (
            (active, strong, np.where(likely, costs, np.inf), settings.max_cost),
            (recent, ~strong, 1 - pairwise_iou(plan.motion.boxes_xyxy, plan.boxes_xyxy), 1 - settings.weak_min_iou),
            (
                np.array([self._is_confirmed(track) for track in self._tracks], bool)
                & (self._unobserved_s(plan.time_s) <= settings.max_lost_s),
                strong,
                np.where(self._may_return(plan), distances, np.inf),
                self._match_distance,
            ),
        )
        for may_continue, may_be_assigned, costs, max_cost in rounds:
            tracks = np.flatnonzero((box_of_track < 0) & may_continue)
            boxes = np.flatnonzero(free & may_be_assigned)
            rows, columns = cheapest_pairs(costs[np.ix_(tracks, boxes)], max_cost)
            box_of_track[tracks[rows]] = boxes[columns]
            free[boxes[columns]] = False
        return box_of_track

    def _motion_costs(
        self, motion: kalman.Motion, boxes_xyxy: Float32[np.ndarray, "box 4"]
    ) -> Float64[np.ndarray, "track box"]:
        """Mean of `1 - IoU` and the scaled Mahalanobis distance, in 0..1; infinite outside the gate."""
        deviations = kalman.deviations(motion, boxes_xyxy) / self._settings.gate_deviations
        overlaps = pairwise_iou(motion.boxes_xyxy, boxes_xyxy)
        return np.where(deviations <= 1, (1 - overlaps + deviations) / 2, np.inf)

    def _appearance_distances(self, plan: FramePlan, features: CropFeatures) -> Float64[np.ndarray, "track box"]:
        """Cosine distance between tracks and boxes; infinite for boxes without an embedding."""
        distances = np.full((len(self._tracks), len(plan.scores)), np.inf)
        if self._tracks and len(plan.to_embed):
            appearances = np.stack([track.appearance for track in self._tracks])
            distances[:, plan.to_embed] = np.maximum(cosine_distances(appearances, features.embeddings), 0)
        return distances

    def _may_return(self, plan: FramePlan) -> Bool[np.ndarray, "track box"]:
        """Whether the person of a track can be at a box, by walking from the last observation, and not out of view."""
        if not self._tracks:
            return np.zeros((0, len(plan.scores)), bool)
        last = np.stack([track.boxes_xyxy[-1] for track in self._tracks])
        reach = within_reach(last, plan.boxes_xyxy, self._unobserved_s(plan.time_s), self._settings)
        return reach & ~has_left(plan.motion, plan.size_px)[:, None]

    def _correct(self, plan: FramePlan, tracks: Int64[np.ndarray, " pair"], boxes: Int64[np.ndarray, " pair"]) -> None:
        if len(tracks):
            corrected = kalman.correct(self._motion[tracks], plan.boxes_xyxy[boxes], plan.scores[boxes])
            self._motion = self._motion.replaced(tracks, corrected)

    def _observe(
        self, track: TrackHistory, plan: FramePlan, features: CropFeatures, box: int, crop_of_box: Mapping[int, int]
    ) -> None:
        score = float(plan.scores[box])
        track.observe(plan.frame, plan.time_s, plan.boxes_xyxy[box], score, score >= self._strong_score)
        crop = crop_of_box.get(box)
        if crop is not None:
            track.add_appearance(
                features.embeddings[crop],
                float(features.qualities[crop]),
                features.crops[crop],
                features.full_frame,
                {version: each[crop] for version, each in features.more_embeddings.items()},
                best_crops=self._settings.best_crops,
                spacing_s=self._settings.crop_spacing_s,
            )

    def _divide(
        self, plan: FramePlan, box_of_track: Mapping[int, int], crop_of_box: Mapping[int, int]
    ) -> list[Tracklet]:
        """Tracklets of the tracks that got too long.

        Each continues as a new track that starts at a box with an embedding.
        """
        divided = []
        for index, box in box_of_track.items():
            track = self._tracks[index]
            if box in crop_of_box and plan.time_s - track.times_s[0] >= self._settings.max_tracklet_s:
                divided.append(track)
                self._last_id += 1
                self._tracks[index] = track.successor(self._last_id)
        return self._tracklets(divided)

    def _end(self, over: Bool[np.ndarray, " track"]) -> list[Tracklet]:
        """Remove the tracks under the mask; returns the tracklets of the confirmed ones."""
        ended = [track for track, is_over in zip(self._tracks, over, strict=True) if is_over]
        self._tracks = [track for track, is_over in zip(self._tracks, over, strict=True) if not is_over]
        self._motion = self._motion[~over]
        return self._tracklets(ended)

    def _tracklets(self, tracks: list[TrackHistory]) -> list[Tracklet]:
        return [
            track.tracklet(self._camera_id, self._moment, self._patience.interpolate_s)
            for track in tracks
            if self._is_confirmed(track)
        ]

    def _is_confirmed(self, track: TrackHistory) -> bool:
        return track.num_strong >= self._patience.confirm_observations

    def _is_over(self, track: TrackHistory) -> bool:
        patience_s = self._settings.max_lost_s if self._is_confirmed(track) else self._patience.active_s
        return self._time_s - track.last_seen_s > patience_s

    def _is_due(self, track: TrackHistory, time_s: float) -> bool:
        return time_s - track.last_embedded_s >= self._settings.embed_every_s

    def _active(self, time_s: float) -> Bool[np.ndarray, " track"]:
        return self._unobserved_s(time_s) <= self._patience.active_s

    def _is_recent(self, time_s: float) -> Bool[np.ndarray, " track"]:
        """Tracks whose place is known by their motion alone."""
        return self._unobserved_s(time_s) <= self._settings.motion_s + _ROUNDING_S

    def _unobserved_s(self, time_s: float) -> Float64[np.ndarray, " track"]:
        return time_s - np.array([track.last_seen_s for track in self._tracks], np.float64)
