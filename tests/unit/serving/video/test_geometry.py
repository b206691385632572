from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from domain.videos import VideoLimits
from serving.ingestion.annotate import annotate_video
from serving.video.files import VideoReader
from tests.helpers.stamped_videos import turn, write_stamped

SIZE = 96, 64  # width, height as stored
Turn = Callable[[np.ndarray], np.ndarray]


def corners(_: int) -> np.ndarray:
    """Red at the top left, green at the top right, grey elsewhere."""
    image = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
    image[:24, :32], image[:24, -32:] = (220, 20, 20), (20, 220, 20)
    return image


@pytest.mark.parametrize(
    ("matrix", "turned", "said"),
    [
        pytest.param((1, 0, 0, 1), lambda image: image, None, id="upright"),
        pytest.param((0, 1, -1, 0), lambda image: np.rot90(image, -1), "turned by 270°", id="quarter right"),
        pytest.param((0, -1, 1, 0), lambda image: np.rot90(image, 1), "turned by 90°", id="quarter left"),
        pytest.param((-1, 0, 0, -1), lambda image: np.rot90(image, 2), "turned by 180°", id="upside down"),
        pytest.param((-1, 0, 0, 1), lambda image: image[:, ::-1], "mirrored", id="mirrored"),
        pytest.param((1, 0, 0, -1), lambda image: image[::-1], "mirrored", id="mirrored upside down"),
        pytest.param((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2), "mirrored", id="mirrored and turned"),
    ],
)
def test_frames_are_turned_as_the_file_says(
    tmp_path: Path, matrix: tuple[int, int, int, int], turned: Turn, said: str | None
) -> None:
    file = write_stamped(tmp_path / "a.mp4", [0.0, 0.1], size=SIZE, picture=corners)
    turn(file, matrix)
    with VideoReader(file) as reader:
        image = next(iter(reader)).image
    expected = turned(corners(0))
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 8
    assert (said in reader.geometry) if said and reader.geometry else reader.geometry is said


@pytest.mark.parametrize(
    ("aspect", "width", "height"),
    [
        (Fraction(16, 15), 102, 64),
        (Fraction(64, 45), 137, 64),
        (Fraction(8, 9), 96, 72),
        (Fraction(1), 96, 64),
        (Fraction(200), 96, 64),
    ],
)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, width: int, height: int, suffix: str) -> None:
    file = write_stamped(tmp_path / f"a{suffix}", [number / 10 for number in range(30)], size=SIZE, aspect=aspect)
    with VideoReader(file) as reader:
        assert [frame.image.shape for frame in reader] == [(height, width, 3)] * 30
    assert (reader.geometry is None) == ((width, height) == SIZE)


def test_a_turned_video_of_wide_pixels_is_turned_after_it_was_widened(tmp_path: Path) -> None:
    file = write_stamped(tmp_path / "a.mp4", [0.0], size=SIZE, aspect=Fraction(3, 2), picture=corners)
    turn(file, (0, 1, -1, 0))
    with VideoReader(file) as reader:
        [frame] = list(reader)
    assert frame.image.shape == (144, 64, 3)
    assert reader.geometry == "turned by 270°, pixels of 3:2 made square"
    assert reader.pixel_scale == (1, 1.5)


def test_squared_frames_stay_within_the_limit_of_pixels(tmp_path: Path) -> None:
    file = write_stamped(tmp_path / "a.mkv", [0.0], size=SIZE, aspect=Fraction(2))
    with VideoReader(file, limits=VideoLimits(max_pixels=12_000)) as reader:
        [frame] = list(reader)
    assert frame.image.shape == (32, 96, 3)


def test_an_annotated_video_is_upright_and_keeps_the_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 3.2, 3.3]
    file = write_stamped(tmp_path / "a.mp4", times, size=SIZE, picture=corners)
    turn(file, (0, 1, -1, 0))
    annotate_video(file, [], tmp_path / "annotated.mp4", VideoLimits())
    with VideoReader(tmp_path / "annotated.mp4") as reader:
        frames = list(reader)
    assert [frame.time_s for frame in frames] == pytest.approx(times, abs=0.001)
    assert frames[0].image.shape == (96, 64, 3)
    assert reader.geometry is None
