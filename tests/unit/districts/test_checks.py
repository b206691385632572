"""Each kind of defect is reported with its file and line; a fatal one keeps the data out."""

import re
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from districts.checks import check_district
from districts.data_report import DataReport
from districts.demo.video import VideoWriter
from districts.findings import Finding
from tests.helpers.districts import draw_picture, write_district, write_table

pytestmark = pytest.mark.slow

TRAIN, QUERY, GALLERY = "reid/bounding_box_train/", "reid/query/", "reid/bounding_box_test/"


@pytest.fixture
def district(tmp_path: Path) -> Path:
    """A district of two cameras and six people in which nothing is wrong."""
    return write_district(tmp_path)


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


def draw(file: str) -> Callable[[Path], object]:
    return lambda folder: draw_picture(folder / file)


def rename(file: str, other: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).rename(folder / other)


def add(file: str, **saved: Any) -> Callable[[Path], object]:
    """Another picture, saved by Pillow with these options."""

    def write(folder: Path) -> None:
        draw_picture(folder / file)
        picture = Image.open(folder / file).convert(saved.pop("mode", "RGB"))
        picture.save(folder / file, **saved)

    return write


def cut(file: str, share: float = 0.6) -> Callable[[Path], object]:
    """Another picture, of which the end is missing."""

    def write(folder: Path) -> None:
        draw_picture(folder / file)
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: int(share * len(content))])

    return write


def copy(file: str, other: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copy(folder / file, folder / other)


def film(file: str, num_frames: int) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        with VideoWriter(folder / file, 2, (32, 32)) as video:
            for _ in range(num_frames):
                video.write(np.zeros((32, 32, 3), np.uint8))

    return write


def more_cameras(number: int, **changed: float) -> Callable[[Path], object]:
    def describe(folder: Path) -> None:
        described = yaml.safe_load((folder / "district.yaml").read_text())
        camera = described["cameras"][0] | changed
        described["cameras"] += [camera | {"id": f"x{i}"} for i in range(number)]
        (folder / "district.yaml").write_text(yaml.safe_dump(described))

    return describe


def both(*damages: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: [damage(folder) for damage in damages]


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # by a quarter
    return exif


FATAL = [
    pytest.param(
        replace("district.yaml", "time_zone: Asia/Seoul", "time_zone: KST\nnotes: none"),
        "district.yaml",
        "time_zone: a time zone must be .*; notes: Extra inputs",
        id="two faults of the district",
    ),
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
        both(replace("attributes/val.csv", "male", "man"), replace("attributes/val.csv", ",3,", ",three,")),
        "attributes/val.csv, line 2",
        "identity must be a whole number, got 'three'; gender must be one of",
        id="two faults of a row",
    ),
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
    pytest.param(overwrite("videos/c1.txt", "0,5,2,2,8,20\n"), "videos/c1.txt, line 1", "count from 1", id="frame 0"),
    pytest.param(
        overwrite("videos/c1.txt", "1,5,2,2,8,20\n1,6,2,2,8,20\n1,5,9,9,8,20\n"),
        "videos/c1.txt, line 3",
        "identity 5 must have one box in frame 1, got another in line 1",
        id="two boxes of one person",
    ),
    pytest.param(
        both(*(overwrite(f"videos/{name}.txt", "1,5,2,2,8,20,0,1,1\n") for name in ("c1", "c2"))),
        "videos",
        "must have a person who counts, got nobody",
        id="nobody counts",
    ),
    pytest.param(
        overwrite("videos/labels.txt", "car\nbicycle\n"), "videos/c1.txt", "must name a class person", id="no person"
    ),
    pytest.param(
        replace("district.yaml", "id: c2", "id: c1"),
        "district.yaml",
        "each camera must have an id of its own; c1 is there repeatedly",
        id="two cameras of one id",
    ),
    pytest.param(
        lambda folder: (folder / "detection/images/val").rename(folder / "detection/images/valid"),
        "detection/images/val",
        "must hold pictures, got none; in .*/detection/images there is test, train, valid",
        id="split by another name",
    ),
    pytest.param(
        lambda folder: (folder / "reid").rename(folder / "ReID"), "ReID", "must be called reid", id="folder in capitals"
    ),
    pytest.param(
        rename("attributes/images/3_0.png", "attributes/images/3_0.PNG"),
        "attributes/val.csv, line 2",
        r"3_0\.png must be a picture; it is missing, but there is 3_0\.PNG",
        id="crop in another case",
    ),
    pytest.param(
        replace("videos/problems.yaml", "frame: 1", "frame: 9"),
        "videos/problems.yaml, entry 1",
        "frame must be one in which c1 sees identity 5, 1 to 1, got 9",
        id="frame of a problem",
    ),
    pytest.param(rename("videos/c2.mp4", "videos/c2.MP4"), "videos/c2.mp4", "must exist; rename c2.MP4", id="MP4"),
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
        copy("detection/images/train/a.png", "detection/images/test/copy.png"),
        "test/copy.png: splits must share no picture; this one is byte for byte {}/detection/images/train/a.png",
        id="scene in two splits",
    ),
    pytest.param(
        copy(QUERY + "0005_c1s1_000001_00.png", GALLERY + "0005_c2s1_000009_00.png"),
        "query/0005_c1s1_000001_00.png: splits must share no picture",
        id="query in the gallery",
    ),
    pytest.param(
        draw("detection/images/train/A.png"), "differs from A.png in case alone", id="names of one file on Windows"
    ),
    pytest.param(draw("attributes/images/9.png"), "1 pictures are in no table: 9.png", id="picture without labels"),
    pytest.param(draw("crops/a.png"), "crops: is not read; a district has the folders detection", id="other folder"),
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
        lambda folder: [*map(draw_picture, (folder / TRAIN / f"0002_c1s1_00000{number}_00.png" for number in (1, 2)))],
        "bounding_box_train: 1 of 2 identities are seen by one camera only and teach nothing across cameras: 2",
        id="identity of one camera",
    ),
    pytest.param(
        overwrite("videos/c1.txt", "1,5,2,2,8,20\n2,5,2,2,8,20\n9,5,2,2,8,20\n"),
        "c1.txt: 2 of 3 boxes are behind the end of the video, which has 1 frames: the ground truth goes on to frame 9",
        id="ground truth of a longer video",
    ),
    pytest.param(
        film("videos/c1.mp4", 9),
        "c1.txt: ends at frame 1 of 9: people behind it must be labelled, or there are none",
        id="ground truth of the beginning",
    ),
    pytest.param(
        more_cameras(2, latitude=36.0),
        "district.yaml: 2 of 4 cameras have no video, re-ID crop or row of attributes: x0, x1",
        id="cameras without data",
    ),
    pytest.param(
        more_cameras(1),
        "district.yaml: 3 cameras are all at 35.8, 128.6; walking times between them would be 0: c1, c2, x0",
        id="cameras at one place",
    ),
    pytest.param(
        replace("district.yaml", "fps: 2", "fps: 25"), "c1.mp4: has 2 frames a second; district.yaml says 25", id="rate"
    ),
    pytest.param(
        replace("district.yaml", "width_px: 32", "width_px: 64"),
        "c1.mp4: has 32 × 32 pixels; district.yaml says 64 × 32",
        id="size of the video",
    ),
    pytest.param(
        overwrite("videos/c2.txt", "1,5,2,2,8,20\n1,6,900,400,80,200\n"),
        "c2.txt: 1 of 2 boxes are outside of the video, which has 32 × 32 pixels",
        id="ground truth of a larger video",
    ),
    pytest.param(
        replace("attributes/val.csv", "3_1.png", "3_0.png"), "3_0.png is also in line 2", id="picture with two rows"
    ),
    pytest.param(
        overwrite("videos/c1.txt", "1,5,2,2,8,20,1,1,1\n1,6,2,2,8,20,1,2,1\n1,7,2,2,8,20,1,2,1\n"),
        "c1.txt: column 8 has other classes than person, which do not count: class 2 (2 boxes)",
        id="cars in the ground truth",
    ),
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
    pytest.param(lambda folder: None, "gender=female (0), ", id="a label that never occurs"),
]


@pytest.mark.parametrize(("damage", "message"), WARNINGS)
def test_a_lesser_defect_is_a_warning(district: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(district)
    wanted = message.replace("{}", str(district))
    matching = [finding for finding in check_district(district) if wanted in f"{finding.place}: {finding.message}"]
    assert matching
    assert not any(finding.is_fatal for finding in matching)


def test_decoders_say_nothing_on_the_screen(district: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("detection/images/train/b.jpg", "detection/images/train/b.png", TRAIN + "0001_c1s1_000009_00.jpg"):
        cut(name)(district)
    assert len([finding for finding in check_district(district) if "picture, got one" in finding.message]) == 2
    assert capfd.readouterr().err == ""


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


def test_names_of_classes_beside_the_labels_may_say_person(district: Path) -> None:
    before = check_district(district)
    for split, name in (("train", "person"), ("val", "Pedestrian\r\nbicycle"), ("test", "사람")):
        overwrite(f"detection/labels/{split}/classes.txt", name)(district)
    assert check_district(district) == before


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


def test_pictures_that_a_published_set_has_twice_are_only_told(district: Path) -> None:
    copy("attributes/images/1_0.png", "attributes/images/5_0.png")(district)
    copy(TRAIN + "0001_c1s1_000001_00.png", GALLERY + "0005_c2s1_000009_00.png")(district)
    found = [item for item in check_district(district, is_published=True) if "share no picture" in item.message]
    assert [item.is_fatal for item in found] == [False, False]


def test_an_empty_folder_is_no_district(tmp_path: Path) -> None:
    assert all(finding.is_fatal for finding in check_district(tmp_path))
    assert "must exist" in str(check_district(tmp_path)[0])


def test_a_district_without_any_data_is_refused(district: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    bare = tmp_path_factory.mktemp("bare")
    (bare / "district.yaml").write_text((district / "district.yaml").read_text())
    assert ["must hold one of" in finding.message for finding in fatal(bare)] == [True]


def test_cameras_without_video_or_ground_truth_are_told(district: Path) -> None:
    described = yaml.safe_load((district / "district.yaml").read_text())
    cameras = described["cameras"]
    cameras += [cameras[0] | {"id": f"c{number}", "start": None} for number in range(3, 9)]
    (district / "district.yaml").write_text(yaml.safe_dump(described))
    (district / "videos/c2.txt").unlink()
    (district / "videos/problems.yaml").unlink()
    found = {finding.message for finding in check_district(district) if "videos" in finding.place}
    assert found == {
        "cameras without video, in which nobody is followed: c3, c4, c5, c6, c7, c8",
        "videos without ground truth, on which tracking is not measured: c2",
        "is missing: search and routes are not measured",
    }
    assert fatal(district) == []


def test_videos_of_no_camera_are_refused(district: Path) -> None:
    for file in (district / "videos").glob("c*"):
        file.rename(district / "videos" / f"other-{file.name}")
    (district / "videos/problems.yaml").unlink()
    assert ["must hold <camera>.mp4 of a camera" in finding.message for finding in fatal(district)] == [True]


def markdown(district: Path, findings: list[Finding]) -> str:
    DataReport("tiny", "Checked.", district, {}, findings).write(district / "report")
    return (district / "report" / "data_report.md").read_text()


def test_the_report_lists_places_relative_to_the_district(district: Path) -> None:
    (district / "videos" / "c2.mp4").unlink()
    report = markdown(district, check_district(district))
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


def test_the_report_lists_every_name_and_the_screen_some(district: Path) -> None:
    for number in range(90):
        draw_picture(district / f"detection/images/train/{number}.png")
    (found,) = [finding for finding in check_district(district) if "have no labels" in finding.message]
    assert found.message.startswith("90 pictures have no labels and count as pictures without people: 0.txt, 1.txt, ")
    assert found.message.endswith(", 89.txt, 9.txt")
    assert len(str(found)) < 700
    assert found.message in markdown(district, [found])


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
