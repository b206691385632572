"""Tracks people in several videos at once: one tracker per camera, batches over the frames of all cameras."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import compress
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import PositiveInt

from domain.boxes import Detections
from domain.images import crop_boxes, encode_jpeg
from domain.names import Name
from domain.settings import Settings
from domain.tracklets import FullFrame, Tracklet
from domain.videos import NO_SETTINGS, VideoLimits
from serving.database.overlaps import Span
from serving.database.segments import Looks
from serving.ingestion.motion_gate import MotionGate, MotionGateSettings
from serving.perception.perception import Perception, PerceptionSettings
from serving.tracking.crop_quality import CropFeatures, crop_qualities
from serving.tracking.settings import TrackerSettings
from serving.tracking.tracker import Tracker
from serving.video.files import Frame, VideoReader

_FULL_FRAME_QUALITY = 85  # of JPEG
_LEAST_LOOKS_PER_S = 1.0  # however many more frames come than can be looked at


class TrackingSettings(Settings):
    """Section `tracking`."""

    detector: Name  # of its engine
    attributes: Name
    frame_stride: PositiveInt
    video: VideoLimits = NO_SETTINGS
    motion_gate: MotionGateSettings
    perception: PerceptionSettings
    tracker: TrackerSettings

    def with_tracker(self, **changed: float) -> Self:
        """The same, with other settings of the tracker."""
        return self.model_copy(update={"tracker": self.tracker.model_copy(update=changed)})


@dataclass(frozen=True)
class CameraVideo:
    """A video file of one camera."""

    camera_id: str
    file: Path
    start: datetime  # time of the first frame, with a time zone
    sha256: str | None = None  # of the file that is meant; None: whichever is there
    left_out: Sequence[Span] = ()  # times that are not looked at, because another recording has them, in order
    shed: int = 1  # of the frames that are due only every n-th is looked at, because more come than can be looked at


@dataclass
class FollowedVideo:
    """Tracklets and frame counts of one video."""

    fps: float  # mean over the video
    num_frames: int
    end_s: float  # end of the last frame, since the first
    times_s: Sequence[float]  # of each frame, since the first
    damage: str | None  # parts that could not be read and times that are not the file's, `None` if there are none
    looks: Looks
    left_out: list[Span]  # times that were not looked at: pauses of the recording, and those of `CameraVideo`
    geometry: str | None = None  # how the frames were turned and scaled, `None` if they were not
    pixel_scale: tuple[float, float] = (1.0, 1.0)  # of a stored pixel, across and down the upright frame
    tracklets: list[Tracklet] = field(default_factory=list)  # in the order in which they ended


class StageClock:
    """Seconds spent in each step of the pipeline."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the duration of the block to `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


@dataclass
class _Stream:
    video: CameraVideo
    reader: VideoReader
    frames: Iterator[Frame]
    tracker: Tracker
    tracklets: list[Tracklet]
    gate: MotionGate | None
    detections: Detections | None = None  # of the last frame that the detector saw
    looked_at: int = 0  # frames
    passed_over: int = 0  # frames at times that are left out
    shed: int = 1  # see `CameraVideo`; less where there would not be a look a second

    def passes(self, frame: Frame) -> bool:
        return self.gate is None or self.gate.passes(frame.image, frame.time_s)

    def looks(self, stride: int) -> Looks:
        """How densely the video was looked at, of which every `stride`-th frame should have been."""
        unreadable = self.reader.damaged_packets
        due = -(-(self.reader.num_frames + unreadable) // stride) - self.passed_over * self.reader.stride // stride
        return Looks(self.looked_at, due=max(self.looked_at, due), unreadable=unreadable)

    def taken(self, num_frames: int) -> list[Frame]:
        """The next frames, without those at times that are left out; none at the end."""
        frames: list[Frame] = []
        for frame in self.frames:
            moment = self.video.start + timedelta(seconds=frame.time_s)
            if any(begin <= moment < end for begin, end in self.video.left_out):
                self.passed_over += 1
            else:
                frames.append(frame)
            if len(frames) == num_frames:
                break
        return frames

    def left_out(self) -> list[Span]:
        """Times of the recording that were not looked at."""
        start, end = self.video.start, self.video.start + timedelta(seconds=self.reader.end_s)
        pauses = [
            (start + timedelta(seconds=begin_s), start + timedelta(seconds=end_s))
            for begin_s, end_s in self.reader.pauses_s
        ]
        others = [(max(begin, start), min(until, end)) for begin, until in self.video.left_out]
        return sorted(span for span in pauses + others if span[0] < span[1])

    def damage(self) -> str | None:
        """Defects of the file, and the frames that were passed over."""
        said = [self.reader.damage] if self.reader.damage else []
        if self.passed_over:
            said.append(
                f"{self.passed_over} frames were not looked at, because another recording of "
                f"{self.video.camera_id} has their times"
            )
        if self.shed > 1:
            said.append(f"only one in {self.shed} frames was looked at, because more come than can be looked at")
        return "; ".join(said) or None

    def detections_of(self, passing: Sequence[bool], new: Iterator[Detections]) -> Iterator[Detections]:
        """Detections of each frame: the next of `new` if the frame passed the gate, else the previous ones again."""
        for passed in passing:
            if passed:
                self.detections = next(new)
            assert self.detections is not None, "the first frame passes"
            yield self.detections


def follow(
    videos: Sequence[CameraVideo],
    perception: Perception,
    settings: TrackingSettings,
    *,
    on_frames: Callable[[int], object],
    clock: StageClock,
    num_crops: int = 1,
) -> list[FollowedVideo]:
    """Track people in each video, in the order of `videos`; the end of a video ends its tracks.

    Args:
        settings: with fewer videos than `detector_batch`, a detector batch has several frames of each video.
        on_frames: called with the number of frames processed since the last call.
        clock: records the time of each step.
        num_crops: maximum number of pictures of a tracklet, the best crops; memory grows with it.

    Raises:
        InputError: if a video is missing or cannot be read.
    """
    with ExitStack() as stack:
        streams = [_open(stack, video, perception, settings) for video in videos]
        frames_each = max(1, settings.perception.detector_batch // max(1, len(streams)))
        running = streams
        while running:
            with clock.timed("decode"):
                taken = [stream.taken(frames_each) for stream in running]
            running = [stream for stream, frames in zip(running, taken, strict=True) if frames]
            taken = [frames for frames in taken if frames]
            for stream, frames in zip(running, taken, strict=True):
                stream.looked_at += len(frames)
            with clock.timed("gate"):
                passing = [
                    [stream.passes(frame) for frame in frames] for stream, frames in zip(running, taken, strict=True)
                ]
            with clock.timed("detect"):
                passed = [list(compress(frames, passes)) for frames, passes in zip(taken, passing, strict=True)]
                new_detections = iter(perception.detect([frame.image for frames in passed for frame in frames]))
            detections = [
                list(stream.detections_of(passes, new_detections))
                for stream, passes in zip(running, passing, strict=True)
            ]
            for step in range(max(map(len, taken), default=0)):
                seen = [
                    (stream, frames[step], people[step])
                    for stream, frames, people in zip(running, taken, detections, strict=True)
                    if step < len(frames)
                ]
                tracked = [(stream.tracker, frame, detected) for stream, frame, detected in seen]
                ended = advance(tracked, perception, clock, num_crops)
                for (stream, *_), tracklets in zip(seen, ended, strict=True):
                    stream.tracklets += tracklets
            on_frames(settings.frame_stride * sum(map(len, taken)))
        for stream in streams:
            with clock.timed("describe"):
                stream.tracklets += describe_tracklets(stream.tracker.close(), perception, num_crops)
        return [
            FollowedVideo(
                fps=reader.fps,
                num_frames=reader.num_frames,
                end_s=reader.end_s,
                times_s=reader.times_s,
                damage=stream.damage(),
                looks=stream.looks(settings.frame_stride),
                left_out=stream.left_out(),
                geometry=reader.geometry,
                pixel_scale=reader.pixel_scale,
                tracklets=stream.tracklets,
            )
            for stream in streams
            for reader in [stream.reader]
        ]


def _open(stack: ExitStack, video: CameraVideo, perception: Perception, settings: TrackingSettings) -> _Stream:
    reader = stack.enter_context(VideoReader(video.file, settings.frame_stride, settings.video, sha256=video.sha256))
    shed = min(video.shed, max(1, int(reader.fps / settings.frame_stride / _LEAST_LOOKS_PER_S)))
    reader.stride *= shed
    tracker = new_tracker(video.camera_id, video.start, perception, settings)
    gate = MotionGate(settings.motion_gate) if settings.motion_gate.enabled else None
    return _Stream(video, reader, iter(reader), tracker, [], gate, shed=shed)


def new_tracker(camera_id: str, start: datetime, perception: Perception, settings: TrackingSettings) -> Tracker:
    """A tracker for a camera whose first frame was taken at `start`, with the thresholds of `perception`'s engines."""
    return Tracker(
        camera_id,
        start,
        settings.tracker,
        strong_score=perception.strong_score,
        match_distance=perception.match_distance,
    )


def advance(
    seen: Sequence[tuple[Tracker, Frame, Detections]], perception: Perception, clock: StageClock, num_crops: int = 1
) -> list[list[Tracklet]]:
    """Update the tracker of each camera with one frame; returns for each camera the tracklets that ended, described.

    The crops of all cameras are embedded in one batch.
    """
    with clock.timed("track"):
        plans = [
            tracker.plan(frame.number, frame.time_s, people, (frame.image.shape[1], frame.image.shape[0]))
            for tracker, frame, people in seen
        ]
        crops = [
            crop_boxes(frame.image, plan.boxes_xyxy[plan.to_embed])
            for (_, frame, _), plan in zip(seen, plans, strict=True)
        ]
    with clock.timed("embed"):
        of_all = [crop for of_frame in crops for crop in of_frame]
        embeddings = perception.embed(of_all)
    more_embeddings: Mapping[str, np.ndarray] = {}
    if perception.previous_version:
        with clock.timed("embed_as_before"):
            more_embeddings = perception.embed_as_before(of_all)
    first, ended = 0, []
    for (tracker, frame, _), plan, of_frame in zip(seen, plans, crops, strict=True):
        here = slice(first, first + len(of_frame))
        with clock.timed("track"):
            qualities = crop_qualities(frame.image, plan.boxes_xyxy, plan.scores, plan.to_embed, of_frame)
            full_frame = cache(partial(_encoded, frame))
            more = {version: each[here] for version, each in more_embeddings.items()}
            features = CropFeatures(embeddings[here], qualities, of_frame, full_frame, more)
            ended_now = tracker.update(plan, features)
        with clock.timed("describe"):
            ended.append(describe_tracklets(ended_now, perception, num_crops))
        first += len(of_frame)
    return ended


def _encoded(frame: Frame) -> FullFrame:
    return FullFrame(frame.number, encode_jpeg(frame.image, _FULL_FRAME_QUALITY))


def describe_tracklets(ended: Sequence[Tracklet], perception: Perception, num_crops: int = 1) -> list[Tracklet]:
    """Tracklets with attributes from all their crops, of which the best `num_crops` of each remain as pictures.

    They stay in memory until the end of the video; the others are encoded.
    """
    return [
        replace(one, crops=one.crops[:num_crops], more_crops=[encode_jpeg(crop) for crop in one.crops[num_crops:]])
        for one in perception.described(ended)
    ]
