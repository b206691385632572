"""YOLO labels in their common arrangements become a detection set.

Forms: https://docs.ultralytics.com/datasets/detect/, /segment/ and /pose/; CVAT's manual, "YOLO 1.1".
"""

from pathlib import Path

import numpy as np
import pytest
import supervision

from domain.errors import InputError
from tests.helpers.imports_of_data import boxes_in, draw, run_import

ROW = "1 0.5 0.5 0.5 0.5\n"
BOX = [10, 5, 30, 15]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as ultralytics documents it: images/ and labels/ by split."""
    root = tmp_path / "project"
    for split in ("train", "val", "test"):
        draw(root / "images" / split / f"{split}1.jpg")
        write(root / "labels" / split / f"{split}1.txt", f"0 0.1 0.1 0.1 0.1\n{ROW}")
    text = "path: /home/else/datasets/project\ntrain: images/train\nval: images/val\ntest: images/test\n"
    write(root / "data.yaml", text + "names:\n  0: car\n  1: person\n")
    return root


def test_a_project_of_several_classes(project: Path) -> None:
    assert boxes_in(run_import("yolo", project)) == {
        f"{split}/{split}1.jpg": [BOX] for split in ("train", "val", "test")
    }


def test_a_project_as_roboflow_exports_it(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        draw(tmp_path / "robo" / split / "images/a.jpg")
        write(tmp_path / "robo" / split / "labels/a.txt", ROW)
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\nnames: ['car', 'Person']\n"
    write(tmp_path / "robo/data.yaml", text)
    found = boxes_in(run_import("yolo", tmp_path / "robo"))
    assert found == {
        "train/train_images_a.jpg": [BOX],
        "val/valid_images_a.jpg": [BOX],
        "test/test_images_a.jpg": [BOX],
    }


def test_splits_that_are_lists_of_pictures(project: Path) -> None:
    write(project / "data.yaml", "train: train.txt\nval: [val.txt]\ntest: test.txt\nnames: [car, person]\n")
    for split, other in (("train", "val"), ("val", "test"), ("test", "train")):
        write(project / f"{split}.txt", f"./images/{other}/{other}1.jpg\n\n")
    assert set(boxes_in(run_import("yolo", project))) == {"train/val1.jpg", "val/test1.jpg", "test/train1.jpg"}


def test_the_flat_form_of_cvat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat = tmp_path / "flat"
    names = [f"frame_{number:06d}" for number in range(20)]
    for name in names:
        draw(flat / "obj_train_data" / f"{name}.png")
        write(flat / "obj_train_data" / f"{name}.txt", "0 0.500000 0.500000 0.500000 0.500000\n")
    write(flat / "obj.names", "pedestrian\n")
    write(flat / "obj.data", "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    write(flat / "train.txt", "".join(f"data/obj_train_data/{name}.png\n" for name in names))
    found = boxes_in(run_import("yolo", flat))
    assert [name for name in found if name.startswith("test/")] == [f"test/frame_0000{n}.png" for n in (17, 18, 19)]
    assert list(found.values()) == [[BOX]] * 18  # one picture before each cut is left out
    said = capsys.readouterr().out
    assert (
        "the source has no val and no test: cut by time from its train; 2 pictures beside the cuts are left out" in said
    )


def test_pictures_with_labels_and_classes_beside_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abc":
        draw(tmp_path / "img" / f"{name}.jpg")
        write(tmp_path / "img" / f"{name}.txt", ROW)
    draw(tmp_path / "img/d.jpg")
    write(tmp_path / "img/classes.txt", "dog\nperson\n")
    assert sum(map(len, boxes_in(run_import("yolo", tmp_path / "img")).values())) == 3
    assert "1 pictures have no label file and count as pictures without people" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("row", "box"),
    [
        pytest.param("1 0.5 0.5 1.0000001 1.0000002", [0, 0, 40, 20], id="rounding of a converter"),
        pytest.param("1 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75", BOX, id="polygon, or corners of a turned box"),
        pytest.param("1 0.25 0.5 0.5 0.25 0.75 0.75", BOX, id="triangle"),
        pytest.param("1 0.5 0.5 0.5 0.5 0.93", BOX, id="with a confidence"),
        pytest.param("1.0 5e-1 0.5 0.5 0.5", BOX, id="exponents"),
    ],
)
def test_other_rows(row: str, box: list[float], project: Path) -> None:
    write(project / "labels/val/val1.txt", row + "\r\n\r\n")
    assert boxes_in(run_import("yolo", project))["val/val1.jpg"] == [box]


def test_rows_of_poses(project: Path) -> None:
    write(project / "data.yaml", (project / "data.yaml").read_text() + "kpt_shape: [2, 3]\n")
    write(project / "labels/val/val1.txt", "1 0.5 0.5 0.5 0.5 0.1 0.1 2 0.9 0.9 1\n")
    assert boxes_in(run_import("yolo", project))["val/val1.jpg"] == [BOX]


def test_classes_without_names_are_chosen_by_number(project: Path) -> None:
    (project / "data.yaml").unlink()
    with pytest.raises(InputError, match=r"must be chosen: --classes NAME,…; the source has 0 \(3\), 1 \(3\)"):
        run_import("yolo", project)
    assert boxes_in(run_import("yolo", project, "--classes", "1"))["train/train1.jpg"] == [BOX]


def test_what_supervision_writes_is_read(tmp_path: Path) -> None:
    pictures = [str(draw(tmp_path / "made" / f"{name}.png")) for name in "abc"]
    boxes = {
        each: supervision.Detections(xyxy=np.array([[place, 2, place + 7.5, 16]], np.float64), class_id=np.array([1]))
        for place, each in enumerate(pictures)
    }
    dataset = supervision.DetectionDataset(classes=["car", "person"], images=pictures, annotations=boxes)
    out = tmp_path / "set"
    dataset.as_yolo(str(out / "images"), str(out / "labels"), str(out / "data.yaml"))
    read = {name.partition("/")[2]: found for name, found in boxes_in(run_import("yolo", out)).items()}
    assert read == {f"{name}.png": [[place, 2, place + 7.5, 16]] for place, name in enumerate("abc")}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("labels/val/val1.txt", "1 0.5 0.5 0.5", r"val1\.txt, line 1: must be `class x y width height`"),
        (
            "labels/val/val1.txt",
            f"{ROW}1 220 140 31 75",
            r"line 2: must be `class x y width height` or a polygon of frac",
        ),
        ("labels/val/val1.txt", "person 0.5 0.5 0.5 0.5", r"line 1: each field must be a number"),
        ("labels/val/val1.txt", "1 0,5 0,5 0,5 0,5", r"line 1: each field must be a number"),
        ("labels/val/val1.txt", "7 0.5 0.5 0.5 0.5", r"line 1: class must be one of 0 to 1"),
        ("labels/val/val1.txt", "1 nan 0.5 0.5 0.5", r"line 1: each field must be a number"),
        ("labels/val/val1.txt", "1 0.5 0.5 -0.5 0.5", r"line 1: must be `class"),
        ("labels/val/val1.txt", "1 " + "9" * 5000 + " 0.5 0.5 0.5", r"line 1: each field must be a number"),
        ("data.yaml", "train: images/train\nnames: 3\n", r"names must list the classes, got 3"),
        ("data.yaml", "train: images/no\nnames: [car, person]\n", r"the folder 'images/no' must be below"),
        ("data.yaml", "train: {a: 1}\nnames: [car, person]\n", r"train must be a path or a list of paths"),
        (
            "data.yaml",
            "train: ../../../../etc\nnames: [car, person]\n",
            r"the folder '\.\./\.\./\.\./\.\./etc' must be below",
        ),
        ("data.yaml", f"train: {'x' * 5000}/y\nnames: [car, person]\n", r"the folder 'xxx.* must be below"),
        ("data.yaml", "train: list.txt\nnames: [car, person]\n", r"the file 'list\.txt' must be below"),
        (
            "data.yaml",
            "train: images/train\nval: images/train\nnames: [car, person]\n",
            r"each picture must be in one split",
        ),
        ("other.yaml", "names: [car]\n", r"must hold one data\.yaml, got .*data\.yaml and .*other\.yaml"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(file: str, text: str, message: str, project: Path) -> None:
    write(project / file, text)
    with pytest.raises(InputError, match=message) as raised:
        run_import("yolo", project)
    assert "\n" not in str(raised.value)
    assert not Path("districts-in/town").exists()


def test_a_folder_without_labels_or_pictures_is_refused(project: Path, tmp_path: Path) -> None:
    for file in project.glob("labels/*/*.txt"):
        file.unlink()
    with pytest.raises(InputError, match=r"must hold a label file \(\.txt\) for its pictures"):
        run_import("yolo", project)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="must hold pictures, got none"):
        run_import("yolo", tmp_path / "empty")
    write(tmp_path / "project.tar", "")
    with pytest.raises(InputError, match=r"SOURCE must be a folder or a .zip, got .*project\.tar; unpack it first"):
        run_import("yolo", tmp_path / "project.tar")
