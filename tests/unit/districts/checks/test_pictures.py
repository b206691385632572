"""Damaged and unusual pictures are named, and decoders are silent."""

import resource
from pathlib import Path

import pytest
from PIL import Image

from districts.checks import readings
from districts.checks.district import check_district
from districts.checks.readings import Readings
from tests.helpers.damages import (
    QUERY,
    TRAIN,
    Damage,
    add,
    both,
    cut,
    draw,
    fatal,
    overwrite,
    replace,
    require_fatal,
    require_warning,
    turned,
)
from tests.helpers.districts import draw_picture

pytestmark = pytest.mark.slow

FATAL = [
    pytest.param(cut("detection/images/test/b.jpg"), "detection/images/test/b.jpg", "whole picture", id="cut scene"),
    pytest.param(cut("detection/images/train/b.png"), "detection/images/train/b.png", "readable picture", id="cut PNG"),
    pytest.param(cut("detection/images/train/b.webp"), "detection/images/train/b.webp", "readable", id="cut WebP"),
    pytest.param(cut("detection/images/train/b.bmp"), "detection/images/train/b.bmp", "can't read", id="cut bitmap"),
    pytest.param(
        cut("detection/images/train/b.jpg", 0), "detection/images/train/b.jpg", "readable picture", id="empty picture"
    ),
    pytest.param(
        both(cut("attributes/images/9.jpg"), replace("attributes/test.csv", "5_0.png", "9.jpg")),
        "attributes/test.csv, line 2",
        r"images/9\.jpg must be a whole picture, .* \(Premature end of JPEG file\)",
        id="cut crop",
    ),
    pytest.param(
        cut(QUERY + "0005_c1s1_000009_00.jpg", 0.98), QUERY + "0005_c1s1_000009_00.jpg", "whole picture", id="cut query"
    ),
    pytest.param(
        overwrite("detection/images/val/a.png", "x"),
        "detection/images/val/a.png",
        "readable picture",
        id="unreadable frame",
    ),
    pytest.param(
        overwrite("attributes/images/3_0.png", "x"),
        "attributes/val.csv, line 2",
        "readable picture",
        id="unreadable crop",
    ),
    pytest.param(
        overwrite(QUERY + "0005_c1s1_000001_00.png", "x"),
        QUERY + "0005_c1s1_000001_00.png",
        "readable picture",
        id="unreadable query",
    ),
]


WARNINGS = [
    pytest.param(cut("detection/images/train/b.jpg"), r"b.jpg: must be a whole picture", id="cut scene to learn from"),
    pytest.param(
        both(cut("attributes/images/9.jpg"), replace("attributes/train.csv", "1_0.png", "9.jpg")),
        "train.csv, line 2: {}/attributes/images/9.jpg must be a whole picture",
        id="cut crop to learn from",
    ),
    pytest.param(
        cut(TRAIN + "0001_c1s1_000009_00.jpg"), "0001_c1s1_000009_00.jpg: must be a whole", id="cut re-ID crop"
    ),
    pytest.param(
        add("detection/images/train/b.jpg", exif=turned()),
        "detection/images/train: 1 pictures are turned as their EXIF says; boxes must be of the turned picture: b.jpg",
        id="EXIF",
    ),
    pytest.param(
        add("detection/images/train/b.png", exif=turned()), "1 pictures are turned as their EXIF", id="EXIF in a PNG"
    ),
    pytest.param(
        add("detection/images/train/b.jpg", mode="CMYK"), "1 pictures are CMYK and are read as RGB", id="for a printer"
    ),
    pytest.param(
        add("detection/images/train/b.png", mode="RGBA"), "1 pictures have a transparent background", id="transparent"
    ),
    pytest.param(
        both(overwrite("detection/images/train/b.tif", "x"), overwrite(TRAIN + "a.heic", "x")),
        "detection/images/train: 1 entries are no pictures that are read (JPEG, PNG, BMP, WebP): b.tif",
        id="other formats",
    ),
    pytest.param(
        draw("detection/images/train/day1/b.png"), "1 entries are no pictures that are read", id="folder in a folder"
    ),
]


@pytest.mark.parametrize(("damage", "place", "message"), FATAL)
def test_a_fatal_defect_is_named(district: Path, damage: Damage, place: str, message: str) -> None:
    require_fatal(district, damage, place, message)


@pytest.mark.parametrize(("damage", "message"), WARNINGS)
def test_a_lesser_defect_is_a_warning(district: Path, damage: Damage, message: str) -> None:
    require_warning(district, damage, message)


def test_decoders_say_nothing_on_the_screen(district: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("detection/images/train/b.jpg", "detection/images/train/b.png", TRAIN + "0001_c1s1_000009_00.jpg"):
        cut(name)(district)
    assert len([finding for finding in check_district(district) if "picture, got one" in finding.message]) == 2
    assert capfd.readouterr().err == ""


def test_processes_find_what_one_finds_and_hard_links_are_read_once(
    district: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cut("detection/images/train/b.jpg")(district)
    cut(TRAIN + "0001_c1s1_000009_00.jpg")(district)
    twin = district / "detection/images/train/twin.jpg"
    twin.hardlink_to(district / "detection/images/train/b.jpg")
    expected = check_district(district)
    monkeypatch.setattr(readings, "_PER_PROCESS", 1)
    monkeypatch.setattr(readings, "available_cores", lambda: 2)
    assert check_district(district) == expected
    assert sum("picture, got one" in finding.message for finding in expected) == 3
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(readings, "available_cores", lambda: 1)
    read: list[Path] = []

    def decode(file: Path, *_: object) -> tuple[bool, None]:
        read.append(file)
        return True, None

    monkeypatch.setattr(readings, "_decode", decode)
    Readings().read([twin, district / "detection/images/train/b.jpg"])
    assert len(read) == 1


def test_damaged_exif_turns_nothing_and_is_not_on_the_screen(
    district: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    file = district / "detection/images/train/b.jpg"
    draw_picture(file)
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\xff\xff\xff\xff"
    start, rest = file.read_bytes()[:2], file.read_bytes()[2:]
    file.write_bytes(start + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + rest)
    assert not [finding for finding in check_district(district) if "EXIF" in finding.message]
    assert (capfd.readouterr().err, len(recwarn)) == ("", 0)


def test_a_picture_that_a_camera_padded_is_whole(district: Path) -> None:
    file = district / "detection/images/test/b.jpg"
    draw_picture(file)
    file.write_bytes(file.read_bytes() + bytes(500))
    assert fatal(district) == []


@pytest.mark.slow
def test_a_picture_of_some_kilobytes_that_decodes_to_gigabytes_is_named_and_not_decoded(
    district: Path,
) -> None:
    picture = next((district / "attributes" / "images").iterdir())
    Image.new("1", (30_000, 30_000)).save(picture, "PNG")
    assert picture.stat().st_size < 200_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = [str(finding) for finding in check_district(district) if picture.name in str(finding)]
    assert any("must be a readable picture" in line for line in found)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 500_000_000
