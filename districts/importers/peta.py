"""Importer of PETA in its common layout (PETA.mat, images/00001.png …): the attribute set of a district.

The first 35 of its 105 attributes are imported, as papers report them. PETA.mat holds five random partitions; the first
is imported. The partitions have the same people in training and test, so figures on PETA are too high.
Source: Deng et al. 2014, "Pedestrian attribute recognition at far distance".
"""

from pathlib import Path
from typing import Any

import numpy as np

from districts.importers.intake import Intake
from districts.importers.published_sets import (
    Row,
    labels_of_columns,
    read_matlab,
    write_attribute_tables,
    write_district,
)
from districts.layout import Split
from domain.errors import InputError
from domain.schemas import read_schema

_SPLITS: tuple[Split, ...] = ("train", "val", "test")
_FIRST = 4  # columns before the attributes: where a picture comes from
_PARTITION = 0
# The first columns of PETA, compared case-insensitively; the groups of our schema have the same order.
_COLUMNS = (
    "personalLess30", "personalLess45", "personalLess60", "personalLarger60", "carryingBackpack", "carryingOther",
    "lowerBodyCasual", "upperBodyCasual", "lowerBodyFormal", "upperBodyFormal", "accessoryHat", "upperBodyJacket",
    "lowerBodyJeans", "footwearLeatherShoes", "upperBodyLogo", "hairLong", "personalMale", "carryingMessengerBag",
    "accessoryMuffler", "accessoryNothing", "carryingNothing", "upperBodyPlaid", "carryingPlasticBags",
    "footwearSandals", "footwearShoes", "lowerBodyShorts", "upperBodyShortSleeve", "lowerBodyShortSkirt",
    "footwearSneaker", "upperBodyThinStripes", "accessorySunglasses", "lowerBodyTrousers", "upperBodyTshirt",
    "upperBodyOther", "upperBodyVNeck",
)  # fmt: skip


def import_peta(name: str, intake: Intake) -> None:
    """Write the attribute set in the source as the district `name`.

    PETA.mat has no identities that hold across its parts: each picture counts as a separate person.

    Raises:
        InputError: if the source does not hold the set or its first columns are not the published ones.
    """
    file, schema = intake.source / "PETA.mat", read_schema("peta")
    marks, numbers = _read_annotation(file)
    splits: dict[Split, list[Row]] = {}
    for split, split_numbers in zip(_SPLITS, numbers, strict=True):
        if len(split_numbers) and not 1 <= split_numbers.min() <= split_numbers.max() <= len(marks):
            raise InputError(
                f"{file} must number the pictures of {split} from 1 to {len(marks)}, "
                f"got {split_numbers.min()} to {split_numbers.max()}"
            )
        splits[split] = [
            (f"{number:05d}.png", number, "", labels_of_columns(marks[number - 1].tolist(), schema))
            for number in split_numbers.tolist()
        ]
        for image, *_ in splits[split]:
            intake.take(intake.source / "images" / image, f"attributes/images/{image}")
    write_district(intake, name, schema, "PETA, Deng et al. 2014", "research")
    write_attribute_tables(intake, schema, splits, file)


def _read_annotation(file: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Attributes `[picture, 35]`, and the picture numbers of each split, from 1."""
    content: Any = read_matlab(file, "PETA's annotation file").get("peta")
    try:
        table, names, partition = (content[0, 0][place] for place in (0, 1, 3))
        columns = [str(names[place, 0][0]) for place in range(len(_COLUMNS))]
        parts = partition[_PARTITION, 0][0, 0]
        numbers = [np.asarray(parts[place], np.int64)[:, 0] for place in range(len(_SPLITS))]
        marks = np.asarray(table, np.int64)[:, _FIRST : _FIRST + len(_COLUMNS)]
    except (TypeError, IndexError, ValueError) as error:
        raise InputError(f"{file} must hold `peta` with pictures, attribute names and partitions: {error}") from error
    for ours, theirs in zip(_COLUMNS, columns, strict=True):
        if ours.lower() != theirs.lower():
            raise InputError(f"{file} must begin with PETA's 35 attributes; first difference: {ours} (got {theirs})")
    return marks, numbers
