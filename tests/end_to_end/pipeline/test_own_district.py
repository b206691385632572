"""A district of one's own: training changes nothing in it, and DVC notices what changes in its source."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from domain.images import write_image
from tests.end_to_end.conftest import run, succeed
from tests.end_to_end.pipeline.conftest import make_clone

pytestmark = pytest.mark.slow
DETECTOR = {"max_epochs": 1, "batch": 2, "anchors": "cfg", "input_height_px": 96, "input_width_px": 160}
SMALL = ["district=mine", "experiment=scratch", *(f"detector.{key}={value}" for key, value in DETECTOR.items())]
SET = [word for override in SMALL for word in ("-S", override)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in an odd path with a district of its own; one picture has padding, and one was cut short."""
    project = make_clone(tmp_path_factory.mktemp("odd") / "실종자 (찾기) #1's")
    said = "name: mine\nimporter: folder\nsource: '../districts-in/수성 구 #1'\ndemo: null\nlabels: null\n"
    (project / "conf/district/mine.yaml").write_text(said)
    camera = {"id": "c1", "name": "one", "latitude": 35.8, "longitude": 128.6, "fps": 10, "width_px": 160}
    described = {
        "name": "mine",
        "time_zone": "Asia/Seoul",
        "attribute_schema": "suseong",
        "source": "test",
        "licence": "CC0-1.0",
        "cameras": [camera | {"height_px": 96, "start": "2026-05-12T18:40:00+09:00"}],
    }
    source = source_of(project)
    source.mkdir(parents=True)
    (source / "district.yaml").write_text(yaml.safe_dump(described))
    for number, split in enumerate(["train"] * 4 + ["val"] * 2 + ["test"] * 2):
        add_picture(source, split, number)
    for number, change in ((0, lambda content: content + bytes(512)), (1, lambda content: content[:-600])):
        file = source / f"detection/images/train/{number}.jpg"
        file.write_bytes(change(file.read_bytes()))
    return project


def source_of(project: Path) -> Path:
    return project.parent / "districts-in" / "수성 구 #1"


def add_picture(source: Path, split: str, number: int) -> None:
    image = np.random.default_rng(number).integers(0, 200, (96, 160, 3), dtype=np.uint8)
    write_image(source / "detection/images" / split / f"{number}.jpg", image)
    label = source / "detection/labels" / split / f"{number}.txt"
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_text("0 0.5 0.5 0.2 0.6\n")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_training_leaves_the_district_as_it_is_and_has_nothing_to_do_again(clone: Path) -> None:
    printed = succeed(clone, "dvc", "exp", "run", *SET, "train_detector")
    prepared, before = contents(clone / "data/mine"), contents(source_of(clone))
    assert {f"detection/images/train/{number}.jpg" for number in range(4)} <= prepared.keys()
    assert before.items() <= prepared.items()
    assert "4 training and 2 validation pictures" in printed
    assert "up to date" in succeed(clone, "dvc", "status", "prepare", "train_detector")
    assert "Running stage" not in succeed(clone, "dvc", "repro", "train_detector")
    assert contents(clone / "data/mine") == prepared
    assert not [line for line in printed.splitlines() if "Warning" in line or " INFO mlflow" in line or "it/s" in line]


def test_what_changes_in_the_source_is_noticed(clone: Path) -> None:
    source = source_of(clone)
    succeed(clone, "python", "-m", "conf.compose", *SMALL)
    succeed(clone, "dvc", "repro", "prepare")
    add_picture(source, "train", 10)
    (source / "detection/images/train/3.jpg").unlink()
    (source / "detection/labels/train/3.txt").unlink()
    (source / "detection/labels/val/4.txt").unlink()  # a link's other name is not changed
    (source / "detection/labels/val/4.txt").write_text("0 0.5 0.5 0.3 0.6\n")
    assert "modified:" in succeed(clone, "dvc", "status", "prepare")
    assert "Running stage 'prepare@mine'" in succeed(clone, "dvc", "repro", "prepare")
    assert contents(source).items() <= contents(clone / "data/mine").items()
    assert not (clone / "data/mine/detection/images/train/3.jpg").exists()

    add_picture(source, "train", 11)
    assert "Running stage 'prepare@mine'" in succeed(clone, "dvc", "exp", "run", *SET, "prepare")
    assert (clone / "data/mine/detection/images/train/11.jpg").is_file()
    assert "Running stage" not in succeed(clone, "dvc", "exp", "run", *SET, "prepare")


@pytest.mark.parametrize("override", ["experiment=papr", "lrr=1"])
def test_dvc_says_a_wrong_override_in_a_line(clone: Path, override: str) -> None:
    ended = run(clone, "dvc", "exp", "run", "-S", override)
    assert ended.returncode != 0
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith("ERROR: ")
    assert "did you mean" in line
