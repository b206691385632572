"""Label Studio's exports "JSON" and "JSON-MIN", written as https://labelstud.io/guide/export prints them."""

import json
from pathlib import Path
from typing import Any

import pytest

from districts.box_files import read_tracks
from districts.layout import read_attribute_split
from domain.errors import InputError
from domain.schemas import read_schema
from tests.helpers.imports_of_data import HEIGHT, WIDTH, boxes_in, draw, run_import, write_video


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def region(kind: str = "rectanglelabels", **value: Any) -> dict[str, Any]:
    return {
        "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0, "id": "r1", "from_name": "label",
        "to_name": "image", "type": kind, "value": {kind: ["Person"], **value},
    }  # fmt: skip


RECTANGLE = region(x=10.0, y=25.0, width=25.0, height=50.0, rotation=0)
BOX = [4, 5, 14, 15]


def task(image: str, *result: dict[str, Any], **more: Any) -> dict[str, Any]:
    annotation = {"id": 5, "completed_by": 1, "result": list(result), "was_cancelled": False, "ground_truth": False}
    return {"id": 1, "data": {"image": image}, "annotations": [annotation | more]}


def save(folder: Path, tasks: Any) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "project-1.json").write_text(json.dumps(tasks))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three pictures: uploaded, of a local storage, and of a web address."""
    for name in ("a b.jpg", "b.jpg", "c.jpg"):
        draw(tmp_path / "in/pictures" / name)
    images = ["/data/upload/1/9f2b8c1d-a b.jpg", "/data/local-files/?d=pictures%2Fb.jpg", "https://host/x/c.jpg?sig=1"]
    return save(tmp_path / "in", [task(image, RECTANGLE) for image in images])


def all_boxes(district: Path) -> dict[str, list[list[float]]]:
    return {name.partition("/")[2]: found for name, found in boxes_in(district).items()}


def test_pictures_are_found_by_their_names(source: Path) -> None:
    assert all_boxes(run_import("label-studio", source)) == {name: [BOX] for name in ("a b.jpg", "b.jpg", "c.jpg")}


def test_other_regions(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    polygon = region("polygonlabels", points=[[10, 25], [35, 30.5], [12.5, 75]])
    ellipse = region("ellipselabels", x=22.5, y=50, radiusX=12.5, radiusY=25)
    brush = region("brushlabels", format="rle", rle=[0, 1])
    turned = region(x=10.0, y=25.0, width=25.0, height=50.0, rotation=4)
    tasks = [task(name, RECTANGLE) for name in ("a b.jpg", "b.jpg")]
    save(source, [*tasks, task("c.jpg", polygon, ellipse, brush, turned)])
    assert all_boxes(run_import("label-studio", source))["c.jpg"] == [BOX] * 3
    said = capsys.readouterr().out
    assert "1 regions have no box; left out" in said
    assert "1 turned boxes are taken as if they were upright" in said


def test_choices_of_a_region_are_attributes(source: Path) -> None:
    choice = region("choices", choices=["남성"]) | {"from_name": "gender"}
    save(source, [task(name, RECTANGLE, choice) for name in ("a b.jpg", "b.jpg", "c.jpg")])
    schema = read_schema("suseong")
    gender = schema.group_names.index("gender")
    labels = read_attribute_split(run_import("label-studio", source), "test", schema).labels[:, gender]
    assert [schema.groups[gender].label_names[label] for label in labels] == ["male"]


def test_regions_without_a_usable_id_have_no_attributes(source: Path) -> None:
    regions = [RECTANGLE | {"id": [1]}, region("choices", choices=["남성"]) | {"from_name": "gender", "id": {}}]
    save(source, [task(name, *regions) for name in ("a b.jpg", "b.jpg", "c.jpg")])
    assert not (run_import("label-studio", source) / "attributes").exists()


def test_the_first_annotation_that_was_not_cancelled_counts(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = task("a b.jpg", region(x=0, y=0, width=100, height=100), was_cancelled=True)
    first["annotations"] += [{"result": [RECTANGLE]}, {"result": []}]
    empty = {"id": 3, "data": {"image": "c.jpg"}, "annotations": []}
    save(source, [first, task("b.jpg", RECTANGLE), empty])
    assert all_boxes(run_import("label-studio", source)) == {"a b.jpg": [BOX], "b.jpg": [BOX], "c.jpg": []}
    said = capsys.readouterr().out
    assert "1 tasks have several annotations; the first of each is taken" in said
    assert "1 tasks have no annotation and count as pictures without people" in said


def test_the_minimal_form(source: Path) -> None:
    flat = {"x": 10, "y": 25, "width": 25, "height": 50, "rotation": 0, "rectanglelabels": ["Person"]}
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    images = [f"/data/upload/1/12345678-{name}" for name in ("a b.jpg", "b.jpg", "c.jpg")]
    save(source, [{"id": 1, "image": image, "label": [flat | size], "annotator": 1} for image in images])
    assert set(map(str, all_boxes(run_import("label-studio", source)).values())) == {str([[4.0, 5.0, 14.0, 15.0]])}


def test_a_video_with_keyframes(tmp_path: Path) -> None:
    write_video(tmp_path / "in/north.mp4")
    place = {"y": 25, "width": 25, "height": 50, "rotation": 0}
    sequence = [
        {"frame": 1, "x": 0, "enabled": True, "time": 0.0, **place},
        {"frame": 11, "x": 50, "enabled": True, "time": 5.0, **place},
        {"frame": 19, "x": 50, "enabled": False, "time": 9.0, **place},
    ]
    value = {"framesCount": 20, "duration": 10, "sequence": sequence, "labels": ["Person"]}
    track = {"id": "t1", "type": "videorectangle", "from_name": "box", "to_name": "video", "value": value}
    video = {"id": 1, "data": {"video": "/data/upload/2/0a1b2c3d-north.mp4"}, "annotations": [{"result": [track]}]}
    district = run_import("label-studio", save(tmp_path / "in", [video]), "--start", "2026-05-12T18:40:00+09:00")
    assert boxes_in(district)["train/north_000003.jpg"] == [[4, 5, 14, 15]]
    truth = read_tracks(district / "videos/north.txt")
    assert truth.frames.tolist() == [1, 2]  # 18 and 19; hidden after 19
    assert truth.boxes_xyxy[0].tolist() == [20, 5, 30, 15]
    del sequence[1:]
    district = run_import("label-studio", save(tmp_path / "in", [video]), "--replace", "--start", "2026-05-12T18:40Z")
    assert read_tracks(district / "videos/north.txt").frames.tolist() == [1, 2, 3]  # shown until the end


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        pytest.param({"images": []}, r"project-1\.json must be a list of tasks", id="COCO"),
        pytest.param([3], "must be a list of tasks", id="number"),
        pytest.param([], "must hold a JSON export of Label Studio with tasks, got none", id="no task"),
        pytest.param([{"data": {"text": "a"}}], r"task 0: data must name a picture or video", id="text"),
        pytest.param([{"data": 3}], r"task 0: data must be an object, got 3", id="no data"),
        pytest.param([task("/data/local-files/?d=../../etc/passwd.png")], r"task 0: the file '\.\./", id="path"),
        pytest.param([task("/data/upload/1/12345678-no.jpg")], r"the file 'no\.jpg' must be below", id="missing"),
        pytest.param([task("b.jpg", region(x=1, y=1, width="w", height=1))], "width must be a number", id="letters"),
        pytest.param([task("b.jpg", region(x=1, y=1, height=1))], "width must be a number", id="no width"),
        pytest.param([task("b.jpg", {"type": "rectanglelabels"})], "value of a region must be", id="no value"),
        pytest.param([task("b.jpg", region("polygonlabels", points=[1]))], "points must be a list of 2", id="points"),
        pytest.param([task("b.jpg", region("polygonlabels", points=[]))], "must have points, got none", id="no points"),
        pytest.param([{"data": {"image": "b.jpg"}, "annotations": 1}], "annotations must be a list", id="annotations"),
        pytest.param([{"data": {"image": "b.jpg"}, "annotations": [1]}], "annotations must be a list of", id="one"),
        pytest.param(
            [task("b.jpg", RECTANGLE)], "enough to train and to test, got 1 pictures, 0 rec", id="one picture"
        ),
        pytest.param(
            [task(f"{name}.jpg", RECTANGLE | {"original_width": 10}) for name in "bc"], "have the shape", id="shape"
        ),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tasks: Any, message: str, source: Path) -> None:
    save(source, tasks)
    with pytest.raises(InputError, match=message) as raised:
        run_import("label-studio", source)
    assert "\n" not in str(raised.value)
    assert not Path("districts-in/town").exists()
