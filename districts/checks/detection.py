"""Checks of a district's detection set, apart from the other checks: training a detector needs no attribute schema."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from districts.box_files import PEOPLE, YoloBox, parse_labels
from districts.checks.pictures import PictureChecks, equal_but_for_case, unread
from districts.checks.readings import Readings
from districts.findings import Finding, Shown, contents, fatal, gathered, listed
from districts.layout import Split, find_pictures
from domain.errors import InputError, shown
from domain.foreign_files import SMALL_BYTES, read_text
from domain.names import is_hidden

_CLASSES = "classes.txt"
_OUTSIDE = 0.01  # of the picture's side; less is rounding
_SMALLEST_PX = 2
_WHOLE = 0.95  # of the picture's area: a box of everything, not of a person


def check_detection(folder: Path, splits: Sequence[Split], readings: Readings) -> Iterator[Finding]:
    """Defects in `splits` of the detection set of the district in `folder`."""
    for split in splits:
        images, labels = folder / "detection" / "images" / split, folder / "detection" / "labels" / split
        pictures = find_pictures(images) if images.is_dir() else []
        yield from unread(images) if images.is_dir() else ()
        if not pictures:
            where = images if images.is_dir() else images.parent
            yield Finding(True, str(images), f"must hold pictures, got none; in {where} {contents(where)}")
            continue
        yield from _check_class_names(folder / "detection", labels)
        yield from _check_names(pictures, labels)
        yield from _check_pictures(pictures, labels, PictureChecks(images, readings, is_evaluated=split != "train"))


def _check_class_names(detection: Path, labels: Path) -> Iterator[Finding]:
    """Class 0 by the list of names that annotation tools leave beside the labels."""
    for file in (labels / _CLASSES, detection / _CLASSES):
        try:
            names = read_text(file, SMALL_BYTES).splitlines() if file.is_file() else []
        except InputError as error:
            yield fatal(file, error)
            continue
        if names and names[0].strip().casefold() not in PEOPLE:
            yield Finding(False, f"{file}, line 1", f"class 0 counts as a person, but is named {shown(names[0])}")


def _check_names(pictures: Sequence[Path], labels: Path) -> Iterator[Finding]:
    """Pictures and label files that do not belong together one to one."""
    by_stem: dict[str, Path] = {}
    for picture in pictures:
        other = by_stem.setdefault(picture.stem, picture)
        if other != picture:
            message = f"must have a label file of its own; {other.name} has the same, {picture.stem}.txt"
            yield Finding(True, str(picture), message)
    for other_name, name in equal_but_for_case(by_stem):
        message = f"differs from {by_stem[other_name].name} in case alone: other systems take them for one file"
        yield Finding(False, str(by_stem[name]), message)
    for file in sorted(labels.iterdir()) if labels.is_dir() else ():
        if is_hidden(file.name) or file.suffix.lower() != ".txt" or file.name == _CLASSES:
            continue
        if file.suffix != ".txt":
            yield Finding(True, str(file), f"must end with .txt, in lower case, got {file.suffix}")
        elif file.stem not in by_stem:
            message = f"must belong to a picture of the same name in detection/images/{labels.name}; there is none"
            yield Finding(False, str(file), message)


def _check_pictures(pictures: Sequence[Path], labels: Path, checks: PictureChecks) -> Iterator[Finding]:
    """The pictures of a split and their boxes."""
    num_boxes, empty = 0, []
    odd: dict[str, list[Finding]] = {}
    for picture in pictures:
        size, file = checks.look_at(picture), labels / f"{picture.stem}.txt"
        try:
            boxes, wrong = parse_labels(file) if file.exists() else ({}, {})
        except InputError as error:
            yield fatal(file, error)
            continue
        for line, message in wrong.items():
            yield Finding(True, f"{file}, line {line}", message, (Shown(picture),))
        for line, kind, message in _odd_boxes(boxes, size):
            finding = Finding(False, f"{file}, line {line}", message, (Shown(picture, boxes[line]),))
            odd.setdefault(kind, []).append(finding)
        num_boxes += len(boxes)
        if not boxes and not wrong:
            empty.append(picture)
    for kind, findings in odd.items():
        yield from gathered(findings, labels, kind)
    yield from checks.summary()
    if empty:
        names = listed([f"{picture.stem}.txt" for picture in empty])
        message = f"{len(empty)} pictures have no labels and count as pictures without people: {names}"
        yield Finding(False, str(labels), message, tuple(Shown(picture) for picture in empty))
    if num_boxes == 0:
        yield Finding(True, str(labels), "must label at least one person, got none")


def _odd_boxes(boxes: dict[int, YoloBox], size: tuple[int, int] | None) -> Iterator[tuple[int, str, str]]:
    """Line, kind and message of each box that is worth a look."""
    first_lines: dict[YoloBox, int] = {}
    for line, box in boxes.items():
        x, y, width, height = box
        over = max(width / 2 - x, height / 2 - y, x + width / 2 - 1, y + height / 2 - 1)
        if over > _OUTSIDE:
            yield (
                line,
                "boxes reach out of the picture",
                f"the box reaches {over:.0%} of the picture's side out of the picture",
            )
        if size is not None and min(width * size[1], height * size[0]) < _SMALLEST_PX:
            message = f"the box is {width * size[1]:.1f} × {height * size[0]:.1f} pixels"
            yield line, f"boxes are smaller than {_SMALLEST_PX} pixels", message
        if width * height >= _WHOLE:
            message = f"the box covers {width * height:.0%} of the picture"
            yield line, "boxes cover the whole picture, not one person", message
        if first_lines.setdefault(box, line) != line:
            message = f"the box is also in line {first_lines[box]}; one person counts twice"
            yield line, "boxes are there twice; each of these people counts twice", message
