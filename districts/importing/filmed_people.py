"""People of all recordings: who is the same, to which split each belongs, and which of their boxes become crops."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from districts.importing.annotated import Recording
from districts.importing.box_fractions import clipped
from districts.importing.crop_sets import Sample, place_by_split
from districts.importing.description import CameraFacts, starts_of
from districts.importing.options import Options
from districts.importing.recordings import CropRequest, Plan, plan_recording, require_one_box
from districts.importing.splits import split_people
from districts.layout import SPLITS, Split
from domain.errors import InputError


@dataclass(frozen=True)
class Filmed:
    """The recordings of a source, and the people in them."""

    plans: Sequence[Plan]
    samples: list[Sample]  # placed; `write` of each asks for a crop in `requests`
    requests: Mapping[str, dict[int, list[CropRequest]]]  # camera -> frame -> crops, filled as sets are written
    cameras: Sequence[CameraFacts]
    notes: list[str]

    @property
    def has_tests(self) -> bool:
        """Whether each recording has a part to test tracking on."""
        return bool(self.plans) and all(plan.test_frames for plan in self.plans)

    @property
    def num_frames(self) -> Counter[Split | None]:
        """Number of frames of the detection set by split."""
        return Counter(split for plan in self.plans for split in plan.detection_frames().values())

    @property
    def num_boxes(self) -> Counter[Split | None]:
        """Number of people in the frames of the detection set by split."""
        counts = Counter[Split | None]()
        for plan in self.plans:
            chosen = plan.detection_frames()
            counts.update(chosen[box.frame] for box in plan.recording.boxes if box.is_counted and box.frame in chosen)
        return counts

    @property
    def has_training_frames(self) -> bool:
        """Whether frames of the detection set are for training."""
        return self.num_frames["train"] > 0


def film(recordings: Sequence[Recording], options: Options) -> Filmed:
    """Plan all recordings and their people.

    Raises:
        InputError: if two recordings are of one camera, or a recording cannot be planned.
    """
    for camera, number in Counter(recording.camera for recording in recordings).items():
        if number > 1:
            raise InputError(f"each recording must have a camera of its own, got {number} called {camera}")
    for recording in recordings:
        require_one_box(recording)
    numbered = _with_identities(recordings, shared=options.shared_identities)
    plans = [plan_recording(each, options.shares, options.every_s, options.fps) for each in numbered]
    starts = {plan.recording.camera: plan.facts.start for plan in plans if plan.facts.start is not None}
    starts |= starts_of(options.starts, [plan.recording.camera for plan in plans])
    requests: dict[str, dict[int, list[CropRequest]]] = {plan.recording.camera: defaultdict(list) for plan in plans}
    samples = [sample for plan in plans for sample in _samples(plan, plans, starts, requests)]
    notes = [f"{plan.recording.camera}: {note}" for plan in plans for note in _notes(plan)]
    placed = place_by_split(samples, _splits(plans, options)) if samples else []
    with_video = "videos" in options.parts
    cameras = [_facts(plan, starts.get(plan.recording.camera), with_video=with_video) for plan in plans]
    return Filmed(plans, placed, requests, cameras, notes)


def _with_identities(recordings: Sequence[Recording], *, shared: bool) -> list[Recording]:
    """Recordings whose tracks are numbered from 1 over all of them; with `shared`, a track id is one person in all."""
    numbers: dict[tuple[str, int], int] = {}
    renumbered = []
    for recording in recordings:
        scope = "" if shared else recording.camera
        boxes = [
            box._replace(track=numbers.setdefault((scope, box.track), len(numbers) + 1)) for box in recording.boxes
        ]
        renumbered.append(replace(recording, boxes=boxes))
    return renumbered


def _splits(plans: Sequence[Plan], options: Options) -> Mapping[int, Split]:
    """The last part of the time in which a person is seen; without tested videos, people are split by identity."""
    if "videos" not in options.parts:
        return split_people([box.track for plan in plans for box in plan.recording.boxes], options.shares)
    last: dict[int, Split] = {}
    for plan in plans:
        for track, split in plan.identity_splits().items():
            last[track] = max(split, last.get(track, "train"), key=SPLITS.index)
    return last


def _samples(
    plan: Plan,
    plans: Sequence[Plan],
    starts: Mapping[str, datetime],
    requests: Mapping[str, dict[int, list[CropRequest]]],
) -> list[Sample]:
    """One crop of each track for each `every` frames."""
    camera = plan.recording.camera
    begin = _clock(camera, plans, starts)
    following: dict[int, int] = {}
    samples = []
    for box in sorted(plan.recording.boxes, key=lambda each: each.frame):
        inside = clipped(box.xyxy)
        if not box.is_counted or inside is None or box.frame < following.get(box.track, 0):
            continue
        following[box.track] = box.frame + plan.every

        def ask(target: Path, frame: int = box.frame, xyxy: tuple[float, float, float, float] = inside) -> None:
            requests[camera][frame].append(CropRequest(xyxy, target))

        time = None if begin is None else begin + (box.frame - 1) / plan.fps
        samples.append(Sample(box.track, camera, ask, frame=box.frame, time_s=time, attributes=box.attributes))
    return samples


def _clock(camera: str, plans: Sequence[Plan], starts: Mapping[str, datetime]) -> float | None:
    """Seconds on one clock at the beginning of a camera's footage; None if the cameras have no common clock."""
    if len(starts) == len(plans):
        return starts[camera].timestamp()
    return 0.0 if len(plans) == 1 else None


def _notes(plan: Plan) -> list[str]:
    said = []
    tracks = {box.track for box in plan.recording.boxes}
    if not tracks:
        said.append("no box of a person")
    if plan.step > 1:
        said.append(f"each {plan.step}th frame is annotated; the tested video has these frames only")
    return said


def _facts(plan: Plan, start: datetime | None, *, with_video: bool) -> CameraFacts:
    width, height = plan.facts.width, plan.facts.height
    if not with_video or not plan.test_frames:
        return CameraFacts(plan.recording.camera, plan.fps, width, height, start)
    begin = start + plan.test_offset if start else None
    offset = plan.test_offset.total_seconds()
    remark = f"of videos/{plan.recording.camera}.mp4, which begins {offset:.1f} s into the recording"
    return CameraFacts(
        plan.recording.camera, float(plan.test_fps), width - width % 2, height - height % 2, begin, remark
    )
