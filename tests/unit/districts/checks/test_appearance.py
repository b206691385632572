"""Pictures that show little, or the same as another: each is named, and sound ones are not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from districts.checks.appearance import check_appearance
from districts.checks.readings import Readings
from districts.findings import Finding
from domain.images import read_image
from tests.helpers.districts import write_table

SCENES, CROPS = "detection/images", "reid"
Picture = np.ndarray


def scene(seed: int, size: tuple[int, int] = (120, 160)) -> Picture:
    """A picture of its own, with coarse and fine structure."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(0, 256, (6, 5, 3), np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    fine = rng.integers(-20, 20, (*size, 1))
    return np.clip(coarse.astype(np.int16) + fine, 0, 255).astype(np.uint8)


def save(file: Path, picture: Picture, quality: int = 92) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Scenes and crops, all of which are different."""
    for number, split in enumerate(("train", "val", "test")):
        for picture in range(3):
            save(tmp_path / SCENES / split / f"{picture}.jpg", scene(10 * number + picture))
    for identity, part in enumerate(("bounding_box_train", "bounding_box_val", "bounding_box_test"), start=1):
        for camera in (1, 2):
            name = f"000{identity}_c{camera}s1_000001_00.jpg"
            save(tmp_path / CROPS / part / name, scene(100 + 10 * identity + camera, (128, 64)))
    return tmp_path


def found(folder: Path) -> list[Finding]:
    findings = list(check_appearance(folder, Readings()))
    assert not any(finding.is_fatal for finding in findings)
    return findings


def test_different_pictures_are_no_finding(folder: Path) -> None:
    assert found(folder) == []


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda crop: np.zeros_like(crop), "1 pictures are black"),
        (lambda crop: np.full_like(crop, (90, 140, 30)), "1 pictures are of one colour"),
        (lambda crop: cv2.GaussianBlur(crop, (0, 0), 6), "1 pictures are blurred"),
        (lambda crop: crop[:4, :3], r"1 pictures are smaller than 10 × 20 pixels"),
    ],
)
def test_a_crop_that_shows_nobody_is_named(folder: Path, make: Callable[[Picture], Picture], expected: str) -> None:
    crop = save(folder / CROPS / "bounding_box_train/0001_c2s1_000009_00.jpg", make(scene(7, (128, 64))))
    (finding,) = found(folder)
    assert finding.message == f"{finding.message.partition(':')[0]}: {crop.name}"
    assert finding.message.startswith(expected)
    assert [shown.file for shown in finding.pictures] == [crop]


def test_people_in_a_black_frame_are_named_with_their_boxes(folder: Path) -> None:
    frame = save(folder / SCENES / "val/dark.jpg", np.zeros((120, 160, 3), np.uint8))
    labels = folder / "detection/labels/val/dark.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("0 0.5 0.5 0.2 0.4\n0 0.2 0.5 0.2 0.4\n")
    labelled, black = found(folder)
    assert labelled.message.startswith(f"2 people are labelled in {frame}")
    assert [shown.box for shown in labelled.pictures] == [(0.5, 0.5, 0.2, 0.4), (0.2, 0.5, 0.2, 0.4)]
    assert black.message == "1 pictures are black: dark.jpg"


@pytest.mark.parametrize("shift", [0, 1, 3, 6])
@pytest.mark.parametrize(
    ("file", "twin"),
    [
        (f"{SCENES}/train/1.jpg", f"{SCENES}/test/copy.jpg"),
        (f"{CROPS}/bounding_box_train/0001_c1s1_000001_00.jpg", f"{CROPS}/query/0003_c1s1_000009_00.jpg"),
        (f"{CROPS}/bounding_box_test/0003_c1s1_000001_00.jpg", f"{CROPS}/bounding_box_test/0008_c1s1_000009_00.jpg"),
    ],
    ids=["scene", "crop", "identity"],
)
def test_a_picture_that_was_encoded_again_and_shifted_is_named(folder: Path, file: str, twin: str, shift: int) -> None:
    save(folder / twin, read_image(folder / file)[shift:, shift // 2 :, ::-1], quality=60)
    (finding,) = found(folder)
    assert "shows the same as" in finding.message
    assert {shown.file for shown in finding.pictures} == {folder / file, folder / twin}


def test_another_moment_of_a_standing_camera_is_another_picture(folder: Path) -> None:
    street = scene(50, (360, 480))
    for split, x in (("train", 60), ("val", 300)):
        moment = street.copy()
        moment[150:230, x : x + 30] = scene(51, (80, 30))
        save(folder / SCENES / split / "street.jpg", moment)
    assert found(folder) == []


def test_large_pictures_are_compared_too(folder: Path) -> None:
    street, moved = scene(60, (720, 1280)), scene(60, (720, 1280))
    moved[300:420, 500:550] = scene(61, (120, 50))
    save(folder / SCENES / "train/large.jpg", street)
    save(folder / SCENES / "val/large.jpg", moved)
    twin = save(folder / SCENES / "test/large.jpg", street[2:, 3:], quality=70)
    (finding,) = [finding for finding in found(folder) if "shows the same" in finding.message]  # it is blurred, too
    assert finding.place == str(twin)
    assert finding.pictures[1].file == folder / SCENES / "train/large.jpg"


def test_a_picture_of_any_shape_is_looked_at(folder: Path) -> None:
    for number, size in enumerate(((3, 2500), (2500, 3), (1, 1), (70, 700))):
        file = folder / SCENES / "train" / f"shape{number}.png"
        cv2.imwrite(str(file), scene(400 + number, size))
    assert not [finding for finding in found(folder) if "shows the same" in finding.message]


def test_a_split_copied_in_another_quality_is_one_finding(folder: Path) -> None:
    for number in range(12):
        picture = scene(200 + number)
        save(folder / SCENES / "val" / f"v{number}.jpg", picture)
        save(folder / SCENES / "test" / f"t{number}.jpg", picture, quality=70)
    (finding,) = found(folder)
    assert finding.place == str(folder / SCENES / "test")
    assert finding.message.startswith("12 of 15 pictures of test show the same as one of val, in another file: ")
    assert len(finding.pictures) == 24


def test_exact_copies_are_left_to_the_check_of_bytes(folder: Path) -> None:
    shutil.copy(folder / SCENES / "train/1.jpg", folder / SCENES / "test/copy.jpg")
    images = folder / "attributes/images"
    for split in ("train", "test"):
        save(images / "one.jpg", scene(300, (128, 64)))
        write_table(folder / f"attributes/{split}.csv", [{"image": "one.jpg"}], ["image"])
    assert found(folder) == []
