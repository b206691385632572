"""Each kind of defect is reported with its file and line; a fatal one keeps the data out."""

import csv
import re
import resource
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from districts.checks import check_district
from districts.demo.video import VideoWriter
from districts.findings import Finding, report_of
from domain.schemas import read_schema

SCHEMA = read_schema("suseong")
TRAIN, QUERY, GALLERY = "reid/bounding_box_train/", "reid/query/", "reid/bounding_box_test/"
LABELS = {group.name: group.label_names[0] for group in SCHEMA.groups}


def draw_picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(str(file).encode()))
    cv2.imwrite(str(file), rng.integers(0, 256, (32, 16, 3), np.uint8))


def write_table(file: Path, rows: list[dict[str, str]], columns: list[str] | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(
            lines, columns or ["image", "identity", "camera", *SCHEMA.group_names], extrasaction="ignore"
        )
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def district(tmp_path: Path) -> Path:
    """A district of two cameras and six people in which nothing is wrong."""
    cameras = [
        {
            "id": name,
            "name": name,
            "latitude": 35.8,
            "longitude": 128.6,
            "fps": 2,
            "width_px": 32,
            "height_px": 32,
            "start": "2026-05-12T18:40:00+09:00",
        }
        for name in ("c1", "c2")
    ]
    described = {
        "name": "tiny",
        "time_zone": "Asia/Seoul",
        "attribute_schema": "suseong",
        "source": "a test",
        "licence": "CC0-1.0",
        "cameras": cameras,
    }
    (tmp_path / "district.yaml").write_text(yaml.safe_dump(described))
    identity = 0
    for split in ("train", "val", "test"):
        draw_picture(tmp_path / "detection" / "images" / split / "a.png")
        labels = tmp_path / "detection" / "labels" / split
        labels.mkdir(parents=True)
        (labels / "a.txt").write_text("0 0.5 0.5 0.2 0.4\n")
        rows = []
        for _ in range(2):
            identity += 1
            rows += [
                {"image": f"{identity}_{i}.png", "identity": str(identity), "camera": "c1", **LABELS} for i in range(6)
            ]
        for row in rows:
            draw_picture(tmp_path / "attributes" / "images" / row["image"])
        write_table(tmp_path / "attributes" / f"{split}.csv", rows)
    for name in (
        "bounding_box_train/0001_c1s1_000001_00",
        "bounding_box_train/0001_c2s1_000002_00",
        "query/0005_c1s1_000001_00",
        "bounding_box_test/0005_c2s1_000002_00",
    ):
        draw_picture(tmp_path / "reid" / f"{name}.png")
    for camera in ("c1", "c2"):
        with VideoWriter(tmp_path / "videos" / f"{camera}.mp4", 2, (32, 32)) as video:
            video.write(np.zeros((32, 32, 3), np.uint8))
        (tmp_path / "videos" / f"{camera}.txt").write_text("1,5,2,2,8,20,1,1,1\n")
    draw_picture(tmp_path / "videos" / "problems" / "p1.png")
    problem = {
        "id": "p1",
        "identity": 5,
        "crops": ["problems/p1.png"],
        "attributes": {"gender": "male"},
        "camera": "c1",
        "frame": 1,
    }
    (tmp_path / "videos" / "problems.yaml").write_text(yaml.safe_dump({"problems": [problem]}))
    return tmp_path


def fatal(folder: Path) -> list[Finding]:
    return [finding for finding in check_district(folder) if finding.is_fatal]


def test_sound_data_has_no_fatal_defect(district: Path) -> None:
    assert fatal(district) == []


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return damage


def overwrite(file: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text(text)


def remove(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).unlink()


def rename(file: str, other: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).rename(folder / other)


FATAL = [
    pytest.param(
        overwrite("district.yaml", "name: tiny\n"), "district.yaml", "time_zone", id="district says too little"
    ),
    pytest.param(replace("district.yaml", "suseong", "daegu"), "district.yaml", "must be one of", id="no such schema"),
    pytest.param(
        replace("district.yaml", "+09:00", ""), "district.yaml", "start with a time zone", id="start without zone"
    ),
    pytest.param(
        overwrite("detection/images/val/a.png", "x"),
        "detection/images/val/a.png",
        "readable picture",
        id="unreadable frame",
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
    pytest.param(
        overwrite("attributes/images/3_0.png", "x"),
        "attributes/val.csv, line 2",
        "readable picture",
        id="unreadable crop",
    ),
    pytest.param(
        replace("attributes/test.csv", "5_0.png,5", "5_0.png,1"),
        "attributes/test.csv, line 2",
        r"splits must share no identity; identity 1 is also in train .*train\.csv, line 2",
        id="person in two splits",
    ),
    pytest.param(
        rename(TRAIN + "0001_c1s1_000001_00.png", TRAIN + "one.png"),
        "reid/bounding_box_train/one.png",
        "must be named like",
        id="not a Market name",
    ),
    pytest.param(
        overwrite(QUERY + "0005_c1s1_000001_00.png", "x"),
        QUERY + "0005_c1s1_000001_00.png",
        "readable picture",
        id="unreadable query",
    ),
    pytest.param(
        rename(GALLERY + "0005_c2s1_000002_00.png", GALLERY + "0006_c2s1_000002_00.png"),
        "reid/query",
        "at least one query must have a match",
        id="no query has a match",
    ),
    pytest.param(
        rename(TRAIN + "0001_c1s1_000001_00.png", TRAIN + "0005_c1s1_000001_00.png"),
        GALLERY + "0005_c2s1_000002_00.png",
        "identity 5 is also in bounding_box_train",
        id="re-ID person in two splits",
    ),
    pytest.param(remove("videos/c2.mp4"), "videos/c2.mp4", "must exist", id="no video"),
    pytest.param(
        overwrite("videos/c2.mp4", "x"), "videos/c2.mp4", "must be a video that PyAV can read", id="unreadable video"
    ),
    pytest.param(
        overwrite("videos/c2.txt", "1,5,2\n"),
        "videos/c2.txt, line 1",
        "must have at least 6 numbers",
        id="ground truth too short",
    ),
    pytest.param(
        replace("videos/problems.yaml", "identity: 5", "identity: 9"),
        "videos/problems.yaml, entry 1",
        "identity 9 must be in the ground truth of c1",
        id="person not in the ground truth",
    ),
    pytest.param(
        overwrite("videos/c2.txt", ""),
        "videos/problems.yaml, entry 1",
        "identity 5 must also be in the ground truth of another camera than c1",
        id="seen by one camera",
    ),
    pytest.param(
        replace("videos/problems.yaml", "problems/p1.png", "problems/p2.png"),
        "videos/problems.yaml, entry 1",
        "p2.png must be a readable picture",
        id="no crop",
    ),
    pytest.param(
        replace("videos/problems.yaml", "gender: male", "gender: man"),
        "videos/problems.yaml, entry 1",
        "gender=man must be in the attribute schema",
        id="label of a problem",
    ),
    pytest.param(
        overwrite("videos/problems.yaml", "problems: 3\n"),
        "videos/problems.yaml",
        "must have a list `problems`",
        id="no problems",
    ),
]


@pytest.mark.parametrize(("damage", "place", "message"), FATAL)
def test_a_fatal_defect_is_named(district: Path, damage: Callable[[Path], object], place: str, message: str) -> None:
    damage(district)
    matching = [finding for finding in fatal(district) if finding.place.endswith(place)]
    assert matching, f"nothing fatal at {place}: {[*map(str, fatal(district))]}"
    assert re.search(message, "; ".join(finding.message for finding in matching))


WARNINGS = [
    pytest.param(
        rename(TRAIN + "0001_c2s1_000002_00.png", TRAIN + "0002_c2s1_000002_00.png"),
        "identity 2 has a single picture",
        id="single image",
    ),
    pytest.param(
        lambda folder: draw_picture(folder / QUERY / "0006_c1s1_000001_00.png"),
        "identity 6 must also be in bounding_box_test from another camera",
        id="query without a match",
    ),
    pytest.param(
        lambda folder: draw_picture(folder / QUERY / "0005_c7s1_000001_00.png"),
        "camera must be 1 to 2, got 7",
        id="no such camera",
    ),
    pytest.param(
        overwrite("detection/labels/val/b.txt", "0 0.5 0.5 0.2 0.4\n"),
        "must belong to a picture of the same name in detection/images/val",
        id="label without a picture",
    ),
    pytest.param(
        replace("attributes/val.csv", "c1", "c9"), "camera must be one of district.yaml, got 'c9'", id="unknown camera"
    ),
    pytest.param(lambda folder: None, "gender=female occurs 0 times", id="a label that never occurs"),
]


@pytest.mark.parametrize(("damage", "message"), WARNINGS)
def test_a_lesser_defect_is_a_warning(district: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(district)
    matching = [finding for finding in check_district(district) if message in finding.message]
    assert matching
    assert not any(finding.is_fatal for finding in matching)


def test_an_empty_folder_is_no_district(tmp_path: Path) -> None:
    assert all(finding.is_fatal for finding in check_district(tmp_path))
    assert "must exist" in str(check_district(tmp_path)[0])


def test_a_district_without_any_data_is_refused(district: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    bare = tmp_path_factory.mktemp("bare")
    (bare / "district.yaml").write_text((district / "district.yaml").read_text())
    assert ["must hold one of" in finding.message for finding in fatal(bare)] == [True]


def test_the_report_lists_places_relative_to_the_district(district: Path) -> None:
    (district / "videos" / "c2.mp4").unlink()
    report = report_of(check_district(district), "tiny", "Checked.", district)
    assert "| videos/c2.mp4 | must exist |" in report
    assert "1 fatal defects" in report
    assert str(district) not in report.replace(district.name, "")


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
