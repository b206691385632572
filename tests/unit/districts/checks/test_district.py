"""What a folder must hold to be a district; sound data pass."""

from pathlib import Path

import pytest

from districts.checks.district import check_district
from tests.helpers.damages import TRAIN, Damage, draw, fatal, overwrite, rename, replace, require_fatal, require_warning

pytestmark = pytest.mark.slow

FATAL = [
    pytest.param(
        replace("district.yaml", "time_zone: Asia/Seoul", "time_zone: KST\nnotes: none"),
        "district.yaml",
        "time_zone: a time zone must be .*; notes: Extra inputs",
        id="two faults of the district",
    ),
    pytest.param(
        replace("district.yaml", "id: c2", "id: c1"),
        "district.yaml",
        "each camera must have an id of its own; c1 is there repeatedly",
        id="two cameras of one id",
    ),
    pytest.param(
        lambda folder: (folder / "reid").rename(folder / "ReID"), "ReID", "must be called reid", id="folder in capitals"
    ),
    pytest.param(
        overwrite("district.yaml", "name: tiny\n"), "district.yaml", "time_zone", id="district says too little"
    ),
    pytest.param(replace("district.yaml", "suseong", "daegu"), "district.yaml", "must be one of", id="no such schema"),
    pytest.param(
        replace("district.yaml", "+09:00", ""), "district.yaml", "start with a time zone", id="start without zone"
    ),
]


WARNINGS = [
    pytest.param(draw("crops/a.png"), "crops: is not read; a district has the folders detection", id="other folder"),
]


@pytest.mark.parametrize(("damage", "place", "message"), FATAL)
def test_a_fatal_defect_is_named(district: Path, damage: Damage, place: str, message: str) -> None:
    require_fatal(district, damage, place, message)


@pytest.mark.parametrize(("damage", "message"), WARNINGS)
def test_a_lesser_defect_is_a_warning(district: Path, damage: Damage, message: str) -> None:
    require_warning(district, damage, message)


def test_sound_data_has_no_fatal_defect(district: Path) -> None:
    assert fatal(district) == []


def test_files_that_no_browser_shows_are_no_data(district: Path) -> None:
    before = check_district(district)
    for picture in [*district.rglob("*.png")]:
        (picture.parent / f"._{picture.name}").write_bytes(b"\x00\x05\x16\x07")
        (picture.parent / "Thumbs.db").write_bytes(b"\xd0\xcf")
        (picture.parent / ".DS_Store").write_bytes(b"Bud1")
    for label in [*district.rglob("*.txt")]:
        (label.parent / f"._{label.name}").write_bytes(b"\x00\x05\x16\x07")
    assert check_district(district) == before


def test_a_wrong_description_does_not_hide_other_defects(district: Path) -> None:
    overwrite("district.yaml", "name: tiny\n")(district)
    overwrite("detection/labels/val/a.txt", "0 7\n")(district)
    rename(TRAIN + "0001_c1s1_000001_00.png", TRAIN + "one.png")(district)
    places = [finding.place.removeprefix(f"{district}/") for finding in fatal(district)]
    assert places[:2] == ["district.yaml", "detection/labels/val/a.txt, line 1"]
    assert TRAIN + "one.png" in places
    unchecked = [finding for finding in check_district(district) if "not checked before" in finding.message]
    assert [Path(finding.place).name for finding in unchecked] == ["videos", "attributes"]


def test_an_empty_folder_is_no_district(tmp_path: Path) -> None:
    assert all(finding.is_fatal for finding in check_district(tmp_path))
    assert "must exist" in str(check_district(tmp_path)[0])


def test_a_district_without_any_data_is_refused(district: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    bare = tmp_path_factory.mktemp("bare")
    (bare / "district.yaml").write_text((district / "district.yaml").read_text())
    assert ["must hold one of" in finding.message for finding in fatal(bare)] == [True]
