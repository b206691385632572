"""Importer of Market-1501 with its attributes, in the authors' layout: re-ID and attribute sets of a district.

Attributes are given per person, so all pictures of a person have the same ones.
Sources: Zheng et al. 2015, "Scalable person re-identification"; Lin et al. 2019, "Improving person re-identification
by attribute and identity learning", whose `market_attribute.mat` lies beside the picture folders.
"""

from pathlib import Path
from typing import Any

from districts.findings import Finding, fatal
from districts.importers.intake import Intake
from districts.importers.published_sets import Row, read_matlab, write_attribute_tables, write_district
from districts.layout import Split, identity_and_camera
from domain.attributes import UNKNOWN, AttributeSchema
from domain.errors import InputError
from domain.schemas import read_schema

_ANNOTATION = "market_attribute.mat"
_VAL_EVERY = 8  # every eighth training identity is held out for validation
_PARTS = ("bounding_box_train", "query", "bounding_box_test")
_CITATION = "Market-1501, Zheng et al. 2015; attributes, Lin et al. 2019"
# Group -> annotation field with label numbers from 1, in the order of our schema.
_NUMBERED = {
    "gender": "gender", "hair": "hair", "sleeve": "up", "lower_length": "down", "lower_type": "clothes", "hat": "hat",
    "backpack": "backpack", "bag": "bag", "handbag": "handbag", "age": "age",
}  # fmt: skip
_COLOURED = {"upper_colour": "up", "lower_colour": "down"}  # group -> prefix of one field per colour; value 2: worn
_THEIR_COLOURS = {"grey": "gray"}


def import_market1501(name: str, intake: Intake) -> None:
    """Write the sets in the source as the district `name`.

    Every eighth training identity is held out as `bounding_box_val` and as the attributes' split `val`; attributes are
    tested on the pictures of `bounding_box_test`. Without `market_attribute.mat` there is the re-ID set alone.

    Raises:
        InputError: if the source lacks a folder, or its attributes cannot be read.
    """
    schema = read_schema("market1501")
    people = _read_people(intake, schema)
    pictures = {part: _named_pictures(intake, part) for part in _PARTS}
    train = sorted({identity for _, identity, _ in pictures["bounding_box_train"]})
    held_out = set(train[_VAL_EVERY - 1 :: _VAL_EVERY])
    splits: dict[Split, list[Row]] = {"train": [], "val": [], "test": []}
    for part, named in pictures.items():
        for file, identity, camera in named:
            is_val = part == "bounding_box_train" and identity in held_out
            intake.take(file, f"reid/{'bounding_box_val' if is_val else part}/{file.name}")
            if identity in people and part != "query":
                split: Split = "val" if is_val else "train" if part == "bounding_box_train" else "test"
                intake.take(file, f"attributes/images/{file.name}")
                splits[split].append((file.name, identity, str(camera), people[identity]))
    write_district(intake, name, schema, _CITATION, "research")
    if people:
        write_attribute_tables(intake, schema, splits, intake.source / _ANNOTATION)


def _named_pictures(intake: Intake, part: str) -> list[tuple[Path, int, int]]:
    """Pictures of a part with identity and camera; a name of another format is a fatal finding."""
    folder = intake.source / part
    if not folder.is_dir():
        raise InputError(f"{intake.source} must hold the folders of Market-1501; {part} is missing")
    intake.stands_for(f"reid/{part}", folder)
    named = []
    for file in intake.list_pictures(folder):
        try:
            named.append((file, *identity_and_camera(file)))
        except InputError as error:
            intake.findings.append(fatal(file, error))
    return named


def _read_people(intake: Intake, schema: AttributeSchema) -> dict[int, dict[str, str]]:
    """Labels by identity and group; none if the attributes, which are published apart, are not there."""
    file = intake.source / _ANNOTATION
    if not file.exists():
        message = "is missing, so the attribute set is left out and only re-ID is prepared"
        intake.findings.append(Finding(False, str(file), message))
        return {}
    return _people_of(file, schema)


def _people_of(file: Path, schema: AttributeSchema) -> dict[int, dict[str, str]]:
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
