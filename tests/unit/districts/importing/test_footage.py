from pathlib import Path

import numpy as np

from districts.importing.footage import facts_of, frames_of
from tests.helpers.stamped_videos import turn, write_stamped


def red_at_the_left(_: int) -> np.ndarray:
    image = np.full((64, 96, 3), 110, np.uint8)
    image[:, :24] = 220, 20, 20
    return image


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
