from pathlib import Path

import numpy as np
import pytest

from domain.errors import InputError
from domain.images import crop_boxes, letterbox, read_image, resize_for, stretch, write_image
from domain.model_card import ModelCard


def test_letterbox_centres_on_grey() -> None:
    resized = letterbox(np.zeros((50, 100, 3), np.uint8), 80, 80)
    assert resized.scale_xy == (0.8, 0.8)
    assert resized.pad_xy_px == (0.0, 20.0)
    assert (resized.image[:20] == 114).all()
    assert (resized.image[20:60] == 0).all()


def test_stretch_keeps_no_aspect() -> None:
    resized = stretch(np.zeros((50, 100, 3), np.uint8), 100, 50)
    assert resized.image.shape == (100, 50, 3)
    assert resized.scale_xy == (0.5, 2.0)


def test_boxes_outside_the_picture_are_clipped_to_it() -> None:
    resized = letterbox(np.zeros((50, 100, 3), np.uint8), 80, 80)
    boxes = resized.boxes_to_original(np.array([[-8, 0, 88, 80]], np.float32))
    assert boxes.tolist() == [[0, 0, 100, 50]]


@pytest.mark.parametrize(("resize", "row"), [("letterbox", 114), ("stretch", 0)])
def test_the_card_decides_how_a_picture_is_resized(resize: str, row: int) -> None:
    card = ModelCard(
        task="detector",
        architecture="yolov4-tiny",
        input_height_px=64,
        input_width_px=64,
        resize=resize,  # type: ignore[arg-type]
        output_names=("boxes", "scores"),
        district="demo",
    )
    assert resize_for(card, np.zeros((20, 60, 3), np.uint8)).image[0, 0, 0] == row


def test_crops_are_clipped_and_never_empty() -> None:
    image = np.arange(10 * 10 * 3, dtype=np.uint8).reshape(10, 10, 3)
    crops = crop_boxes(image, np.array([[2.2, 3.0, 4.5, 6.0], [-5, -5, 3, 3], [20, 20, 30, 30], [5, 5, 5, 5]]))
    assert [crop.shape[:2] for crop in crops] == [(3, 3), (3, 3), (1, 1), (1, 1)]
    assert (crops[0] == image[3:6, 2:5]).all()


def test_a_picture_comes_back_from_png_as_it_was(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    write_image(tmp_path / "new" / "crop.png", image)
    assert (read_image(tmp_path / "new" / "crop.png") == image).all()


@pytest.mark.parametrize("content", [None, b"", b"not a picture"])
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "photo.jpg"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"photo\.jpg must be a readable picture"):
        read_image(file)


def test_a_picture_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "crop.jpg").mkdir()
    with pytest.raises(OSError, match="could not be written"):
        write_image(tmp_path / "crop.jpg", np.zeros((4, 4, 3), np.uint8))
