"""Tracks the people in one live camera and divides its stream into segments.

All tracks end with their segment and start again in the next one, so segments are independent. Sightings are handed on
as they end, so a killed process loses only those that go on. A segment ends after `segment_s`, when a gap begins, and
when the size of the frames changes, because boxes are in pixels. With a motion gate the detector runs only on frames
with motion.
"""

from datetime import datetime

from domain.boxes import Detections
from domain.tracklets import Tracklet
from serving.database.segments import Looks
from serving.ingestion.following import StageClock, TrackingSettings, advance, describe_tracklets, new_tracker
from serving.ingestion.motion_gate import MotionGate
from serving.ingestion.outbox import LiveSegment, LiveSightings, Outbox
from serving.perception.perception import Perception
from serving.video.files import Frame
from serving.video.live_stream import Gap, LiveFrame


class LiveFollower:
    """Turns the frames and gaps of one camera, in order, into segments and gaps of an `Outbox`.

    Args:
        camera_id: id of the camera.
        perception: may be shared between threads.
        settings: settings of tracker and motion gate, and the stride with which frames arrive.
        outbox: receives finished segments and gaps.
        segment_s: duration of a segment.
    """

    def __init__(
        self, camera_id: str, perception: Perception, settings: TrackingSettings, outbox: Outbox, segment_s: float
    ) -> None:
        self.camera_id = camera_id
        self._perception, self._settings, self._outbox, self._segment_s = perception, settings, outbox, segment_s
        self._segment: _OpenSegment | None = None

    def process(self, frame: LiveFrame) -> None:
        """Track the people in `frame`; opens a segment if none is open, or if the open one ends here."""
        segment = self._segment
        if segment is not None and (
            (frame.time - segment.start).total_seconds() >= self._segment_s or segment.shape != frame.image.shape
        ):
            self.close(frame.time, frame)
        if self._segment is None:
            self._outbox.end_gap(self.camera_id, frame.time)
            self._segment = _OpenSegment(self.camera_id, frame, self._perception, self._settings)
        ended = self._segment.process(frame)
        if ended:
            self._outbox.put(LiveSightings(self.camera_id, self._segment.start, ended))

    def record_gap(self, gap: Gap) -> None:
        """Record the start of a gap; its end is recorded at the next processed frame."""
        if gap.until is None:
            self.close(gap.since)
            self._outbox.begin_gap(self.camera_id, gap.since, gap.reason)

    def close(self, end: datetime | None = None, following: LiveFrame | None = None) -> None:
        """End the open segment, if any, at `end` or its last frame; `following` is the first frame after it."""
        if self._segment is not None:
            self._outbox.put(self._segment.finished(end, following))
            self._segment = None

    def discard_segment(self, reason: str) -> None:
        """Discard the open segment, if any, and record a gap from its start."""
        segment, self._segment = self._segment, None
        if segment is not None:
            self._outbox.begin_gap(self.camera_id, segment.start, reason)


class _OpenSegment:
    """Tracker of a segment since its start."""

    def __init__(self, camera_id: str, first: LiveFrame, perception: Perception, settings: TrackingSettings) -> None:
        self.start, self.shape = first.time, first.image.shape
        self._camera_id, self._perception = camera_id, perception
        self._tracker = new_tracker(camera_id, first.time, perception, settings)
        self._first, self._last, self._num_frames = first, first, 0
        self._stride = settings.frame_stride
        self._gate = MotionGate(settings.motion_gate) if settings.motion_gate.enabled else None
        self._detections: Detections | None = None  # of the last frame that the detector saw

    def process(self, frame: LiveFrame) -> list[Tracklet]:
        """The sightings that ended with `frame`."""
        time_s = (frame.time - self.start).total_seconds()
        if self._gate is None or self._gate.passes(frame.image, time_s):
            [self._detections] = self._perception.detect([frame.image])
        assert self._detections is not None, "the first frame passes"
        segment_frame = Frame(frame.number - self._first.number + 1, time_s, frame.image)
        [ended] = advance([(self._tracker, segment_frame, self._detections)], self._perception, StageClock())
        self._num_frames += 1
        self._last = frame
        return ended

    def finished(self, end: datetime | None, following: LiveFrame | None) -> LiveSegment:
        tracklets = describe_tracklets(self._tracker.close(), self._perception)
        last = following or self._last
        num_decoded = self._last.number + 1 if following is None else following.number
        num_decoded -= self._first.number
        unreadable = last.num_unreadable - self._first.num_unreadable
        due = -(-(num_decoded + unreadable) // self._stride)
        looks = Looks(self._num_frames, max(self._num_frames, due), unreadable)
        end = self._last.time if end is None else max(end, self._last.time)
        return LiveSegment(self._camera_id, self.start, end, num_decoded, tracklets, _damage(looks), looks)


def _damage(looks: Looks) -> str | None:
    num_skipped = looks.due - looks.looked_at - looks.unreadable
    parts = []
    if num_skipped > 0:
        parts.append(f"{num_skipped} of {looks.due} frames were skipped, because processing is slower than the camera")
    if looks.unreadable:
        parts.append(f"{looks.unreadable} packets could not be decoded")
    return "; ".join(parts) or None
