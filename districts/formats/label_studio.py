"""Label Studio JSON (https://labelstud.io/guide/task_format, "JSON" and "JSON-MIN"): pictures, and tracks in videos.

Coordinates are percentages. Of several annotations of a task, the first that was not cancelled is taken.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlparse

from districts.importing.annotated import NO_ATTRIBUTES, Annotated, Box, Fractions, Picture, Recording, TrackBox
from districts.importing.description import camera_id
from districts.importing.detection_set import picture_size
from districts.importing.foreign_annotations import number, numbers, read_json, whole
from districts.importing.keyframes import between_keyframes
from districts.importing.source_files import VIDEOS, SourceFiles
from domain.errors import InputError, shown

_MEDIA_KEYS = ("image", "video", "img")
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # which Label Studio puts before the name of an uploaded file
_SIDES = ("x", "y", "width", "height")
_SHAPES = ("rectanglelabels", "polygonlabels", "ellipselabels", "rectangle", "polygon", "ellipse")


def read_label_studio(files: SourceFiles) -> Annotated:
    """The pictures and recordings of all tasks in the JSON files below the source.

    Raises:
        InputError: if there is no task, an entry is wrong, or a picture or video is missing; names file and task.
    """
    pictures: list[Picture] = []
    recordings: list[Recording] = []
    counts = Counter[str]()
    for file in files.with_suffix(".json"):
        tasks = read_json(file)
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise InputError(
                f"{file} must be a list of tasks, as Label Studio exports JSON, got {type(tasks).__name__}"
            )
        for place, task in enumerate(tasks):
            read = _Task(f"{file}, task {place}", task, files, counts)
            if read.is_video:
                recordings.append(read.recording())
            else:
                pictures.append(read.picture())
    if not pictures and not recordings:
        raise InputError(f"{files.root} must hold a JSON export of Label Studio with tasks, got none")
    return Annotated(pictures, recordings, notes=[f"{count} {what}" for what, count in counts.items() if count])


def _inner_path(value: str) -> str:
    """Path of a file in an address: of the local storage (`?d=`), a web server, or an upload."""
    if "://" not in value and not value.startswith("/data/"):
        return value
    address = urlparse(value)
    return parse_qs(address.query).get("d", [address.path])[0]


class _Task:
    """A task: one picture or video with its regions."""

    def __init__(self, place: str, task: Mapping[str, Any], files: SourceFiles, counts: Counter[str]) -> None:
        self._place, self._files, self._counts = place, files, counts
        data = task.get("data", task)  # JSON-MIN has no `data`
        if not isinstance(data, dict):
            raise InputError(f"{place}: data must be an object, got {shown(data)}")
        self._file = self._media(data)
        self.is_video = self._file.suffix.lower() in VIDEOS
        self._regions = self._result(task) if "data" in task else self._minimal(data)

    def _media(self, data: Mapping[str, Any]) -> Path:
        """The picture or video that the task's data name."""
        for key in (*_MEDIA_KEYS, *data):
            value = data.get(key)
            if isinstance(value, str) and PurePosixPath(path := _inner_path(value)).suffix:
                try:
                    return self._files.find(path, self._place)
                except InputError:
                    unprefixed = _UPLOAD_PREFIX.sub("", PurePosixPath(path).name)
                    if unprefixed == PurePosixPath(path).name:
                        raise
                    return self._files.find(unprefixed, self._place)
        raise InputError(f"{self._place}: data must name a picture or video, got {shown(dict(data))}")

    def _result(self, task: Mapping[str, Any]) -> list[Any]:
        annotations = task.get("annotations", task.get("completions", []))
        kept = [each for each in _objects(annotations, self._place, "annotations") if not each.get("was_cancelled")]
        self._counts["tasks have several annotations; the first of each is taken"] += len(kept) > 1
        self._counts["tasks have no annotation and count as pictures without people"] += not kept
        return _objects(kept[0].get("result", []), self._place, "result") if kept else []

    def _minimal(self, data: Mapping[str, Any]) -> list[Any]:
        """Regions of JSON-MIN: lists of objects with coordinates."""
        lists = [value for value in data.values() if isinstance(value, list)]
        regions = [each for values in lists for each in values if isinstance(each, dict)]
        return [{"value": each, "type": "rectanglelabels", **each} for each in regions]

    def picture(self) -> Picture:
        """The picture with its boxes."""
        choices = self._choices()
        boxes = [
            Box(self._label(region), xyxy, choices.get(str(region.get("id")), NO_ATTRIBUTES))
            for region in self._regions
            if (xyxy := self._box(region)) is not None
        ]
        size = self._stated_size()
        return Picture(self._file, tuple(boxes), size=size or picture_size(self._file))

    def recording(self) -> Recording:
        """The video with its tracks; their frames count from 1."""
        boxes: list[TrackBox] = []
        num_frames, choices = 0, self._choices()
        tracks = [region for region in self._regions if region.get("type") == "videorectangle"]
        for track, region in enumerate(tracks, start=1):
            value = self._value(region)
            num_frames = max(num_frames, whole(value.get("framesCount", 0), self._place, "framesCount"))
            label = self._label({"value": {"labels": value.get("labels")}})
            attributes = choices.get(str(region.get("id")), NO_ATTRIBUTES)
            keyframes = []
            for each in _objects(value.get("sequence", []), self._place, "sequence"):
                frame = whole(each.get("frame"), self._place, "frame", 1)
                box = TrackBox(frame, track, label, self._fractions(each), attributes=attributes)
                keyframes.append((box, bool(each.get("enabled", True))))
            boxes += between_keyframes(_as_shown(keyframes, num_frames), 1, self._place)
        annotated = range(1, num_frames + 1) if num_frames else None
        return Recording(camera_id(self._file.stem), self._file, boxes, annotated=annotated)

    def _choices(self) -> dict[str, dict[str, str]]:
        """Attributes of each region: the choices that were made for it, by the name of their control."""
        chosen: dict[str, dict[str, str]] = defaultdict(dict)
        for region in self._regions:
            if region.get("type") == "choices":
                picked = self._value(region).get("choices")
                if isinstance(picked, list) and len(picked) == 1:
                    chosen[str(region.get("id"))][str(region.get("from_name"))] = str(picked[0])
        return chosen

    def _box(self, region: Mapping[str, Any]) -> Fractions | None:
        if region.get("type") not in _SHAPES:
            self._counts["regions have no box; left out"] += region.get("type") not in ("choices", "labels")
            return None
        value = self._value(region)
        if "points" in value:
            points = [
                numbers(point, self._place, "points", 2) for point in _list(value["points"], self._place, "points")
            ]
            if not points:
                raise InputError(f"{self._place}: a polygon must have points, got none")
            xs, ys = ([value / 100 for value in values] for values in zip(*points, strict=True))
            return min(xs), min(ys), max(xs), max(ys)
        if "radiusX" in value:
            sides = ("x", "y", "radiusX", "radiusY")
            x, y, across, down = (number(value.get(side), self._place, side) / 100 for side in sides)
            return x - across, y - down, x + across, y + down
        if number(value.get("rotation") or 0, self._place, "rotation"):
            self._counts["turned boxes are taken as if they were upright"] += 1
        return self._fractions(value)

    def _fractions(self, value: Mapping[str, Any]) -> Fractions:
        x, y, width, height = (number(value.get(side), self._place, side) / 100 for side in _SIDES)
        return x, y, x + width, y + height

    def _label(self, region: Mapping[str, Any]) -> str:
        for name, labels in self._value(region).items():
            if name.endswith("labels") and isinstance(labels, list) and labels:
                return str(labels[0])
        return "unlabelled"

    def _value(self, region: Mapping[str, Any]) -> Mapping[str, Any]:
        value = region.get("value")
        if not isinstance(value, dict):
            raise InputError(f"{self._place}: value of a region must be an object, got {shown(value)}")
        return value

    def _stated_size(self) -> tuple[int, int] | None:
        for region in self._regions:
            if "original_width" in region and "original_height" in region:
                sides = (whole(region[f"original_{side}"], self._place, side, 1) for side in ("width", "height"))
                width, height = sides
                return width, height
        return None


def _as_shown(keyframes: list[tuple[TrackBox, bool]], num_frames: int) -> list[tuple[TrackBox, bool]]:
    """Keyframes such that the track is visible in each, hidden just after a disabled one, and shown until the end."""
    ordered = sorted(keyframes, key=lambda each: each[0].frame)
    shown_at = {box.frame: (box, True) for box, _ in ordered}
    if len(shown_at) < len(ordered):  # a frame twice, which is refused
        return ordered
    for box, is_enabled in ordered:
        if not is_enabled:
            shown_at.setdefault(box.frame + 1, (box._replace(frame=box.frame + 1), False))
    if ordered and ordered[-1][1] and ordered[-1][0].frame < num_frames:
        shown_at[num_frames] = ordered[-1][0]._replace(frame=num_frames), True
    return [shown_at[frame] for frame in sorted(shown_at)]


def _list(value: Any, place: str, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{place}: {what} must be a list, got {shown(value)}")
    return value


def _objects(value: Any, place: str, what: str) -> list[dict[str, Any]]:
    if not all(isinstance(each, dict) for each in _list(value, place, what)):
        raise InputError(f"{place}: {what} must be a list of objects, got {shown(value)}")
    return list(value)
