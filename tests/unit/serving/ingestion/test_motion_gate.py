from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.ingestion.following import FollowedVideo, TrackingSettings
from serving.ingestion.motion_gate import MotionGate
from tests.helpers.walkers import ColourDetector, Walker, follow_files, perception, picture, settings, write_video

STANDING, PASSING = Walker("red", 20, 0), Walker("green", -20, 60, seen_s=(2.0, 4.0))


def gated(**changes: Any) -> TrackingSettings:
    content = settings().model_dump()
    content["motion_gate"] |= {"enabled": True, **changes}
    return TrackingSettings.model_validate(content)


def passed(walkers: list[Walker], *, noise: float = 0.0, seconds: float = 6, **changes: Any) -> list[float]:
    """Times of the frames, ten a second, that pass."""
    gate = MotionGate(gated(**changes).motion_gate)
    rng = np.random.default_rng(0)
    times = [number / 10 for number in range(round(10 * seconds))]
    images = [picture(walkers, time_s) + rng.normal(scale=noise, size=(120, 320, 3)) for time_s in times]
    return [
        time_s
        for time_s, image in zip(times, images, strict=True)
        if gate.passes(np.clip(image, 0, 255).astype(np.uint8), time_s)
    ]


@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_only_moving_pictures_pass(noise: float) -> None:
    times = passed([STANDING, PASSING], noise=noise, longest_skip_s=100)
    assert times[0] == 0.0
    assert set(np.arange(20, 41) / 10) <= set(times)
    assert not [time_s for time_s in times[1:] if time_s < 2.0]


def test_a_frame_passes_every_so_often() -> None:
    assert passed([STANDING], longest_skip_s=1.0) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_who_comes_and_who_leaves_is_noticed_at_once() -> None:
    visitor = Walker("blue", 60, 0, seen_s=(2.0, 4.0))
    assert passed([STANDING, visitor], longest_skip_s=100) == [0.0, 2.0, 4.1]


def followed(file: Path, chosen: TrackingSettings, detector: ColourDetector) -> FollowedVideo:
    [one] = follow_files([file], perception(detector), chosen)
    return one


@pytest.mark.slow
def test_who_stands_still_is_followed_without_the_detector(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", [STANDING, PASSING], fps=10, seconds=6)
    all_frames, some_frames = ColourDetector(), ColourDetector()
    wanted, got = followed(file, settings(), all_frames), followed(file, gated(), some_frames)
    assert sum(some_frames.batches) < 0.8 * sum(all_frames.batches)
    assert len(got.tracklets) == len(wanted.tracklets) == 2
    assert got.num_frames == wanted.num_frames
    for one, other in zip(got.tracklets, wanted.tracklets, strict=True):
        assert (one.first_frame, one.last_frame) == (other.first_frame, other.last_frame)
        np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=3)
