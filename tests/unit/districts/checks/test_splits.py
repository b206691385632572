"""People and pictures that two splits share."""

import shutil
from pathlib import Path

import pytest

from districts.checks.district import check_district
from tests.helpers.damages import (
    GALLERY,
    QUERY,
    TRAIN,
    Damage,
    copy,
    fatal,
    rename,
    replace,
    require_fatal,
    require_warning,
)
from tests.helpers.districts import draw_picture

pytestmark = pytest.mark.slow

FATAL = [
    pytest.param(
        copy("attributes/images/1_0.png", "attributes/images/5_0.png"),
        "attributes/images/5_0.png",
        r"share no picture; this one is byte for byte .*/attributes/images/1_0\.png in train",
        id="crop in two splits",
    ),
    pytest.param(
        replace("attributes/val.csv", "3_0.png", r"1_0.png"),
        "attributes/images/1_0.png",
        "must share no picture",
        id="crop of two tables",
    ),
    pytest.param(
        copy(TRAIN + "0001_c1s1_000001_00.png", GALLERY + "0005_c2s1_000009_00.png"),
        GALLERY + "0005_c2s1_000009_00.png",
        r"this one is byte for byte .*0001_c1s1_000001_00\.png in bounding_box_train",
        id="re-ID crop in two splits",
    ),
    pytest.param(
        replace("attributes/test.csv", "5_0.png,5", "5_0.png,01.0"),
        "attributes/test.csv, line 2",
        "identity 1 is also in train",
        id="person in two splits, written otherwise",
    ),
    pytest.param(
        replace("attributes/test.csv", "5_0.png,5", "5_0.png,1"),
        "attributes/test.csv, line 2",
        r"splits must share no identity; identity 1 is also in train .*train\.csv, line 2",
        id="person in two splits",
    ),
    pytest.param(
        rename(TRAIN + "0001_c1s1_000001_00.png", TRAIN + "0005_c1s1_000001_00.png"),
        GALLERY + "0005_c2s1_000002_00.png",
        "identity 5 is also in bounding_box_train",
        id="re-ID person in two splits",
    ),
]


WARNINGS = [
    pytest.param(
        copy("detection/images/train/a.png", "detection/images/test/copy.png"),
        "test/copy.png: splits must share no picture; this one is byte for byte {}/detection/images/train/a.png",
        id="scene in two splits",
    ),
    pytest.param(
        copy(QUERY + "0005_c1s1_000001_00.png", GALLERY + "0005_c2s1_000009_00.png"),
        "query/0005_c1s1_000001_00.png: splits must share no picture",
        id="query in the gallery",
    ),
]


@pytest.mark.parametrize(("damage", "place", "message"), FATAL)
def test_a_fatal_defect_is_named(district: Path, damage: Damage, place: str, message: str) -> None:
    require_fatal(district, damage, place, message)


@pytest.mark.parametrize(("damage", "message"), WARNINGS)
def test_a_lesser_defect_is_a_warning(district: Path, damage: Damage, message: str) -> None:
    require_warning(district, damage, message)


def test_pictures_that_a_published_set_has_twice_are_only_told(district: Path) -> None:
    copy("attributes/images/1_0.png", "attributes/images/5_0.png")(district)
    copy(TRAIN + "0001_c1s1_000001_00.png", GALLERY + "0005_c2s1_000009_00.png")(district)
    found = [item for item in check_district(district, is_published=True) if "share no picture" in item.message]
    assert [item.is_fatal for item in found] == [False, False]


def test_a_split_that_is_a_copy_of_another_is_one_finding(district: Path) -> None:
    for number in range(11):
        draw_picture(district / "detection/images/val" / f"{number}.png")
    shutil.rmtree(district / "detection/images/test")
    shutil.copytree(district / "detection/images/val", district / "detection/images/test")
    (found,) = [finding for finding in check_district(district) if "byte for byte" in finding.message]
    assert found.message.startswith(
        "12 of 12 pictures of test are byte for byte in val; splits must share no picture: "
    )
    assert found.place == str(district / "detection/images/test")
    assert len(found.pictures) == 24


def test_one_picture_in_two_tables_is_found_whatever_else_there_is(district: Path) -> None:
    images = district / "attributes" / "images"
    (images / "1_0.png").write_bytes((images / "1_0.png").read_bytes() + b"more")  # a size of its own
    replace("attributes/val.csv", "3_0.png", "1_0.png")(district)
    assert any("must share no picture" in finding.message for finding in fatal(district))
