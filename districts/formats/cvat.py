"""CVAT for images 1.1 and CVAT for video 1.1: XML with pictures, or with tracks in videos, one a task.

Form: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/. Frames count from 0 in the video.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from districts.importing.annotated import (
    NO_ATTRIBUTES,
    Annotated,
    Box,
    Footage,
    Fractions,
    Picture,
    Recording,
    TrackBox,
)
from districts.importing.description import camera_id
from districts.importing.footage import facts_of
from districts.importing.foreign_annotations import number, read_elements, whole
from districts.importing.keyframes import between_keyframes
from districts.importing.source_files import SourceFiles, split_of
from domain.errors import InputError, shown

_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_SHAPES = ("box", "polygon", "polyline", "ellipse", "mask")
_WITHOUT_BOX = ("points", "cuboid", "skeleton", "tag")
_SAME_SHAPE = 0.02  # relative difference of two aspect ratios


def read_cvat(files: SourceFiles) -> Annotated:
    """The pictures and recordings of all CVAT files below the source.

    Raises:
        InputError: if there is no CVAT file, an entry is wrong, or a picture or video is missing.
    """
    pictures: list[Picture] = []
    recordings: list[Recording] = []
    skipped = Counter[str]()
    for file in files.with_suffix(".xml"):
        export = _Export(file, files, skipped)
        pictures += export.pictures
        recordings += export.recordings
    if not pictures and not recordings:
        raise InputError(f"{files.root} must hold an .xml of CVAT for images or for video, with <image> or <track>")
    notes = [f"{count} shapes of the kind {kind} have no box; left out" for kind, count in skipped.items()]
    return Annotated(pictures, recordings, notes=notes)


@dataclass(frozen=True)
class _Video:
    camera: str
    footage: Footage
    size: tuple[int, int]  # width and height in pixels, of which coordinates are
    annotated: range | None  # frames from 1


class _Task:
    """What a file says of a task: its video, and the frames that are annotated."""

    def __init__(self, meta: Element, file: Path, files: SourceFiles) -> None:
        self._meta, self._file, self._files = meta, file, files

    def recording(self, boxes: Sequence[TrackBox]) -> Recording:
        """The video of the task with its tracks."""
        footage, annotated = self.video.footage, self.video.annotated
        if isinstance(footage, tuple) and annotated is not None and len(footage) == len(annotated):
            places = {frame: place for place, frame in enumerate(annotated, start=1)}  # pictures of these frames only
            boxes = [box._replace(frame=places[box.frame]) for box in boxes if box.frame in places]
            annotated = range(1, len(annotated) + 1)
        return Recording(self.video.camera, footage, boxes, annotated=annotated)

    @cached_property
    def video(self) -> _Video:
        """The footage of the task, which stands before the tracks."""
        source = self._source()
        footage = self._footage(source)
        facts = facts_of(footage)
        size = self._size("original_size") or (facts.width, facts.height)
        if abs(size[0] * facts.height / (size[1] * facts.width) - 1) > _SAME_SHAPE:
            raise InputError(
                f"{self._file} must annotate frames of {size[0]} × {size[1]} pixels, got {source} with "
                f"{facts.width} × {facts.height}"
            )
        return _Video(camera_id(PurePosixPath(source.replace("\\", "/")).stem), footage, size, self._frames())

    def text(self, tag: str) -> str | None:
        """The text of an element of the task."""
        element = next(self._meta.iter(tag), None)
        return element.text.strip() if element is not None and element.text and element.text.strip() else None

    def _source(self) -> str:
        """The name of the video that the task is of, or of the folder with its frames."""
        named = {each.text.strip() for each in self._meta.iter("source") if each.text and each.text.strip()}
        if len(named) > 1:
            raise InputError(f"{self._file} must be the export of one task, got {len(named)} videos; export each task")
        if named:
            return named.pop()
        videos, name = self._files.videos(), self.text("name")
        of_name = [video.name for video in videos if name in {video.name, video.stem}]
        if len(of_name) == 1:
            return of_name[0]
        if self._meta.tag == "task":
            raise InputError(f"{self._file}: the task {shown(name)} must name its video; export it by itself")
        return videos[0].name if len(videos) == 1 else self._file.parent.name

    def _footage(self, source: str) -> Footage:
        try:
            return self._files.find(source, self._file, self._file.parent)
        except InputError:
            frames = tuple(self._files.pictures(self._file.parent))
            if not frames or self._meta.tag == "task":  # of a project: the frames may be another task's
                raise
            return frames

    def _frames(self) -> range | None:
        """The annotated frames, from 1."""
        if self.text("stop_frame") is None:
            return None
        first = whole(self.text("start_frame") or "0", self._file, "start_frame")
        last = whole(self.text("stop_frame"), self._file, "stop_frame", first)
        written = (self.text("frame_filter") or "").replace(" ", "")
        step = whole(written.removeprefix("step="), self._file, "frame_filter", 1) if written else 1
        return range(first + 1, last + 2, step)

    def _size(self, tag: str) -> tuple[int, int] | None:
        element = next(self._meta.iter(tag), None)
        if element is None:
            return None
        width, height = (whole(element.findtext(side), self._file, side, 1) for side in ("width", "height"))
        return width, height


class _Export:
    """One file: its tasks, and what it annotates."""

    def __init__(self, file: Path, files: SourceFiles, skipped: Counter[str]) -> None:
        self._file, self._files, self._skipped = file, files, skipped
        self._tasks = {"": _Task(Element("meta"), file, files)}
        self._attributes: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}  # equal ones are kept once
        self.pictures: list[Picture] = []
        boxes: dict[str, list[TrackBox]] = defaultdict(list)  # by task
        for element in read_elements(file):
            if element.tag == "meta":
                self._tasks = self._tasks_of(element)
            elif element.tag == "image":
                self.pictures.append(self._picture(element))
            elif element.tag == "track":
                boxes[self._task_of(element)] += self._boxes(element)
        self.recordings = [
            task.recording(boxes[key])
            for key, task in self._tasks.items()
            if boxes[key] or (task.text("mode") == "interpolation" and not self.pictures)
        ]

    def _tasks_of(self, meta: Element) -> dict[str, "_Task"]:
        """The tasks of a project by their ids, or the one task of the file."""
        tasks = meta.findall("project/tasks/task")
        if not tasks:
            return {"": _Task(meta, self._file, self._files)}
        return {(task.findtext("id") or "").strip(): _Task(task, self._file, self._files) for task in tasks}

    def _task_of(self, track: Element) -> str:
        key = "" if "" in self._tasks else track.get("task_id", "")
        if key not in self._tasks:
            place = f"{self._file}, track {shown(track.get('id'))}"
            raise InputError(f"{place}: task_id must be a task's, {', '.join(self._tasks)}, got {shown(key)}")
        return key

    def _picture(self, image: Element) -> Picture:
        name = image.get("name", "")
        place = f"{self._file}, image {shown(name)}"
        size = self._attribute_size(image, place)
        boxes = [
            Box(shape.get("label", ""), xyxy, self._attributes_of(shape))
            for shape in image
            if (xyxy := self._box(shape, size, place)) is not None
        ]
        split = split_of((image.get("subset", ""),))
        return Picture(self._files.find(name, place, self._file.parent, split), tuple(boxes), split, size)

    def _boxes(self, track: Element) -> Iterator[TrackBox]:
        place = f"{self._file}, track {shown(track.get('id'))}"
        video = self._tasks[self._task_of(track)].video
        label, key = track.get("label", ""), whole(track.get("id"), place, "id")
        keyframes = []
        for shape in track:
            xyxy = self._box(shape, video.size, place)
            if xyxy is not None:
                frame = whole(shape.get("frame"), place, "frame") + 1
                box = TrackBox(frame, key, label, xyxy, attributes=self._attributes_of(shape))
                keyframes.append((box, shape.get("outside") != "1"))
        keyframes.sort(key=lambda each: each[0].frame)
        return between_keyframes(keyframes, video.annotated.step if video.annotated else 1, place)

    def _attribute_size(self, image: Element, place: str) -> tuple[int, int]:
        return whole(image.get("width"), place, "width", 1), whole(image.get("height"), place, "height", 1)

    def _attributes_of(self, shape: Element) -> Mapping[str, str]:
        found = {each.get("name", ""): (each.text or "").strip() for each in shape.iter("attribute")}
        return self._attributes.setdefault(tuple(found.items()), found) if found else NO_ATTRIBUTES

    def _box(self, shape: Element, size: tuple[int, int], place: str) -> Fractions | None:
        """The box around a shape; None if it has none."""
        if shape.tag not in _SHAPES:
            self._skipped[shape.tag] += shape.tag in _WITHOUT_BOX
            return None
        left, top, right, bottom = _pixels(shape, place)
        return left / size[0], top / size[1], right / size[0], bottom / size[1]


def _pixels(shape: Element, place: str) -> tuple[float, float, float, float]:
    def read(name: str) -> float:
        return number(shape.get(name), place, name)

    if shape.tag == "box":
        left, top, right, bottom = (read(name) for name in _CORNERS)
        return (
            _turned(left, top, right, bottom, read("rotation")) if shape.get("rotation") else (left, top, right, bottom)
        )
    if shape.tag == "ellipse":
        x, y, across, down = (read(name) for name in ("cx", "cy", "rx", "ry"))
        return x - across, y - down, x + across, y + down
    if shape.tag == "mask":
        left, top, width, height = (read(name) for name in ("left", "top", "width", "height"))
        return left, top, left + width, top + height
    pairs = [point.split(",") for point in shape.get("points", "").split(";") if point]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise InputError(f"{place}: points must be x,y;x,y;…, got {shown(shape.get('points'))}")
    xs, ys = ([number(value, place, "points") for value in values] for values in zip(*pairs, strict=True))
    return min(xs), min(ys), max(xs), max(ys)


def _turned(left: float, top: float, right: float, bottom: float, degrees: float) -> tuple[float, float, float, float]:
    """The upright box around a box that is turned about its centre."""
    x, y, angle = (left + right) / 2, (top + bottom) / 2, math.radians(degrees)
    across = abs((right - left) / 2 * math.cos(angle)) + abs((bottom - top) / 2 * math.sin(angle))
    down = abs((right - left) / 2 * math.sin(angle)) + abs((bottom - top) / 2 * math.cos(angle))
    return x - across, y - down, x + across, y + down
