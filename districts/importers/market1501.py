"""Market-1501 with its attributes, as their authors distribute them -> re-ID and attribute sets of a district.

Attributes are of people, not of pictures, so every picture of a person has them.
Sources: Zheng et al. 2015, "Scalable person re-identification"; Lin et al. 2019, "Improving person re-identification
by attribute and identity learning", whose `market_attribute.mat` lies beside the folders of pictures.
"""

import re
from pathlib import Path
from typing import Any

from districts.importers.links import link_or_copy
from districts.importers.published_sets import Row, read_matlab, write_attribute_district
from districts.layout import Split, list_pictures
from domain.attributes import UNKNOWN, AttributeSchema
from domain.errors import InputError
from domain.schemas import read_schema

_ANNOTATION = "market_attribute.mat"
_EVERY = 8  # of the people to train on, each so many-th is held out for validation
_NAME = re.compile(r"(-1|\d{4})_c(\d)s\d_")
# Field of the annotation that numbers the labels of a group from 1, in the order of our schema.
_NUMBERED = {
    "gender": "gender", "hair": "hair", "sleeve": "up", "lower_length": "down", "lower_type": "clothes", "hat": "hat",
    "backpack": "backpack", "bag": "bag", "handbag": "handbag", "age": "age",
}  # fmt: skip
_COLOURED = {"upper_colour": "up", "lower_colour": "down"}  # a field a colour: 2 where it is worn
_THEIR_COLOURS = {"grey": "gray"}


def import_market1501(name: str, source: Path, folder: Path) -> None:
    """Write the sets in `source` as the district `name` into `folder`.

    Every eighth person to train on is held out as `bounding_box_val` and the attributes' split `val`; attributes are
    tested on the pictures of `bounding_box_test`.

    Raises:
        InputError: if `source` lacks a folder, or the attributes, or a picture is not named as Market-1501's are.
    """
    schema = read_schema("market1501")
    people = _read_people(source / _ANNOTATION, schema)
    splits: dict[Split, list[Row]] = {"train": [], "val": [], "test": []}
    (folder / "attributes" / "images").mkdir(parents=True)
    train = sorted({_identity_and_camera(file)[0] for file in _pictures(source, "bounding_box_train")})
    held_out = set(train[_EVERY - 1 :: _EVERY])
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        for file in _pictures(source, part):
            identity, camera = _identity_and_camera(file)
            is_val = part == "bounding_box_train" and identity in held_out
            target = folder / "reid" / ("bounding_box_val" if is_val else part)
            target.mkdir(parents=True, exist_ok=True)
            link_or_copy(file, target / file.name)
            if identity in people and part != "query":
                split: Split = "val" if is_val else "train" if part == "bounding_box_train" else "test"
                link_or_copy(file, folder / "attributes" / "images" / file.name)
                splits[split].append((file.name, identity, str(camera), people[identity]))
    citation = "Market-1501, Zheng et al. 2015; attributes, Lin et al. 2019"
    write_attribute_district(folder, name, schema, citation, "research", splits)


def _read_people(file: Path, schema: AttributeSchema) -> dict[int, dict[str, str]]:
    """Label of each group by identity."""
    content: Any = read_matlab(file, "the attributes of Market-1501").get("market_attribute")
    people = {}
    try:
        for part in ("train", "test"):
            fields = content[0, 0][part][0, 0]
            identities = [int(str(cell[0])) for cell in fields["image_index"].ravel()]
            for place, identity in enumerate(identities):
                people[identity] = {
                    group.name: _label(fields, place, group.name, group.label_names) for group in schema.groups
                }
    except (TypeError, IndexError, KeyError, ValueError) as error:
        raise InputError(f"{file} must hold `market_attribute` with the published fields: {error}") from error
    return people


def _label(fields: Any, place: int, group: str, labels: tuple[str, ...]) -> str:
    if group in _NUMBERED:
        number = int(fields[_NUMBERED[group]].ravel()[place])
        return labels[number - 1] if 1 <= number <= len(labels) else UNKNOWN
    worn = [
        label
        for label in labels
        if int(fields[_COLOURED[group] + _THEIR_COLOURS.get(label, label)].ravel()[place]) == 2
    ]
    return worn[0] if len(worn) == 1 else UNKNOWN


def _pictures(source: Path, part: str) -> list[Path]:
    if not (source / part).is_dir():
        raise InputError(f"{source} must hold Market-1501's folders, {part} is missing")
    return list_pictures(source / part)


def _identity_and_camera(file: Path) -> tuple[int, int]:
    found = _NAME.match(file.name)
    if not found:
        raise InputError(f"{file} must be named as Market-1501's pictures are, such as 0002_c1s1_000451_03.jpg")
    return int(found[1]), int(found[2])
