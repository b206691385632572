from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from districts.importing.footage import facts_of, frames_of
from domain.errors import InputError
from domain.images import write_image
from tests.helpers.stamped_videos import turn, write_stamped


def red_at_the_left(_: int) -> np.ndarray:
    image = np.full((64, 96, 3), 110, np.uint8)
    image[:, :24] = 220, 20, 20
    return image


def test_a_frame_that_is_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    frames = tuple(tmp_path / f"{number}.png" for number in (1, 2))
    for frame in frames:
        write_image(frame, red_at_the_left(0))
    content = bytearray(frames[1].read_bytes())
    content[16:24] = (8960).to_bytes(4, "big") * 2
    content[29:33] = crc32(content[12:29]).to_bytes(4, "big")
    frames[1].write_bytes(content)
    with pytest.raises(InputError, match=r"2\.png must have at most 80000000 pixels, got 8960 × 8960"):
        list(frames_of(frames))


def test_footage_of_a_turned_camera_is_upright(tmp_path: Path) -> None:
    file = write_stamped(tmp_path / "a.mp4", [0.0, 0.1, 0.2], size=(96, 64), picture=red_at_the_left)
    turn(file, (0, 1, -1, 0))
    facts = facts_of(file)
    assert (facts.width, facts.height) == (64, 96)
    frames = dict(frames_of(file))
    assert list(frames) == [1, 2, 3]
    assert frames[1].shape == (96, 64, 3)
    top, bottom = frames[1][:20].mean(axis=(0, 1)), frames[1][30:].mean(axis=(0, 1))
    assert top[0] > bottom[0] + 60  # the sensor's left is the picture's top
