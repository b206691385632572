"""YOLO text labels: a project with data.yaml (https://docs.ultralytics.com/datasets/detect/), CVAT's flat "YOLO 1.1"
with obj.names, or pictures with their .txt and classes.txt beside them.

A row is `class x y width height`, as fractions; rows of polygons (`class x1 y1 x2 y2 …`) and, with `kpt_shape` in
data.yaml, of poses are read as their boxes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from districts.importing.annotated import Annotated, Box, Fractions, Picture
from districts.importing.foreign_annotations import number
from districts.importing.source_files import SourceFiles, split_of
from districts.layout import Split
from domain.errors import InputError, shown
from domain.foreign_files import DESCRIPTION_BYTES, TABLE_BYTES, read_text, read_yaml

_SPLIT_KEYS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "test": "test"}
_NAME_FILES = ("obj.names", "classes.txt", "_darknet.labels", "predefined_classes.txt")
_LARGEST_FRACTION = 1.5  # more must be pixels
_MOST_CLASSES = 10_000


def read_yolo(files: SourceFiles) -> Annotated:
    """The pictures of a YOLO project, each with the boxes of its label file.

    Raises:
        InputError: if there are no pictures or no names of classes, or a line is wrong; names file and line.
    """
    project = _Project(files)
    pictures, notes, num_unlabelled, num_scored = [], list(project.notes), 0, 0
    for picture, split in project.pictures():
        labels = _label_file(picture, files)
        boxes: list[Box] = []
        if labels is None:
            num_unlabelled += 1
        else:
            boxes, scored = project.read_labels(labels)
            num_scored += scored
        pictures.append(Picture(picture, tuple(boxes), split))
    if not pictures:
        raise InputError(f"{files.root} must hold pictures, got none")
    if num_unlabelled == len(pictures):
        raise InputError(
            f"{files.root} must hold a label file (.txt) for its pictures, such as labels/a.txt for images/a.jpg"
        )
    if num_unlabelled:
        notes.append(f"{num_unlabelled} pictures have no label file and count as pictures without people")
    if num_scored:
        notes.append(f"{num_scored} rows have a sixth number, as predictions have a confidence; all are taken")
    return Annotated(pictures, notes=notes)


class _Project:
    """Classes and splits of a YOLO project."""

    def __init__(self, files: SourceFiles) -> None:
        self._files, self.notes = files, list[str]()
        described = [file for file in files.with_suffix(".yaml", ".yml") if _is_description(file)]
        if len(described) > 1:
            raise InputError(f"{files.root} must hold one data.yaml, got {described[0]} and {described[1]}")
        self._content: Mapping[str, Any] = read_yaml(described[0]) if described else {}
        self._place = described[0] if described else files.root
        self._names = self._class_names()
        self._is_pose = "kpt_shape" in self._content

    def pictures(self) -> list[tuple[Path, Split | None]]:
        """All pictures with the split that data.yaml, a list of CVAT's or the folder gives them."""
        given: dict[Path, Split] = {}
        for key, split in _SPLIT_KEYS.items():
            for place in self._places(key):
                for picture in self._pictures_of(place):
                    if given.setdefault(picture, split) != split:
                        raise InputError(
                            f"{self._place}: each picture must be in one split, {picture} is in {given[picture]} and "
                            f"{split}"
                        )
        if given:
            return sorted(given.items())
        # without descriptions, folders called train, val and test tell
        found = self._files.pictures()
        return [(file, split_of(file.relative_to(self._files.root).parts[:-1])) for file in found]

    def _places(self, key: str) -> list[str]:
        value = self._content.get(key)
        places = value if isinstance(value, list) else [value] if value else []
        if not all(isinstance(place, str) for place in places):
            raise InputError(f"{self._place}: {key} must be a path or a list of paths, got {shown(value)}")
        if not self._content:
            lists = {
                file.stem.lower(): file for file in self._files.with_suffix(".txt") if file.parent == self._files.root
            }
            return [lists[key].name] if key in lists else []
        return places

    def _pictures_of(self, place: str) -> list[Path]:
        """Pictures of a split: those below a folder, or those that a .txt lists."""
        parts = [part for part in place.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        if parts and parts[-1].endswith(".txt"):
            listing = self._files.find("/".join(parts), place=self._place)
            lines = read_text(listing, TABLE_BYTES).splitlines()
            return [
                self._files.find(line.strip(), f"{listing}, line {number}", listing.parent)
                for number, line in enumerate(lines, start=1)
                if line.strip()
            ]
        base = str(self._content.get("path") or "").replace("\\", "/").strip("/").split("/")
        for start in range(len(parts)):
            for folder in (
                self._files.root.joinpath(*parts[start:]),
                self._files.root.joinpath(*base[-1:], *parts[start:]),
            ):
                if folder in self._files.folders:
                    return self._files.pictures(folder)
        raise InputError(f"{self._place}: the folder {shown(place)} must be below {self._files.root}; it is missing")

    def _class_names(self) -> dict[int, str]:
        names = self._content.get("names")
        if names is None:
            lists = [file for file in self._files.files if file.name in _NAME_FILES]
            if not lists:
                self.notes.append(
                    "no data.yaml, obj.names or classes.txt names the classes; each is called by its number"
                )
                return {}
            names = [line.strip() for line in read_text(lists[0], DESCRIPTION_BYTES).splitlines() if line.strip()]
        if isinstance(names, list):
            names = dict(enumerate(names))
        if not isinstance(names, dict) or not names or len(names) > _MOST_CLASSES:
            raise InputError(f"{self._place}: names must list the classes, got {shown(names)}")
        return {int(number(key, self._place, "a class")): str(name) for key, name in names.items()}

    def read_labels(self, file: Path) -> tuple[list[Box], int]:
        """The boxes of a label file, and how many of its rows have a sixth number."""
        boxes, num_scored = [], 0
        for line_number, line in enumerate(read_text(file, DESCRIPTION_BYTES).splitlines(), start=1):
            if not line.strip():
                continue
            place = f"{file}, line {line_number}"
            kind, *values = (number(field, place, "each field") for field in line.split())
            if not kind.is_integer() or not 0 <= kind < _MOST_CLASSES or (self._names and kind not in self._names):
                raise InputError(f"{place}: class must be one of {self._known()}, got {shown(line)}")
            xyxy = _box_of(values, is_pose=self._is_pose)
            if xyxy is None:
                raise InputError(
                    f"{place}: must be `class x y width height` or a polygon of fractions, got {shown(line)}"
                )
            num_scored += len(values) == 5
            boxes.append(Box(self._names.get(int(kind), str(int(kind))), xyxy))
        return boxes, num_scored

    def _known(self) -> str:
        return f"{min(self._names)} to {max(self._names)}" if self._names else f"0 to {_MOST_CLASSES - 1}"


def _is_description(file: Path) -> bool:
    content = read_yaml(file)
    return isinstance(content, dict) and "names" in content


def _label_file(picture: Path, files: SourceFiles) -> Path | None:
    """The label file of a picture: in the folder `labels` that mirrors `images`, or beside it."""
    parts = list(picture.relative_to(files.root).parts)
    beside = picture.with_suffix(".txt")
    for place in range(len(parts) - 1, -1, -1):
        if parts[place] == "images":
            mirrored = files.root.joinpath(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
            return mirrored if mirrored.is_file() else beside if beside.is_file() else None
    return beside if beside.is_file() else None


def _box_of(values: Sequence[float], *, is_pose: bool) -> Fractions | None:
    """Corners of a row's box; None if the row is none."""
    if len(values) in (4, 5) or (is_pose and len(values) > 4):
        x, y, width, height = values[:4]
        box = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        is_fraction = min(width, height) >= 0 and max(abs(x), abs(y), width, height) <= _LARGEST_FRACTION
        return box if is_fraction else None
    if len(values) < 6 or len(values) % 2 or max(map(abs, values)) > _LARGEST_FRACTION:
        return None
    xs, ys = values[::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)
