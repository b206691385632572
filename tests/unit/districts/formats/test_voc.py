"""Pascal VOC files, as the development kit's manual describes them, become a detection set."""

from collections.abc import Callable
from pathlib import Path

import globox
import numpy as np
import pytest
import supervision

from domain.errors import InputError
from tests.helpers.imports_of_data import HEIGHT, WIDTH, boxes_in, draw, run_import


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(file: Path, name: str, corners: tuple[float, float, float, float], label: str = "person") -> None:
    tags = "".join(
        f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"<annotation>\n<folder>VOC2012</folder><filename>{name}</filename><source><database>x</database></source>{size}"
        f"<segmented>0</segmented><object><name>{label}</name><pose>Left</pose><truncated>1</truncated>"
        f"<difficult>0</difficult><bndbox>{tags}</bndbox><part><name>head</name>"
        "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part></object></annotation>"
    )


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """The kit's folders, with a list for each split; a part of a body is no object."""
    root = tmp_path / "VOC2012"
    for place, split in enumerate(("train", "val", "test")):
        draw(root / f"JPEGImages/2008_00000{place}.jpg")
        save(root / f"Annotations/2008_00000{place}.xml", f"2008_00000{place}.jpg", (1, 1, 10, 20))
        (root / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
        (root / f"ImageSets/Main/{split}.txt").write_text(f"2008_00000{place}\n")
    (root / "ImageSets/Main/trainval.txt").write_text("2008_000000\n2008_000001\n")
    return root


def test_corners_count_from_1_and_lists_are_splits(devkit: Path) -> None:
    assert boxes_in(run_import("voc", devkit)) == {
        "train/2008_000000.jpg": [[0, 0, 10, 20]],
        "val/2008_000001.jpg": [[0, 0, 10, 20]],
        "test/2008_000002.jpg": [[0, 0, 10, 20]],
    }


def test_folders_of_roboflow_and_a_name_without_suffix(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        draw(tmp_path / f"robo/{split}/a {split}.jpg")
        save(tmp_path / f"robo/{split}/a {split}.xml", f"a {split}", (3, 4, 12, 14), label="Pedestrian")
    names = {"train/a train.jpg", "val/a valid.jpg", "test/a test.jpg"}
    assert boxes_in(run_import("voc", tmp_path / "robo")) == {name: [[2, 3, 12, 14]] for name in names}


def test_what_supervision_writes_is_read(tmp_path: Path) -> None:
    pictures = [str(draw(tmp_path / "made" / f"{name}.png")) for name in "abc"]
    boxes = {
        each: supervision.Detections(xyxy=np.array([[place, 2, place + 7, 16]], np.float64), class_id=np.array([0]))
        for place, each in enumerate(pictures)
    }
    dataset = supervision.DetectionDataset(classes=["person"], images=pictures, annotations=boxes)
    dataset.as_pascal_voc(str(tmp_path / "set/images"), str(tmp_path / "set/annotations"))
    read = {name.partition("/")[2]: found for name, found in boxes_in(run_import("voc", tmp_path / "set")).items()}
    assert read == {f"{name}.png": [[place, 2, place + 7, 16]] for place, name in enumerate("abc")}


def test_globox_agrees_but_for_the_first_pixel(devkit: Path) -> None:
    theirs = globox.AnnotationSet.from_pascal_voc(devkit / "Annotations")
    (box,) = theirs["2008_000000.jpg"].boxes
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == (1, 1, 10, 20)  # it takes corners as they stand
    assert boxes_in(run_import("voc", devkit))["train/2008_000000.jpg"] == [[0, 0, 10, 20]]


def replace(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(replace("<xmax>10<", "<xmax>ten<"), r"2008_000000\.xml: xmax must be a number", id="no number"),
        pytest.param(replace("<xmin>1</xmin>", ""), r"xmin must be a number below .*, got None", id="no corner"),
        pytest.param(lambda text: text.replace("bndbox>", "box>"), r"must have <bndbox>, got none", id="box"),
        pytest.param(replace("<width>40<", "<width>4e5<"), r"must have the shape that its", id="shape"),
        pytest.param(replace("<width>40<", "<width>w<"), r"2008_000000\.xml: width must be a number", id="width"),
        pytest.param(replace("annotation>", "annotations>"), "must be XML: mismatched tag", id="mismatched"),
        pytest.param(lambda text: f"<!DOCTYPE x>{text}", "without a document type", id="document type"),
        pytest.param(lambda _: "PK", "must be XML: syntax error", id="no XML"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(change: Callable[[str], str], message: str, devkit: Path) -> None:
    file = devkit / "Annotations/2008_000000.xml"
    file.write_text(change(file.read_text()))
    with pytest.raises(InputError, match=message) as raised:
        run_import("voc", devkit)
    assert "\n" not in str(raised.value)


def test_pictures_that_are_missing_or_in_two_splits_are_named(devkit: Path, tmp_path: Path) -> None:
    (devkit / "ImageSets/Main/val.txt").write_text("2008_000000\n")
    with pytest.raises(InputError, match=r"val\.txt: '2008_000000' must be in one split, got train and val"):
        run_import("voc", devkit)
    (devkit / "ImageSets/Main/val.txt").unlink()
    (devkit / "JPEGImages/2008_000000.jpg").unlink()
    with pytest.raises(InputError, match=r"2008_000000\.xml: the file '2008_000000\.jpg' must be below"):
        run_import("voc", devkit)
    with pytest.raises(InputError, match=r"must hold an \.xml with <annotation> for each picture, got none"):
        run_import("voc", devkit / "JPEGImages")
