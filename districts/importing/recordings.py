"""Recordings with tracks: what each of their frames is used for, and one pass over the footage that writes it all.

The annotated time of a recording is cut into training, validation and test. Frames of the first two, and of the third,
become the detection set; the test part also becomes a video of its own, on which tracking is tested. A person belongs
to the last part in which a box shows the person, so people in the tested video are never trained on.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
from tqdm import tqdm

from districts.box_files import TrackTable, write_tracks
from districts.demo.video import VideoWriter
from districts.importing.annotated import Fractions, Recording, TrackBox
from districts.importing.box_fractions import BoxCounts, cut
from districts.importing.detection_set import write_picture
from districts.importing.footage import Facts, facts_of, frames_of, name_of
from districts.importing.splits import Shares
from districts.layout import Split
from domain.errors import InputError
from domain.images import write_image

_GAP_S, _GAP_SHARE = 2.0, 0.1  # left out before each cut, at most this share of the shorter part beside it


@dataclass(frozen=True)
class Plan:
    """What is done with a recording; all frames count from 1."""

    recording: Recording
    facts: Facts
    fps: float
    step: int  # from one annotated frame to the next
    first_frame: int
    first_val: int
    first_test: int
    end: int  # after the last annotated frame
    gap: int  # frames before a cut that are in no split
    every: int  # frames from one picture of the detection set to the next

    def split_of(self, frame: int) -> Split | None:
        """The split of a frame; None outside the annotated time and just before a cut."""
        if not self.first_frame <= frame < self.end:
            return None
        for following in (self.first_val, self.first_test):
            if 0 < following - frame <= self.gap and following < self.end:
                return None
        return "train" if frame < self.first_val else "val" if frame < self.first_test else "test"

    def detection_frames(self) -> dict[int, Split]:
        """The frames of the detection set with their splits."""
        frames = range(self.first_frame, self.end, self.every)
        return {frame: split for frame in frames if (split := self.split_of(frame)) is not None}

    def identity_splits(self) -> dict[int, Split]:
        """The last part of the time in which each track has a box."""
        last: dict[int, int] = defaultdict(int)
        for box in self.recording.boxes:
            last[box.track] = max(last[box.track], box.frame)
        return {
            track: "train" if frame < self.first_val else "val" if frame < self.first_test else "test"
            for track, frame in last.items()
        }

    @property
    def test_offset(self) -> timedelta:
        """Time from the beginning of the footage to that of the tested video."""
        return timedelta(seconds=(self.first_test - 1) / self.fps)

    @property
    def test_fps(self) -> Fraction:
        """Rate of the tested video, which has the annotated frames only."""
        return (Fraction(self.fps).limit_denominator(1001) / self.step).limit_denominator(60000)

    @property
    def test_frames(self) -> range:
        """Frames of the tested video."""
        return range(self.first_test, self.end, self.step)


def plan_recording(recording: Recording, shares: Shares, every_s: float, fps: float | None) -> Plan:
    """Cut the annotated time of a recording.

    Args:
        recording: its boxes are those of people.
        shares: of training, validation and test.
        every_s: time from one picture of the detection set to the next.
        fps: rate of footage that does not say its own.

    Raises:
        InputError: if footage is unreadable, its rate is unknown, or boxes lie beyond its end.
    """
    facts, place = facts_of(recording.footage), name_of(recording.footage)
    rate = recording.fps or facts.fps or fps
    if rate is None:
        raise InputError(f"the frame rate of {place} must be given: --fps")
    annotated = _annotated_frames(recording)
    last = max((box.frame for box in recording.boxes), default=0)
    ends = [annotated.stop - 1, *([facts.num_frames] if facts.num_frames is not None else [])]
    if (beyond := max(last, annotated.stop - 1)) > min(ends):
        raise InputError(
            f"the boxes of {recording.camera} must be within its {min(ends)} annotated frames, got frame {beyond}"
        )
    first_val, first_test = shares.borders(len(annotated))
    shortest = min(
        (part for part in (first_val, first_test - first_val, len(annotated) - first_test) if part), default=0
    )
    return Plan(
        recording,
        facts,
        rate,
        annotated.step,
        annotated.start,
        annotated.start + first_val * annotated.step,
        annotated.start + first_test * annotated.step,
        annotated.stop,
        gap=annotated.step * min(round(_GAP_S * rate / annotated.step), int(_GAP_SHARE * shortest)),
        every=annotated.step * max(1, round(every_s * rate / annotated.step)),
    )


def require_one_box(recording: Recording) -> None:
    """Raise `InputError` if a track has two boxes in a frame."""
    taken = set[tuple[int, int]]()
    for box in recording.boxes:
        if (key := (box.frame, box.track)) in taken:
            raise InputError(
                f"each track of {recording.camera} must have one box in a frame, got two of track {box.track} in frame "
                f"{box.frame}"
            )
        taken.add(key)


def _annotated_frames(recording: Recording) -> range:
    if recording.annotated is not None:
        last = recording.annotated[-1] if recording.annotated else recording.annotated.start
        return range(recording.annotated.start, last + 1, recording.annotated.step)
    frames = [box.frame for box in recording.boxes]
    return range(min(frames), max(frames) + 1) if frames else range(1, 1)


@dataclass(frozen=True)
class CropRequest:
    """A box to be cut out of a frame and written to `file`."""

    xyxy: Fractions
    file: Path


def write_recording(
    folder: Path,
    plan: Plan,
    counts: BoxCounts,
    crops: Mapping[int, Sequence[CropRequest]],
    *,
    detection: bool,
    video: bool,
) -> None:
    """Read the footage once, and write its pictures of the detection set, its crops by frame and the tested video.

    Raises:
        InputError: if the footage ends before its last annotated frame.
    """
    boxes = _by_frame(plan.recording.boxes)
    chosen = plan.detection_frames() if detection else {}
    size = plan.facts.width - plan.facts.width % 2, plan.facts.height - plan.facts.height % 2  # as H.264 needs it
    camera, last = plan.recording.camera, 0
    needed = max([*chosen, *crops, *(plan.test_frames if video else ())], default=0)
    with ExitStack() as stack:
        file = folder / "videos" / f"{camera}.mp4"
        writer = stack.enter_context(VideoWriter(file, plan.test_fps, size)) if video else None
        frames = _until(frames_of(plan.recording.footage), needed)
        for last, picture in tqdm(frames, total=needed, unit="frame", desc=camera):
            if last in chosen:
                inside = [box for box in (counts.take(each.xyxy) for each in boxes[last] if each.is_counted) if box]
                write_image(write_picture(folder, chosen[last], f"{camera}_{last:06d}.jpg", inside), picture, 95)
            for crop in crops.get(last, ()):
                write_image(crop.file, cut(picture, crop.xyxy), 95)
            if writer is not None and last in plan.test_frames:
                writer.write(np.ascontiguousarray(picture[: size[1], : size[0]]))
    if last < needed:
        raise InputError(f"{name_of(plan.recording.footage)} must have {needed} frames, got {last}")
    if video:
        write_tracks(folder / "videos" / f"{camera}.txt", test_truth(plan))


def test_truth(plan: Plan) -> TrackTable:
    """Ground truth of the tested video, whose frames count from 1."""
    places = {frame: number for number, frame in enumerate(plan.test_frames, start=1)}
    rows = [box for box in plan.recording.boxes if box.frame in places]
    scale = np.array([plan.facts.width, plan.facts.height] * 2)
    return TrackTable(
        np.array([places[box.frame] for box in rows], np.int64),
        np.array([box.track for box in rows], np.int64),
        (np.array([box.xyxy for box in rows], np.float64).reshape(-1, 4) * scale).astype(np.float32),
        np.array([float(box.is_counted) for box in rows], np.float32),
    )


def _until(frames: Iterator[tuple[int, np.ndarray]], last: int) -> Iterator[tuple[int, np.ndarray]]:
    """The frames up to the frame `last`."""
    for number, picture in frames if last else ():
        yield number, picture
        if number == last:
            return


def _by_frame(boxes: Sequence[TrackBox]) -> dict[int, list[TrackBox]]:
    grouped: dict[int, list[TrackBox]] = defaultdict(list)
    for box in boxes:
        grouped[box.frame].append(box)
    return grouped
