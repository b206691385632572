"""COCO JSON, as https://cocodataset.org/#format-data describes it, becomes a detection set."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision
from pycocotools.coco import COCO

from domain.errors import InputError
from tests.helpers.imports_of_data import HEIGHT, WIDTH, boxes_in, draw, run_import

PERSON = {"id": 1, "name": "person", "supercategory": "person"}
CAR = {"id": 3, "name": "car", "supercategory": "vehicle"}


def annotation(number: int, image: int, bbox: list[float], category: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": 0, "area": 1.0} | more


def content(first: int, names: list[str], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    images = [
        {"id": first + place, "file_name": name, "width": WIDTH, "height": HEIGHT} for place, name in enumerate(names)
    ]
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": [PERSON, CAR]}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders of COCO 2017; a number stands for a picture in each of the splits."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "coco"
    for split, first in (("train", 100), ("val", 200), ("test", 300)):
        draw(root / f"{split}2017" / "000001.jpg")
        annotations = [annotation(first, first, [4, 5, 10, 8]), annotation(first + 1, first, [0, 0, 9, 9], category=3)]
        save(root / f"annotations/instances_{split}2017.json", content(first, ["000001.jpg"], annotations))
    return root


def save(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def test_people_are_taken_with_the_splits_of_the_source(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    district = run_import("coco", source)
    assert boxes_in(district) == {
        "train/train2017_000001.jpg": [[4, 5, 14, 13]],
        "val/val2017_000001.jpg": [[4, 5, 14, 13]],
        "test/test2017_000001.jpg": [[4, 5, 14, 13]],
    }
    assert (district / "detection/images/val/val2017_000001.jpg").samefile(source / "val2017/000001.jpg")
    assert "left out classes: car (3)" in capsys.readouterr().out


def test_other_classes_are_chosen_and_renamed(source: Path) -> None:
    district = run_import("coco", source, "--classes", "rider", "--rename", "car=rider")
    assert list(boxes_in(district).values()) == [[[0, 0, 9, 9]]] * 3


def test_crowds_polygons_and_boxes_beyond_the_edge(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    polygon = [[2, 2, 6, 2, 6, 12], [1, 3, 2, 3, 2, 4]]
    annotations = [
        annotation(1, 100, [0, 0, 40, 20], iscrowd=1, segmentation={"counts": [3], "size": [20, 40]}),
        {"id": 2, "image_id": 100, "category_id": 1, "segmentation": polygon},
        annotation(3, 100, [30, 10, 20, 10.0000001]),
        annotation(4, 100, [41, 10, 5, 5]),
        annotation(5, 100, []),
    ]
    save(source / "annotations/instances_train2017.json", content(100, ["000001.jpg"], annotations))
    district = run_import("coco", source)
    assert boxes_in(district)["train/train2017_000001.jpg"] == [[1, 2, 6, 12], [30, 10, 40, 20]]
    said = capsys.readouterr().out
    assert "1 boxes of crowds (iscrowd); left out" in said
    assert "1 annotations have no bbox and no polygon; left out" in said
    assert "1 boxes reach out of their picture; cut to it" in said
    assert "1 boxes have no area within their picture; left out" in said


def test_one_file_of_a_sequence_is_cut_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"cam/frame_{number}.png" for number in range(1, 31)]  # without leading zeros
    for name in names:
        draw(tmp_path / "cvat/images" / name)
    boxes = [annotation(place, place, [1, 1, 5, 5]) for place in range(30)]
    save(tmp_path / "cvat/annotations/instances_default.json", content(0, names, boxes))
    numbers: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for name in boxes_in(run_import("coco", tmp_path / "cvat")):
        numbers[name.partition("/")[0]].append(int(name.rpartition("_")[2][:-4]))
    assert {split: sorted(found) for split, found in numbers.items()} == {
        "train": [*range(1, 22)],  # 22 and 26 lie just before a cut
        "val": [23, 24, 25],
        "test": [27, 28, 29, 30],
    }


def test_a_dry_run_writes_nothing(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_import("coco", source, "--dry-run")
    said = capsys.readouterr().out
    assert "detection: 1 pictures with 1 people to train, 1 pictures with 1 people to val" in said
    assert not Path("districts-in").exists()
    assert not Path("conf").exists()


def test_what_supervision_writes_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures = [str(draw(tmp_path / "set" / f"{name}.png")) for name in "abc"]
    boxes = {
        picture: supervision.Detections(
            xyxy=np.array([[place, 2, place + 7.5, 16]], np.float64), class_id=np.array([0])
        )
        for place, picture in enumerate(pictures)
    }
    dataset = supervision.DetectionDataset(classes=["person"], images=pictures, annotations=boxes)
    dataset.as_coco(annotations_path=str(tmp_path / "set/annotations.json"))
    assert len(COCO(str(tmp_path / "set/annotations.json")).anns) == 3
    read = {name.partition("/")[2]: found for name, found in boxes_in(run_import("coco", tmp_path / "set")).items()}
    assert read == {f"{name}.png": [[place, 2, place + 7.5, 16]] for place, name in enumerate("abc")}


WRONG = [
    pytest.param(lambda c: c.pop("categories"), r"categories must be a list of objects, got None", id="no classes"),
    pytest.param(lambda c: c["images"].append(3), r"images must be a list of objects", id="a number as image"),
    pytest.param(lambda c: c["images"].append(c["images"][0]), r"id of its own, got 1 repeated", id="same id"),
    pytest.param(lambda c: c["images"][0].update(id=[1]), r"images\[0\]: id must be a number", id="list as id"),
    pytest.param(
        lambda c: c["images"][0].update(width=0), r"images\[0\]: width must be a whole number from 1", id="no width"
    ),
    pytest.param(
        lambda c: c["images"][0].update(file_name=7), r"images\[0\]: file_name must be a text", id="number as name"
    ),
    pytest.param(
        lambda c: c["images"][0].update(file_name="../../../etc/passwd"),
        r"images\[0\]: the file '../../../etc/passwd' must be below .*coco; it is missing",
        id="path out of the source",
    ),
    pytest.param(
        lambda c: c["images"][0].update(width=20), r"must have the shape .* 20 × 20, got 40 × 20", id="other shape"
    ),
    pytest.param(
        lambda c: c["annotations"][0].update(image_id=7), r"annotations\[0\]: image_id must be", id="no such image"
    ),
    pytest.param(
        lambda c: c["annotations"][0].update(category_id=7), r"annotations\[0\]: category_id", id="no such class"
    ),
    pytest.param(
        lambda c: c["annotations"][0].update(image_id=[1]), r"annotations\[0\]: image_id must be", id="list as image"
    ),
    pytest.param(
        lambda c: c["annotations"][0].update(category_id={}), r"annotations\[0\]: category_id", id="object as class"
    ),
    pytest.param(
        lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), r"bbox must be a list of 4 numbers", id="three numbers"
    ),
    pytest.param(
        lambda c: c["annotations"][0].update(bbox=[1, 2, 3, float("nan")]), r"must be a number below", id="not a number"
    ),
    pytest.param(
        lambda c: c["annotations"][0].update(bbox=[1, 2, 3, 10**400]), r"must be a number below", id="huge number"
    ),
]


@pytest.mark.parametrize(("damage", "message"), WRONG)
def test_a_wrong_entry_is_named(damage: Any, message: str, source: Path) -> None:
    file = source / "annotations/instances_train2017.json"
    value = json.loads(file.read_text())
    damage(value)
    save(file, value)
    with pytest.raises(InputError, match=message) as raised:
        run_import("coco", source)
    assert "\n" not in str(raised.value)
    assert not Path("districts-in/town").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be JSON"),
        ("{", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ('{"images": ' + "9" * 5000 + ', "annotations": []}', "must be JSON"),
        ("[]", "must hold a COCO JSON file with images; instances_train2017.json is no COCO file"),
        ('{"images": [], "annotations": [], "categories": []}', "must hold a COCO JSON file with images"),
    ],
)
def test_what_is_no_coco_file_is_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    (tmp_path / "set/instances_train2017.json").write_text(text)
    with pytest.raises(InputError, match=message):
        run_import("coco", tmp_path / "set")


def test_a_name_that_two_pictures_have_needs_its_folder(source: Path) -> None:
    draw(source / "val2017/more/000001.jpg")
    with pytest.raises(InputError, match=r"'000001\.jpg' must be only once below .*, got .*more/000001.jpg"):
        run_import("coco", source)
    file = source / "annotations/instances_val2017.json"
    windows = "D:\\set\\val2017\\more\\000001.jpg"
    save(file, content(200, [windows], [annotation(1, 200, [1, 1, 5, 5])]))
    assert boxes_in(run_import("coco", source))["val/val2017_more_000001.jpg"] == [[1, 1, 6, 6]]
