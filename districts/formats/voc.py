"""Pascal VOC XML: a file for each picture (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf).

Corners are pixels counted from 1, both inclusive. ImageSets/Main/{train,val,test}.txt list the splits, if they exist.
"""

from pathlib import Path
from xml.etree.ElementTree import Element

from districts.importing.annotated import Annotated, Box, Fractions, Picture
from districts.importing.detection_set import picture_size
from districts.importing.foreign_annotations import number, read_elements, whole
from districts.importing.source_files import SourceFiles, split_of
from districts.layout import SPLITS, Split
from domain.errors import InputError, shown
from domain.foreign_files import TABLE_BYTES, read_text

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(files: SourceFiles) -> Annotated:
    """The pictures of all VOC files below the source.

    Raises:
        InputError: if there is no VOC file, an entry is wrong, or a picture is missing; names the file.
    """
    listed = _listed_splits(files)
    pictures, others = [], 0
    for file in files.with_suffix(".xml"):
        parts: dict[str, list[Element]] = {}
        for element in read_elements(file):
            parts.setdefault(element.tag, []).append(element)
        if "annotation" not in parts:
            others += 1
            continue
        pictures.append(_picture(file, files, parts, listed.get(file.stem)))
    if not pictures:
        raise InputError(f"{files.root} must hold an .xml with <annotation> for each picture, got none")
    notes = [f"{others} .xml files have no <annotation>; left out"] if others else []
    return Annotated(pictures, notes=notes)


def _picture(file: Path, files: SourceFiles, parts: dict[str, list[Element]], split: Split | None) -> Picture:
    named = (parts["filename"][0].text or "").strip() if "filename" in parts else ""
    of_folder = split_of(file.relative_to(files.root).parts[:-1])
    picture = _find(files, file, named, split or of_folder)
    size = picture_size(picture)
    if "size" in parts:
        element = parts["size"][0]
        stated = [whole(element.findtext(side), file, side) for side in ("width", "height")]
        size = (stated[0], stated[1]) if min(stated) > 0 else size  # some tools write 0
    boxes = tuple(_box(file, each, size) for each in parts.get("object", ()))
    return Picture(picture, boxes, split or of_folder, size)


def _find(files: SourceFiles, file: Path, named: str, split: Split | None) -> Path:
    """The picture that a file names, or, as some tools leave that out, the one of the file's own name."""
    same = files.pictures_by_stem.get(file.stem, ())
    if Path(named.replace("\\", "/")).suffix:
        try:
            return files.find(named, file, file.parent, split)
        except InputError:
            if not same:
                raise
    if not same:
        raise InputError(f"{file} must have a picture of its name, or name it in <filename>, got {shown(named)}")
    return files.find(same[0].name, file, file.parent, split)


def _box(file: Path, entry: Element, size: tuple[int, int]) -> Box:
    label = (entry.findtext("name") or "").strip()
    corners = entry.find("bndbox")
    if corners is None:
        raise InputError(f"{file}: each object must have <bndbox>, got none for {shown(label)}")
    left, top, right, bottom = (number(corners.findtext(side), file, side) for side in _CORNERS)
    xyxy: Fractions = ((left - 1) / size[0], (top - 1) / size[1], right / size[0], bottom / size[1])
    return Box(label, xyxy)


def _listed_splits(files: SourceFiles) -> dict[str, Split]:
    """Split of each stem that ImageSets/Main lists."""
    splits: dict[str, Split] = {}
    for split in SPLITS:
        for file in (each for each in files.files if each.name == f"{split}.txt" and "ImageSets" in each.parts):
            for line in read_text(file, TABLE_BYTES).splitlines():
                if line.strip():
                    stem = line.split()[0]
                    if splits.setdefault(stem, split) != split:
                        raise InputError(f"{file}: {shown(stem)} must be in one split, got {splits[stem]} and {split}")
    return splits
