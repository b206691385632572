"""Importer of Market-1501 with its attributes, in the authors' layout: re-ID and attribute sets of a district.

Attributes are given per person, so all pictures of a person have the same ones.
Sources: Zheng et al. 2015, "Scalable person re-identification"; Lin et al. 2019, "Improving person re-identification
by attribute and identity learning", whose `market_attribute.mat` lies beside the picture folders.
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
_VAL_EVERY = 8  # every eighth training identity is held out for validation
_NAME = re.compile(r"(-1|\d{4})_c(\d)s\d_")
# Group -> annotation field with label numbers from 1, in the order of our schema.
_NUMBERED = {
    "gender": "gender", "hair": "hair", "sleeve": "up", "lower_length": "down", "lower_type": "clothes", "hat": "hat",
    "backpack": "backpack", "bag": "bag", "handbag": "handbag", "age": "age",
}  # fmt: skip
_COLOURED = {"upper_colour": "up", "lower_colour": "down"}  # group -> prefix of one field per colour; value 2: worn
_THEIR_COLOURS = {"grey": "gray"}


def import_market1501(name: str, source: Path, folder: Path) -> None:
    """Write the sets in `source` as the district `name` into `folder`.

    Every eighth training identity is held out as `bounding_box_val` and as the attributes' split `val`; attributes are
    tested on the pictures of `bounding_box_test`.

    Raises:
        InputError: if `source` lacks a folder or the attributes, or a picture's name does not follow the format.
    """
    schema = read_schema("market1501")
    people = _read_people(source / _ANNOTATION, schema)
    splits: dict[Split, list[Row]] = {"train": [], "val": [], "test": []}
    (folder / "attributes" / "images").mkdir(parents=True)
    train = sorted({_identity_and_camera(file)[0] for file in _pictures(source, "bounding_box_train")})
    held_out = set(train[_VAL_EVERY - 1 :: _VAL_EVERY])
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
    """Labels by identity and group."""
    content: Any = read_matlab(file, "the attributes of Market-1501").get("market_attribute")
    people = {}
    try:
        for part in ("train", "test"):
            fields = content[0, 0][part][0, 0]
            identities = [int(str(cell[0])) for cell in fields["image_index"].ravel()]
            for row, identity in enumerate(identities):
                people[identity] = {
                    group.name: _label(fields, row, group.name, group.label_names) for group in schema.groups
                }
    except (TypeError, IndexError, KeyError, ValueError) as error:
        raise InputError(f"{file} must hold `market_attribute` with the published fields: {error}") from error
    return people


def _label(fields: Any, row: int, group: str, labels: tuple[str, ...]) -> str:
    if group in _NUMBERED:
        number = int(fields[_NUMBERED[group]].ravel()[row])
        return labels[number - 1] if 1 <= number <= len(labels) else UNKNOWN
    worn = [
        label for label in labels if int(fields[_COLOURED[group] + _THEIR_COLOURS.get(label, label)].ravel()[row]) == 2
    ]
    return worn[0] if len(worn) == 1 else UNKNOWN


def _pictures(source: Path, part: str) -> list[Path]:
    if not (source / part).is_dir():
        raise InputError(f"{source} must hold the folders of Market-1501; {part} is missing")
    return list_pictures(source / part)


def _identity_and_camera(file: Path) -> tuple[int, int]:
    fields = _NAME.match(file.name)
    if not fields:
        raise InputError(f"{file} must be named like 0002_c1s1_000451_03.jpg")
    return int(fields[1]), int(fields[2])
