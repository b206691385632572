"""Defects of labels and their boxes, each named with its file and line."""

from pathlib import Path

import pytest

from districts.checks.district import check_district
from tests.helpers.damages import Damage, draw, overwrite, remove, rename, require_fatal, require_warning

pytestmark = pytest.mark.slow

FATAL = [
    pytest.param(
        draw("detection/images/val/a.jpg"),
        "detection/images/val/a.png",
        r"label file of its own; a\.jpg has the same, a\.txt",
        id="two pictures of one label",
    ),
    pytest.param(
        rename("detection/labels/val/a.txt", "detection/labels/val/a.TXT"),
        "detection/labels/val/a.TXT",
        r"must end with \.txt, in lower case",
        id="label in upper case",
    ),
    pytest.param(
        overwrite("detection/labels/val/a.txt", "0 0.5 0.5 0.2 0.4\n0 0.5 0.5 0 0.4\n"),
        "detection/labels/val/a.txt, line 2",
        "width and height must be above 0",
        id="box of no width",
    ),
    pytest.param(
        overwrite("detection/labels/val/a.txt", "0 0,5 0,5 0,2 0,4\n"),
        "detection/labels/val/a.txt, line 1",
        "with decimal points",
        id="decimal commas",
    ),
    pytest.param(
        lambda folder: (folder / "detection/images/val").rename(folder / "detection/images/valid"),
        "detection/images/val",
        "must hold pictures, got none; in .*/detection/images there is test, train, valid",
        id="split by another name",
    ),
    pytest.param(remove("detection/images/val/a.png"), "detection/images/val", "must hold pictures", id="no frames"),
    pytest.param(
        overwrite("detection/labels/val/a.txt", ""),
        "detection/labels/val",
        "at least one person",
        id="no person labelled",
    ),
    pytest.param(
        overwrite("detection/labels/val/a.txt", "0 0.5 0.5 0.2 0.4\n0 0.5 1.5 0.2 0.4\n"),
        "detection/labels/val/a.txt, line 2",
        r"class must be 0 and the box within 0\.\.1",
        id="box outside 0..1",
    ),
    pytest.param(
        overwrite("detection/labels/val/a.txt", "3 0.5 0.5 0.2 0.4\n"),
        "detection/labels/val/a.txt, line 1",
        "class must be 0",
        id="class too high",
    ),
    pytest.param(
        overwrite("detection/labels/val/a.txt", "0 0.5\n"),
        "detection/labels/val/a.txt, line 1",
        "must be `class x y",
        id="too few numbers",
    ),
]


WARNINGS = [
    pytest.param(
        overwrite("detection/labels/val/a.txt", "0 0.95 0.5 0.5 0.4\n"),
        "a.txt, line 1: the box reaches 20% of the picture's side out of the picture",
        id="box outside",
    ),
    pytest.param(
        overwrite("detection/labels/val/a.txt", "0 0.5 0.5 0.03125 0.2\n"),
        "a.txt, line 1: the box is 0.5 × 6.4 pixels",
        id="box of a pixel",
    ),
    pytest.param(
        overwrite("detection/labels/val/a.txt", "0 0.5 0.5 0.2 0.4\n\n0 0.50 0.5 0.2 0.4\n"),
        "a.txt, line 3: the box is also in line 1",
        id="box twice",
    ),
    pytest.param(
        draw("detection/images/train/A.png"), "differs from A.png in case alone", id="names of one file on Windows"
    ),
    pytest.param(
        overwrite("detection/labels/train/classes.txt", "car\nperson\n"),
        "labels/train/classes.txt, line 1: class 0 counts as a person, but is named 'car'",
        id="another class 0",
    ),
    pytest.param(
        overwrite("detection/labels/val/a.txt", "0 0.5 0.5 0.99 0.98\n"),
        "labels/val/a.txt, line 1: the box covers 97% of the picture",
        id="box of the whole picture",
    ),
    pytest.param(
        overwrite("detection/labels/val/a.txt", "0 0.3 0.5 0.1 0.2\n" * 12),
        "labels/val: 11 boxes are there twice; each of these people counts twice: ",
        id="every box twice",
    ),
    pytest.param(
        overwrite("detection/labels/val/b.txt", "0 0.5 0.5 0.2 0.4\n"),
        "must belong to a picture of the same name in detection/images/val",
        id="label without a picture",
    ),
]


@pytest.mark.parametrize(("damage", "place", "message"), FATAL)
def test_a_fatal_defect_is_named(district: Path, damage: Damage, place: str, message: str) -> None:
    require_fatal(district, damage, place, message)


@pytest.mark.parametrize(("damage", "message"), WARNINGS)
def test_a_lesser_defect_is_a_warning(district: Path, damage: Damage, message: str) -> None:
    require_warning(district, damage, message)


def test_names_of_classes_beside_the_labels_may_say_person(district: Path) -> None:
    before = check_district(district)
    for split, name in (("train", "person"), ("val", "Pedestrian\r\nbicycle"), ("test", "사람")):
        overwrite(f"detection/labels/{split}/classes.txt", name)(district)
    assert check_district(district) == before
