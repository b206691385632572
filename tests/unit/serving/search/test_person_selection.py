"""Selection of a person: in a scene, in a crop that one person fills, and by a drawn box."""

import numpy as np
import pytest

from serving.search.person_selection import Box, people_in_photo, select_person
from tests.helpers.walkers import COLOURS, HEIGHT, WIDTH, ColourDetector, perception

PRECISION_PX = 10  # of the tests' detector, whose input has 120 rows


def photo(height: int, width: int, **people: tuple[int, int, int, int]) -> np.ndarray:
    """A grey picture with the box of each person, left, top, right, bottom, in the colour that names them."""
    image = np.full((height, width, 3), 128, np.uint8)
    for colour, (left, top, right, bottom) in people.items():
        image[top:bottom, left:right] = COLOURS[colour]
    return image


class PartDetector(ColourDetector):
    """Finds the head of whoever fills the picture, and of others all: what a trained detector was seen to do."""

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = super().__call__(images)
        filling = outputs["boxes"][:, :, 3] - outputs["boxes"][:, :, 1] > 0.8 * HEIGHT
        outputs["boxes"][filling, 3] = HEIGHT / 4
        return outputs


@pytest.mark.parametrize("size", [(200, 80), (60, 30), (1200, 800), (300, 75)])
def test_a_crop_of_a_person_is_searched_whole(size: tuple[int, int]) -> None:
    height, width = size
    crop = photo(height, width, red=(width // 20, height // 20, width - width // 20, height - height // 20))
    assert select_person(perception(PartDetector()), crop) is None
    part = perception(PartDetector()).detect([crop])[0].boxes_xyxy[0]
    assert part[3] < height / 3  # without a margin it would have been the head


def test_a_person_in_an_upright_photo_of_a_scene_is_found() -> None:
    people = {"red": (30, 100, 90, 260), "blue": (140, 300, 170, 390)}
    box = select_person(perception(), photo(400, 200, **people))
    assert box is not None
    np.testing.assert_allclose(box, people["red"], atol=PRECISION_PX)


@pytest.mark.parametrize("size", [(200, 140), (100, 300)])
def test_a_photo_without_the_shape_of_a_person_gets_no_margin(size: tuple[int, int]) -> None:
    image = photo(*size, red=(10, 5, 90, 95))
    box = select_person(perception(), image)
    assert box == pytest.approx(perception().detect([image])[0].boxes_xyxy[0], abs=0.1)


@pytest.mark.parametrize(
    ("drawn", "selected"),
    [((135, 290, 175, 395), "blue"), ((60, 180, 61, 181), "red"), ((100, 20, 160, 90), None)],
)
def test_a_drawn_box_selects_the_person_in_or_around_it(drawn: Box, selected: str | None) -> None:
    people = {"red": (30, 100, 90, 260), "blue": (140, 300, 170, 390)}
    box = select_person(perception(), photo(400, 200, **people), drawn)
    np.testing.assert_allclose(box, people[selected] if selected else drawn, atol=PRECISION_PX if selected else 0)


def test_without_a_detection_the_whole_photo_is_searched() -> None:
    for size in ((200, 80), (HEIGHT, WIDTH)):
        assert select_person(perception(), photo(*size)) is None


def test_everybody_who_was_detected_is_told() -> None:
    people = people_in_photo(perception(), photo(400, 200, red=(30, 100, 90, 260), blue=(120, 120, 170, 260)))
    assert len(people.detected) == 2  # the largest first
    assert people.detected[0] == people.selected
    assert people_in_photo(perception(), photo(400, 200)).detected == []
