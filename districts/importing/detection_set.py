"""Writes annotated pictures as the detection set of a district."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import ExifTags, Image

from districts.importers.intake import link_or_copy
from districts.importing.annotated import Fractions, Picture
from districts.importing.box_fractions import BoxCounts
from districts.layout import Split
from domain.errors import InputError
from domain.images import require_picture

_SAME_SHAPE = 0.02  # relative difference of two aspect ratios


def picture_size(file: Path) -> tuple[int, int]:
    """Width and height of a picture as OpenCV and annotation tools show it, in pixels.

    Raises:
        InputError: if it is no picture.
    """
    require_picture(file)
    with Image.open(file) as picture:
        width, height = picture.size
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def yolo_lines(boxes: Iterable[Fractions]) -> str:
    """The boxes of people as a YOLO label file."""
    lines = []
    for left, top, right, bottom in boxes:
        lines.append(f"0 {(left + right) / 2:.6f} {(top + bottom) / 2:.6f} {right - left:.6f} {bottom - top:.6f}\n")
    return "".join(lines)


def write_picture(folder: Path, split: Split, name: str, boxes: Iterable[Fractions]) -> Path:
    """Write the labels of a picture called `name`, and return the path that the picture must get."""
    images, labels = folder / "detection" / "images" / split, folder / "detection" / "labels" / split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    (labels / f"{Path(name).stem}.txt").write_text(yolo_lines(boxes), encoding="utf-8")
    return images / name


def write_pictures(folder: Path, pictures: Sequence[Picture], counts: BoxCounts) -> None:
    """Hard-link pictures with a split into the detection set, with their boxes.

    Raises:
        InputError: if a picture is missing, or its shape is not that of its annotation.
    """
    names = unique_names([picture.file for picture in pictures])
    for picture in pictures:
        if picture.split is not None:
            _require_shape(picture)
            boxes = [box for box in map(counts.take, (box.xyxy for box in picture.boxes)) if box is not None]
            link_or_copy(picture.file, write_picture(folder, picture.split, names[picture.file], boxes))


def unique_names(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each file whose stem no other has: its own, or with the folders that tell it from the others."""
    stems = Counter(file.stem for file in files)
    repeated = [file for file in files if stems[file.stem] > 1]
    common = Path(os.path.commonpath(repeated)) if len(repeated) > 1 else Path()
    names, taken = {}, set[str]()
    for file in files:
        name = "_".join(file.relative_to(common).parts) if stems[file.stem] > 1 and len(repeated) > 1 else file.name
        while Path(name).stem in taken:
            name = f"{Path(name).stem}-{file.suffix[1:]}{file.suffix}"
        taken.add(Path(name).stem)
        names[file] = name
    return names


def require_one_annotation(pictures: Sequence[Picture]) -> None:
    """Raise `InputError` if two entries of the source annotate the same picture."""
    for file, number in Counter(picture.file for picture in pictures).items():
        if number > 1:
            raise InputError(f"{file} must be annotated once, got {number} entries")


def _require_shape(picture: Picture) -> None:
    width, height = picture_size(picture.file)
    if picture.size is not None:
        stated = picture.size[0] / picture.size[1]
        if abs(stated * height / width - 1) > _SAME_SHAPE:
            raise InputError(
                f"{picture.file} must have the shape that its annotation states, {picture.size[0]} × "
                f"{picture.size[1]}, got {width} × {height}; the boxes would not fit"
            )
