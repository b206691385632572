"""COCO JSON (https://cocodataset.org/#format-data): `images`, `annotations` with `bbox` in pixels, `categories`.

A file's name or folder tells its split: instances_train2017.json, valid/_annotations.coco.json.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from districts.importing.annotated import NO_ATTRIBUTES, Annotated, Box, Fractions, Picture
from districts.importing.detection_set import picture_size
from districts.importing.foreign_annotations import numbers, read_json, whole
from districts.importing.source_files import SourceFiles, split_of
from domain.errors import InputError, shown

_LISTS = ("images", "annotations", "categories")


def read_coco(files: SourceFiles) -> Annotated:
    """The pictures of all COCO files below the source.

    Raises:
        InputError: if there is no COCO file, an entry is wrong, or a picture is missing; names file and entry.
    """
    pictures: list[Picture] = []
    notes: list[str] = []
    for file in files.with_suffix(".json"):
        content = read_json(file)
        if isinstance(content, dict) and "images" in content and "annotations" in content:
            read, said = _read_file(file, content, files)
            pictures += read
            notes += said
        else:
            notes.append(f"{files.relative(file)} is no COCO file (images, annotations, categories); left out")
    if not pictures:
        raise InputError(
            f"{files.root} must hold a COCO JSON file with images; {'; '.join(notes) or 'it has no .json'}"
        )
    return Annotated(pictures, notes=notes)


def _read_file(file: Path, content: dict[str, Any], files: SourceFiles) -> tuple[list[Picture], list[str]]:
    lists = {name: _entries(file, content.get(name), name) for name in _LISTS}
    categories = {
        _id(file, "categories", place, each): str(each.get("name")) for place, each in _placed(lists["categories"])
    }
    images = {_id(file, "images", place, each): (place, each) for place, each in _placed(lists["images"])}
    if len(images) < len(lists["images"]):
        raise InputError(
            f"{file}: each of images must have an id of its own, got {len(lists['images']) - len(images)} repeated"
        )
    boxes: dict[Any, list[Any]] = defaultdict(list)
    num_crowds = num_without = 0
    for place, each in _placed(lists["annotations"]):
        where, image, category = f"{file}, annotations[{place}]", each.get("image_id"), each.get("category_id")
        if not isinstance(image, int | str) or image not in images:
            raise InputError(f"{where}: image_id must be the id of an image, got {shown(image)}")
        if not isinstance(category, int | str) or category not in categories:
            raise InputError(f"{where}: category_id must be the id of a category, got {shown(category)}")
        if each.get("iscrowd") in (1, True):
            num_crowds += 1
        elif (xywh := _xywh(each, where)) is None:
            num_without += 1
        else:
            boxes[image].append((categories[category], xywh, _attributes(each.get("attributes"))))
    split = split_of(file.relative_to(files.root).parts)
    pictures = []
    for key, (place, image) in images.items():
        where = f"{file}, images[{place}]"
        if not isinstance(image.get("file_name"), str):
            raise InputError(f"{where}: file_name must be a text, got {shown(image.get('file_name'))}")
        picture = files.find(image["file_name"], where, file.parent, split)
        size = _size(image, where) or picture_size(picture)
        scaled = tuple(Box(label, _fractions(xywh, size), attributes) for label, xywh, attributes in boxes[key])
        pictures.append(Picture(picture, scaled, split, size))
    notes = [f"{file.name}: {num_crowds} boxes of crowds (iscrowd); left out"] if num_crowds else []
    notes += [f"{file.name}: {num_without} annotations have no bbox and no polygon; left out"] if num_without else []
    return pictures, notes


def _entries(file: Path, entries: Any, name: str) -> list[Any]:
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise InputError(f"{file}: {name} must be a list of objects, got {shown(entries)}")
    return entries


def _placed(entries: Sequence[Any]) -> Sequence[tuple[int, Any]]:
    return list(enumerate(entries))


def _id(file: Path, name: str, place: int, entry: dict[str, Any]) -> int | str:
    key = entry.get("id")
    if not isinstance(key, int | str):
        raise InputError(f"{file}, {name}[{place}]: id must be a number, got {shown(key)}")
    return key


def _size(image: dict[str, Any], where: str) -> tuple[int, int] | None:
    if "width" not in image or "height" not in image:
        return None
    return whole(image["width"], where, "width", 1), whole(image["height"], where, "height", 1)


def _xywh(annotation: dict[str, Any], where: str) -> list[float] | None:
    """The box of an annotation, or of its polygons; None if it has neither."""
    if annotation.get("bbox"):
        return numbers(annotation["bbox"], where, "bbox", 4)
    polygons = annotation.get("segmentation")
    if not isinstance(polygons, list) or not polygons:
        return None
    points = [value for polygon in polygons for value in numbers(polygon, where, "segmentation")]
    xs, ys = points[::2], points[1::2]
    if not ys:
        return None
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _fractions(xywh: Sequence[float], size: tuple[int, int]) -> Fractions:
    left, top, width, height = xywh
    return left / size[0], top / size[1], (left + width) / size[0], (top + height) / size[1]


def _attributes(attributes: Any) -> dict[str, str] | Any:
    """Attributes as CVAT and Datumaro write them: a mapping of names to values."""
    if not isinstance(attributes, dict):
        return NO_ATTRIBUTES
    return {str(name): str(value) for name, value in attributes.items()}
