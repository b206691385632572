import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from districts.box_files import (
    TrackTable,
    parse_tracks,
    read_detection_split,
    read_tracks,
    track_table,
    write_tracks,
)
from districts.layout import read_attribute_split, read_district, read_problems, read_reid_folder
from domain.attributes import AttributeSchema, Group, Label
from domain.errors import InputError
from domain.schemas import read_schema

SCHEMA = AttributeSchema(
    name="tiny",
    groups=(
        Group(
            name="bag",
            english="bag",
            korean="가방",
            labels=(Label(name="backpack", korean="백팩"), Label(name="none", korean="없음", absent=True)),
        ),
    ),
)
CAMERA = "{id: c1, name: Gate, latitude: 35.8, longitude: 128.6, fps: 6, width_px: 64, height_px: 48}"


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), np.zeros((50, 100, 3), np.uint8))


def text(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")


def test_a_district_says_where_its_cameras_are(tmp_path: Path) -> None:
    text(
        tmp_path / "district.yaml",
        "{name: demo, time_zone: Asia/Seoul, attribute_schema: suseong, source: here, licence: own, "
        f"cameras: [{CAMERA}]}}",
    )
    assert read_district(tmp_path).cameras[0].latitude == 35.8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "must exist", id="missing"),
        pytest.param("[", "must be YAML", id="not YAML"),
        pytest.param("[]", "must hold a mapping, got list", id="a list"),
        pytest.param("{name: demo}", "district.yaml: time_zone: Field required", id="a key is missing"),
        pytest.param("{name: demo, colour: red}", "district.yaml", id="an unknown key"),
    ],
)
def test_a_district_file_that_is_none_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        text(tmp_path / "district.yaml", content)
    with pytest.raises(InputError, match=message):
        read_district(tmp_path)


def test_problems_are_numbered_in_errors(tmp_path: Path) -> None:
    text(tmp_path / "videos/problems.yaml", "problems: [{id: p01}]")
    with pytest.raises(InputError, match=r"problems\.yaml, entry 1: identity: Field required"):
        read_problems(tmp_path)


def test_problems_must_be_a_list(tmp_path: Path) -> None:
    text(tmp_path / "videos/problems.yaml", "people: []")
    with pytest.raises(InputError, match="must have a list `problems`"):
        read_problems(tmp_path)


def test_yolo_labels_become_pixels(tmp_path: Path) -> None:
    picture(tmp_path / "detection/images/train/a.jpg")
    picture(tmp_path / "detection/images/train/b.jpg")
    text(tmp_path / "detection/labels/train/a.txt", "0 0.5 0.5 0.2 0.4\n\n")
    with_person, empty = read_detection_split(tmp_path, "train")
    assert np.allclose(with_person.boxes_xyxy, [[40, 15, 60, 35]])
    assert empty.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize("line", ["0 0.5 0.5 0.2", "person 0.5 0.5 0.2 0.4", "0 0.5 0.5 1.2 0.4", "1 0.5 0.5 0.2 0.4"])
def test_a_wrong_yolo_line_is_named(tmp_path: Path, line: str) -> None:
    picture(tmp_path / "detection/images/val/a.jpg")
    text(tmp_path / "detection/labels/val/a.txt", f"0 0.5 0.5 0.2 0.4\n{line}\n")
    with pytest.raises(InputError, match=r"a\.txt, line 2: "):
        read_detection_split(tmp_path, "val")


def test_a_corrupt_picture_is_named(tmp_path: Path) -> None:
    text(tmp_path / "detection/images/val/a.jpg", "not a picture")
    with pytest.raises(InputError, match=r"a\.jpg must be a readable picture"):
        read_detection_split(tmp_path, "val")


def test_an_empty_cell_is_unknown(tmp_path: Path) -> None:
    text(
        tmp_path / "attributes/train.csv",
        "image,identity,camera,bag,hat\na.jpg,3,c1,none,yes\nb.jpg,4,c2,,no\nc.jpg,4,c2,backpack,no\n",
    )
    table = read_attribute_split(tmp_path, "train", SCHEMA)
    assert table.labels.tolist() == [[1], [-1], [0]]
    assert (table.images, table.identities.tolist(), table.cameras) == (
        ["a.jpg", "b.jpg", "c.jpg"],
        [3, 4, 4],
        ["c1", "c2", "c2"],
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "must exist", id="missing"),
        pytest.param("image,identity\n", "line 1: must also have the columns camera, bag", id="columns missing"),
        pytest.param(
            "image,identity,camera,bag\na.jpg,3,c1,none\nb.jpg,3,c1,rucksack\n",
            "line 3: bag must be one of backpack, none, got 'rucksack'",
            id="unknown label",
        ),
        pytest.param(
            "image,identity,camera,bag\na.jpg,x,c1,none\n", "line 2: identity must be a whole number", id="identity"
        ),
    ],
)
def test_a_wrong_attribute_table_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        text(tmp_path / "attributes/val.csv", content)
    with pytest.raises(InputError, match=message):
        read_attribute_split(tmp_path, "val", SCHEMA)


def test_market_names_hold_identity_and_camera(tmp_path: Path) -> None:
    for name in ("0012_c3s1_000151_00.jpg", "-1_c1s1_000001_00.jpg", "0000_c2s1_000001_00.jpg"):
        picture(tmp_path / "reid/query" / name)
    table = read_reid_folder(tmp_path, "query")
    assert (table.identities.tolist(), table.cameras.tolist()) == ([-1, 0, 12], [1, 2, 3])


def test_crops_have_the_times_of_their_table(tmp_path: Path) -> None:
    for name in ("0001_c1s1_000001_00.jpg", "0001_c2s1_000002_00.jpg", "0002_c2s1_000003_00.jpg"):
        picture(tmp_path / "reid" / "query" / name)
    assert np.isnan(read_reid_folder(tmp_path, "query").times_s).all()
    rows = "0002_c2s1_000003_00.jpg,1970-01-01T09:02:00+09:00\n0001_c1s1_000001_00.jpg,12.5\nother.jpg,3\n"
    text(tmp_path / "reid" / "times.csv", "image,time_s\n" + rows)
    table = read_reid_folder(tmp_path, "query")
    np.testing.assert_array_equal(table.times_s, [12.5, np.nan, 120])
    np.testing.assert_array_equal(table.only(np.array([True, False, True])).times_s, [12.5, 120])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,time\na.jpg,1\n", "must also have the columns time_s"),
        ("image,time_s\na.jpg,noon\n", "line 2: time_s must be seconds or a time like 2026-05-01T12:30:00, got 'noon'"),
        ("image,time_s\na.jpg,\n", "line 2: time_s must be seconds"),
        ("image,time_s\na.jpg,1e30\n", "line 2: time_s must be seconds"),
        ("image,time_s\na.jpg,1\nb.jpg,1\na.jpg,2\n", "line 4: each crop must have one time, got two for 'a.jpg'"),
    ],
)
def test_a_wrong_table_of_times_is_named(tmp_path: Path, content: str, message: str) -> None:
    picture(tmp_path / "reid" / "query" / "0001_c1s1_000001_00.jpg")
    text(tmp_path / "reid" / "times.csv", content)
    with pytest.raises(InputError, match=re.escape(message)):
        read_reid_folder(tmp_path, "query")


def test_a_name_of_another_format_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "reid/query/person.jpg")
    with pytest.raises(InputError, match=r"person\.jpg must be named like 0001_c1s1_000151_00\.jpg"):
        read_reid_folder(tmp_path, "query")


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a folder of pictures; it is missing"):
        read_reid_folder(tmp_path, "query")
    (tmp_path / "reid/query").mkdir(parents=True)
    with pytest.raises(InputError, match=r"must hold pictures .*, got none"):
        read_reid_folder(tmp_path, "query")


def test_tracks_come_back_as_they_were_written(tmp_path: Path) -> None:
    table = TrackTable(
        frames=np.array([2, 1]),
        tracks=np.array([7, 7]),
        boxes_xyxy=np.array([[1, 2, 3.5, 4], [0, 0, 2, 2]], np.float32),
        confidences=np.array([0.5, 1], np.float32),
    )
    write_tracks(tmp_path / "c1.txt", table)
    read = read_tracks(tmp_path / "c1.txt")
    assert read.frames.tolist() == [1, 2]
    assert np.allclose(read.boxes_xyxy, table.boxes_xyxy[::-1])
    assert np.allclose(read.confidences, table.confidences[::-1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "must exist", id="missing"),
        pytest.param("1,2,3,4,5,6\n1,2,3\n", "line 2: must have at least 6 numbers, got 3", id="short"),
        pytest.param("1,2,a,4,5,6\n", "line 1: must be numbers", id="text"),
    ],
)
def test_wrong_tracks_name_the_line(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        text(tmp_path / "c1.txt", content)
    with pytest.raises(InputError, match=message):
        read_tracks(tmp_path / "c1.txt")


CLASSES = [
    pytest.param("1,7,0,0,9,9,1,1,1.0", True, id="person"),
    pytest.param("1,7,0,0,9,9,1,2,1.0", False, id="car"),
    pytest.param("1,7,0,0,9,9,1,2", False, id="car without visibility"),
    pytest.param("1,7,0,0,9,9,1,2,1.0,-1", False, id="car in ten columns"),
    pytest.param("1,7,0,0,9,9,-1,-1,-1,-1", True, id="MOTChallenge's example"),
    pytest.param("1,7,0,0,9,9,0,1,1.0", False, id="ignored"),
    pytest.param("1,7,0,0,9,9", True, id="six columns"),
    pytest.param("1,7,0,0,9,9,1,4.4852,5.5016,0", True, id="place in the world"),
    pytest.param("1,7,0,0,9,9,1,4,5,0", True, id="place in whole metres"),
    pytest.param("1 7 0 0 9 9 1 2 1", False, id="blanks"),
    pytest.param("1, 7, 0, 0, 9, 9, 1, 1, 1,\r", True, id="blanks and a comma at the end"),
]


@pytest.mark.parametrize(("line", "is_counted"), CLASSES)
def test_people_count_whatever_their_confidence_but_0(tmp_path: Path, line: str, is_counted: bool) -> None:
    text(tmp_path / "c1.txt", line + "\n")
    assert read_tracks(tmp_path / "c1.txt").is_counted.tolist() == [is_counted]


def test_a_file_of_labels_says_which_class_is_a_person(tmp_path: Path) -> None:
    text(tmp_path / "c1.txt", "1,7,0,0,9,9,1,1,1\n1,8,0,0,9,9,1,2,1\n1,9,0,0,9,9,1,3,1\n")
    text(tmp_path / "labels.txt", "\ufeffcar\r\nPedestrian\r\n")
    parsed = parse_tracks(tmp_path / "c1.txt")
    assert parsed.table.tracks[parsed.table.is_counted].tolist() == [8]
    assert parsed.left_out == {"car": 1, "class 3": 1}


def test_decimal_commas_are_not_taken_for_columns(tmp_path: Path) -> None:
    text(tmp_path / "c1.txt", "1 7 10,5 20,5 9 9\n")
    with pytest.raises(InputError, match=r"c1\.txt, line 1: must be numbers with decimal points, separated by commas"):
        read_tracks(tmp_path / "c1.txt")


def test_rounding_of_a_converter_is_no_box_outside(tmp_path: Path) -> None:
    picture(tmp_path / "detection/images/train/a.jpg")
    labels = "\ufeff0 0.5 0.5 1.0000001 0.4 \r\n\r\n0.0\t-1e-7\t0.5\t0.2\t0.4\r\n"
    text(tmp_path / "detection/labels/train/a.txt", labels)
    (frame,) = read_detection_split(tmp_path, "train")
    assert np.allclose(frame.boxes_xyxy, [[0, 15, 100, 35], [-10, 15, 10, 35]])


def test_a_table_from_windows_is_read(tmp_path: Path) -> None:
    table = "Image;Identity;CAMERA;bag\r\n;;;\r\nday\\a.jpg;0012;c1; none \r\nb.jpg;13.0;c1;\r\n"
    (tmp_path / "attributes").mkdir()
    (tmp_path / "attributes/train.csv").write_bytes(table.encode("utf-16"))
    read = read_attribute_split(tmp_path, "train", SCHEMA)
    assert (read.images, read.identities.tolist()) == (["day/a.jpg", "b.jpg"], [12, 13])
    assert read.labels.tolist() == [[1], [-1]]


@pytest.mark.parametrize(
    "name", ["0012_c3s1_000151_00.JPG", "0012_c3s1_000151_00.jpg.jpg", "12_c3s1_000151_00.webp", "0012_c3s1_1_0.Bmp"]
)
def test_market_names_have_the_endings_that_people_have(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "reid/query/a.png")
    (tmp_path / "reid/query/a.png").rename(tmp_path / "reid/query" / name)
    table = read_reid_folder(tmp_path, "query")
    assert (table.identities.tolist(), table.cameras.tolist()) == ([12], [3])


def test_the_real_ground_truth_is_read(real_data: Path) -> None:
    table = read_tracks(real_data / "mot" / "TUD-Campus" / "gt.txt")
    assert len(table.frames) == 359
    assert len(np.unique(table.tracks)) == 8


def test_the_study_counts_28_labels_without_colours() -> None:
    schema = read_schema("suseong_no_colour")
    assert schema.num_binary_labels == 28
    assert not any(group.colour or group.of == "scene" for group in schema.groups)
    assert set(schema.groups) < set(read_schema("suseong").groups)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            "{name: x, groups: []}",
            "must be an attribute schema; groups: Tuple should have at least 1 item",
            id="empty",
        ),
        pytest.param("[", "must be YAML", id="not YAML"),
        pytest.param(
            "{name: x, groups: [{name: a, english: a, korean: a, "
            "labels: [{name: b, korean: b}, {name: b, korean: b}]}]}",
            r"each label of a must have a unique name, got \['b'\] more than once",
            id="twice",
        ),
    ],
)
def test_a_schema_that_is_none_says_why(tmp_path: Path, content: str, message: str) -> None:
    text(tmp_path / "own.yaml", content)
    with pytest.raises(InputError, match=message):
        read_schema(tmp_path / "own.yaml")


def test_an_unknown_schema_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="must be one of market1501, pa100k, peta, suseong, suseong_no_colour, or"):
        read_schema("daegu")


def test_an_unknown_group_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="of the schema tiny must be one of bag, got 'hat'"):
        SCHEMA.group("hat")


def test_a_camera_that_saw_nobody_has_an_empty_table() -> None:
    table = track_table([])
    assert (table.frames.shape, table.boxes_xyxy.shape, table.confidences.shape) == ((0,), (0, 4), (0,))
