"""Defects of attribute tables, each named with its line."""

import re
from pathlib import Path

import pytest

from tests.helpers.damages import (
    Damage,
    both,
    copy,
    draw,
    overwrite,
    remove,
    rename,
    replace,
    require_fatal,
    require_warning,
)
from tests.helpers.districts import write_table

pytestmark = pytest.mark.slow

FATAL = [
    pytest.param(
        both(replace("attributes/val.csv", "male", "man"), replace("attributes/val.csv", ",3,", ",three,")),
        "attributes/val.csv, line 2",
        "identity must be a whole number, got 'three'; gender must be one of",
        id="two faults of a row",
    ),
    pytest.param(
        rename("attributes/images/3_0.png", "attributes/images/3_0.PNG"),
        "attributes/val.csv, line 2",
        r"3_0\.png must be a picture; it is missing, but there is 3_0\.PNG",
        id="crop in another case",
    ),
    pytest.param(remove("attributes/val.csv"), "attributes/val.csv", "must exist", id="no table"),
    pytest.param(
        overwrite("attributes/val.csv", "image,identity\n"),
        "attributes/val.csv, line 1",
        "must also have the columns camera, view",
        id="missing columns",
    ),
    pytest.param(
        lambda folder: write_table(folder / "attributes/val.csv", []),
        "attributes/val.csv",
        "must list pictures",
        id="empty table",
    ),
    pytest.param(
        replace("attributes/val.csv", "male", "man"),
        "attributes/val.csv, line 2",
        "gender must be one of male, female, got 'man'",
        id="unknown label",
    ),
    pytest.param(
        replace("attributes/val.csv", "3_0.png,3", "3_0.png,three"),
        "attributes/val.csv, line 2",
        "identity must be a whole number",
        id="identity no number",
    ),
]


WARNINGS = [
    pytest.param(draw("attributes/images/9.png"), "1 pictures are in no table: 9.png", id="picture without labels"),
    pytest.param(
        both(replace("attributes/train.csv", "1_1.png", "1_0.png"), replace("attributes/train.csv", "male", "female")),
        "attributes/train.csv, line 3: 1_0.png must have the labels that it has in ",
        id="contradictory rows of one picture",
    ),
    pytest.param(
        both(
            copy("attributes/images/1_0.png", "attributes/images/2_0.png"),
            lambda folder: (folder / "attributes/train.csv").write_text(
                re.sub("(2_0.*),male", r"\1,female", (folder / "attributes/train.csv").read_text())
            ),
        ),
        "line 2, got gender=female and male",
        id="contradictory rows of the same bytes",
    ),
    pytest.param(
        replace("attributes/train.csv", "male", "female"),
        "labels that nearly all pictures of their group have; a model may answer only them: gender=male (11 of 12)",
        id="unequal labels",
    ),
    pytest.param(
        replace("attributes/val.csv", "3_1.png", "3_0.png"), "3_0.png is also in line 2", id="picture with two rows"
    ),
    pytest.param(
        replace("attributes/val.csv", "c1", "c9"), "camera must be one of district.yaml, got 'c9'", id="unknown camera"
    ),
    pytest.param(lambda folder: None, "gender=female (0), ", id="a label that never occurs"),
]


@pytest.mark.parametrize(("damage", "place", "message"), FATAL)
def test_a_fatal_defect_is_named(district: Path, damage: Damage, place: str, message: str) -> None:
    require_fatal(district, damage, place, message)


@pytest.mark.parametrize(("damage", "message"), WARNINGS)
def test_a_lesser_defect_is_a_warning(district: Path, damage: Damage, message: str) -> None:
    require_warning(district, damage, message)
