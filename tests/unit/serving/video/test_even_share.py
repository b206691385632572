"""Cameras that take turns at engines, in simulated time: each frame of each camera is looked at or not."""

import heapq
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from serving.video.even_share import EvenShare


def looked_at(
    fps: Sequence[float], looks_per_s: float, seconds: float = 120, burst: int = 1, stop_s: float = 0
) -> list[list[int]]:
    """Numbers of the frames of each camera that are looked at, by one engine for all, in the order of the frames.

    Args:
        fps: of each camera.
        looks_per_s: of the engine, from the beginning or `stop_s` on, before which it is idle.
        seconds: how long.
        burst: frames of a camera that arrive together.
        stop_s: seconds in which the engine answers nothing.
    """
    now = [0.0]
    shares = [EvenShare(lambda: now[0]) for _ in fps]
    waiting: list[int | None] = [None] * len(fps)  # the frame that a camera's thread did not read yet
    queue: list[int] = []  # cameras whose frame waits for the engine
    is_working = [False] * len(fps)
    looks: list[list[int]] = [[] for _ in fps]
    frames = [
        (((number - 1) // burst + 1) * burst / rate + 0.001 * camera, camera, number)
        for camera, rate in enumerate(fps)
        for number in range(1, int(seconds * rate) + 1)
    ]
    events: list[tuple[float, int, int]] = sorted(frames)  # frame 0: the engine is done with a camera's frame
    engine_is_free_at = stop_s

    def begin(camera: int) -> None:
        nonlocal engine_is_free_at
        number, waiting[camera] = waiting[camera], None
        assert number is not None
        is_working[camera] = True
        shares[camera].begin_work()
        looks[camera].append(number)
        engine_is_free_at = max(engine_is_free_at, now[0]) + 1 / looks_per_s
        heapq.heappush(events, (engine_is_free_at, camera, 0))

    assert not queue
    while events:
        now[0], camera, number = heapq.heappop(events)
        if not number:
            is_working[camera] = False
            shares[camera].end_work()
        elif shares[camera].chooses():
            if waiting[camera] is not None:
                shares[camera].replace()
            waiting[camera] = number
        if waiting[camera] is not None and not is_working[camera]:
            begin(camera)
    return looks


def test_a_consumer_with_time_sees_every_frame() -> None:
    assert looked_at([10], looks_per_s=15) == [list(range(1, 1201))]


@pytest.mark.parametrize(("looks_per_s", "share"), [(8, 0.8), (5, 0.5), (1, 0.1), (0.5, 0.05)], ids=str)
def test_a_slow_consumer_gets_frames_at_even_distances(looks_per_s: float, share: float) -> None:
    [numbers] = looked_at([10], looks_per_s, seconds=600)
    settled = [number for number in numbers if number > 3000]
    assert 0.8 * share <= len(settled) / 3000 <= share * 1.01
    apart = np.diff(settled)
    assert apart.max() <= np.ceil(1 / share) + 1 + 0.3 / share
    assert np.mean(np.abs(apart - np.median(apart)) <= 1 + 0.1 / share) > 0.9


def test_at_twice_the_capacity_each_of_ten_cameras_gets_half() -> None:
    looks = looked_at([10.0] * 10, looks_per_s=50)
    shares = [len(numbers) / 1200 for numbers in looks]
    assert 0.4 <= min(shares) <= max(shares) <= 0.6
    for numbers in looks:
        assert max(after - before for before, after in pairwise(numbers)) <= 16  # nobody is blind, even at the start


def test_slow_cameras_keep_all_their_frames_while_fast_ones_share_the_rest() -> None:
    looks = looked_at([25, 25, 2, 2], looks_per_s=20)
    shares = [len(numbers) / 120 / fps for numbers, fps in zip(looks, (25, 25, 2, 2), strict=True)]
    assert shares[2:] == [pytest.approx(1, abs=0.05)] * 2
    assert shares[:2] == [pytest.approx(8 / 25, rel=0.2)] * 2


def test_bursts_to_a_consumer_with_time_shrink_nothing() -> None:
    [numbers] = looked_at([10], looks_per_s=100, burst=5)
    assert len(numbers) == pytest.approx(2 * 240, abs=2)  # the first, which is read at once, and the last of each burst


def test_after_the_load_all_frames_are_seen_again() -> None:
    [numbers] = looked_at([10], looks_per_s=20, stop_s=20)
    assert numbers[-600:] == list(range(601, 1201))
