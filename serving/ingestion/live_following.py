"""Follows the people in one live camera and cuts what it shows into segments.

Whoever is in view when a segment ends is finished in it and begins anew in the next, so each segment stands for itself
and a killed process loses the open one only. A segment ends after `segment_s`, where a gap begins, and where pictures
change their size, for boxes are in pixels. With a motion gate the detector is asked only where something moves.
"""

from datetime import datetime

from domain.boxes import Detections
from domain.tracklets import Tracklet
from serving.ingestion.following import StageClock, TrackingSettings, advance, describe_tracklets, new_tracker
from serving.ingestion.motion_gate import MotionGate
from serving.ingestion.outbox import LiveSegment, Outbox
from serving.perception.perception import Perception
from serving.video.files import Frame
from serving.video.live_stream import Gap, LiveFrame


class LiveFollower:
    """One camera's frames and gaps, in order, into an `Outbox`.

    Args:
        camera_id: of the camera.
        perception: may be shared with others.
        settings: of tracker, motion gate and stride; frames come with that stride.
        outbox: gets finished segments and gaps.
        segment_s: how long a segment lasts.
    """

    def __init__(
        self, camera_id: str, perception: Perception, settings: TrackingSettings, outbox: Outbox, segment_s: float
    ) -> None:
        """No segment is open."""
        self.camera_id = camera_id
        self._perception, self._settings, self._outbox, self._segment_s = perception, settings, outbox, segment_s
        self._segment: _OpenSegment | None = None

    def process(self, frame: LiveFrame) -> None:
        """Follow everybody in `frame`; it may begin a segment, and end the one before."""
        segment = self._segment
        if segment is not None and (
            (frame.time - segment.start).total_seconds() >= self._segment_s or segment.shape != frame.image.shape
        ):
            self.close(frame.time)
        if self._segment is None:
            self._outbox.end_gap(self.camera_id, frame.time)
            self._segment = _OpenSegment(self.camera_id, frame, self._perception, self._settings)
        self._segment.process(frame)

    def record_gap(self, gap: Gap) -> None:
        """A gap has begun. That it is over is seen: it ends with the first frame that was looked at."""
        if gap.until is None:
            self.close(gap.since)
            self._outbox.begin_gap(self.camera_id, gap.since, gap.reason)

    def close(self, end: datetime | None = None) -> None:
        """Finish the open segment, if there is one, at `end` or its last frame."""
        if self._segment is not None:
            self._outbox.put(self._segment.finished(end))
            self._segment = None

    def discard_segment(self, reason: str) -> None:
        """Forget the open segment, if there is one: from its beginning on it is a gap."""
        segment, self._segment = self._segment, None
        if segment is not None:
            self._outbox.begin_gap(self.camera_id, segment.start, reason)


class _OpenSegment:
    """What was seen since a segment began."""

    def __init__(self, camera_id: str, first: LiveFrame, perception: Perception, settings: TrackingSettings) -> None:
        self.start, self.shape = first.time, first.image.shape
        self._camera_id, self._perception = camera_id, perception
        self._tracker = new_tracker(camera_id, first.time, perception, settings)
        self._first_number, self._last_number, self._end = first.number, first.number - 1, first.time
        self._stride, self._num_frames = settings.frame_stride, 0
        self._tracklets: list[Tracklet] = []
        self._gate = MotionGate(settings.motion_gate) if settings.motion_gate.enabled else None
        self._detections: Detections | None = None  # of the last frame that the detector saw

    def process(self, frame: LiveFrame) -> None:
        time_s = (frame.time - self.start).total_seconds()
        if self._gate is None or self._gate.passes(frame.image, time_s):
            [self._detections] = self._perception.detect([frame.image])
        assert self._detections is not None, "the first frame passes"
        segment_frame = Frame(frame.number - self._first_number + 1, time_s, frame.image)
        [ended] = advance([(self._tracker, segment_frame, self._detections)], self._perception, StageClock())
        self._tracklets += ended
        self._num_frames += 1
        self._last_number, self._end = frame.number, frame.time

    def finished(self, end: datetime | None) -> LiveSegment:
        self._tracklets += describe_tracklets(self._tracker.close(), self._perception)
        num_decoded = self._last_number - self._first_number + 1
        num_due = -(-num_decoded // self._stride)
        num_skipped = num_due - self._num_frames
        damage = (
            f"{num_skipped} of {num_due} frames were skipped, because processing is slower than the camera"
            if num_skipped > 0
            else None
        )
        end = self._end if end is None else max(end, self._end)
        return LiveSegment(self._camera_id, self.start, end, self._num_frames, self._tracklets, damage)
