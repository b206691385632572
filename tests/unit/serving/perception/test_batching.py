import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from domain.errors import InputError
from serving.perception.batching import SharedPerception
from serving.perception.perception import Engine
from tests.helpers.walkers import (
    BLUE,
    GREEN,
    RED,
    ColourDetector,
    engines,
    follow_files,
    perception,
    picture,
    settings,
    write_video,
)

FOREVER_S = 60.0
PEOPLE = [RED, GREEN, BLUE]


def shared(
    detector: Engine | None = None, *, max_wait_s: float = FOREVER_S, batches_at_once: int = 1
) -> SharedPerception:
    return SharedPerception(
        *engines(detector), settings().perception, max_wait_s=max_wait_s, batches_at_once=batches_at_once
    )


def each_in_a_thread(eyes: SharedPerception, works: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each of `works` returned or raised, all begun at once by users of `eyes`."""
    together = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        with eyes.user():
            together.wait()
            return work()

    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(run, work) for work in works]
        return [future.exception(timeout=20) or future.result() for future in futures]


calls = st.lists(st.tuples(st.sampled_from(["detect", "embed", "attributes"]), st.integers(0, 11)), max_size=4)


@pytest.mark.slow
@hypothesis_settings(max_examples=20)
@given(st.lists(calls, min_size=1, max_size=5), st.sampled_from([0.0, 0.001, FOREVER_S]), st.integers(1, 3))
def test_answers_are_those_without_batching(
    calls_of_users: list[list[tuple[str, int]]], max_wait_s: float, batches_at_once: int
) -> None:
    alone = perception()

    def work(eyes: Any, user: int) -> list[Any]:
        answers = []
        for number, (method, pictures) in enumerate(calls_of_users[user]):
            images = [picture(PEOPLE, 0.1 * (number + user + i)) for i in range(pictures)]
            answers.append(getattr(eyes, method)(images))
        return answers

    eyes = shared(max_wait_s=max_wait_s, batches_at_once=batches_at_once)
    together = each_in_a_thread(eyes, [partial(work, eyes, user) for user in range(len(calls_of_users))])
    for user, answers in enumerate(together):
        for (method, _), answer, wanted in zip(calls_of_users[user], answers, work(alone, user), strict=True):
            if method == "detect":
                assert [list(one.boxes_xyxy.ravel()) for one in answer] == [
                    list(one.boxes_xyxy.ravel()) for one in wanted
                ]
                assert [list(one.scores) for one in answer] == [list(one.scores) for one in wanted]
            else:
                np.testing.assert_equal(answer, wanted)


@pytest.mark.slow
def test_videos_followed_in_threads_give_the_tracklets_of_one_after_the_other(tmp_path: Path) -> None:
    files = [write_video(tmp_path / f"c{i}.mp4", PEOPLE[i:], seconds=2 + i) for i in range(3)]

    def followed(eyes: Any, file: Path) -> list[tuple[Any, ...]]:
        [one] = follow_files([file], eyes)
        return [(each.boxes_xyxy.tolist(), each.embedding.tolist(), each.attributes) for each in one.tracklets]

    eyes = shared(max_wait_s=0.002)
    together = each_in_a_thread(eyes, [partial(followed, eyes, file) for file in files])
    assert together == [followed(perception(), file) for file in files]
    assert all(together)


def test_pictures_of_all_users_go_into_the_engine_together() -> None:
    detector = ColourDetector()
    eyes = shared(detector)
    each_in_a_thread(eyes, [lambda: eyes.detect([picture(PEOPLE, 0)])] * 5)
    assert detector.batches == [5]


def test_a_batch_is_not_larger_than_the_setting_and_a_call_is_not_divided() -> None:
    detector = ColourDetector()
    eyes = shared(detector)
    each_in_a_thread(eyes, [lambda: eyes.detect([picture([], 0)] * 3)] * 3)
    assert detector.batches == [6, 3]  # 8 at most


def test_nobody_waits_for_a_user_who_works_on_something_else() -> None:
    eyes = shared(max_wait_s=0.02)
    with eyes.user(), eyes.user():
        start = time.monotonic()
        assert len(eyes.detect([picture(PEOPLE, 0)])) == 1
        assert 0.02 <= time.monotonic() - start < 5


@pytest.mark.parametrize("dies", [False, True])
def test_a_user_who_leaves_lets_the_others_go_at_once(dies: bool) -> None:
    eyes = shared(max_wait_s=FOREVER_S)

    def leave() -> None:
        time.sleep(0.1)
        if dies:
            raise RuntimeError("camera on fire")

    start = time.monotonic()
    [left, found] = each_in_a_thread(eyes, [leave, lambda: eyes.detect([picture(PEOPLE, 0)])])
    assert isinstance(left, RuntimeError) is dies
    assert len(found[0]) == 3
    assert time.monotonic() - start < FOREVER_S / 4


class _FaultyDetector(ColourDetector):
    """Fails when a picture in the batch is white."""

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        if (images == 255).all(axis=(1, 2, 3)).any():
            raise InputError("pictures must not be white")
        return super().__call__(images)


def test_an_error_reaches_only_whose_pictures_caused_it() -> None:
    detector = _FaultyDetector()
    eyes = shared(detector)
    white = np.full((120, 320, 3), 255, np.uint8)
    good, bad, fine = each_in_a_thread(
        eyes,
        [
            lambda: eyes.detect([picture(PEOPLE, 0)]),
            lambda: eyes.detect([white]),
            lambda: eyes.detect([picture([], 0), picture(PEOPLE, 1)]),
        ],
    )
    assert [len(one) for one in good] == [3]
    assert isinstance(bad, InputError)
    assert [len(one) for one in fine] == [0, 3]


class _Ended(BaseException):
    """As KeyboardInterrupt ends a thread."""


class _EndingDetector(ColourDetector):
    """Ends the first thread that computes."""

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        if not self.batches:
            self.batches.append(0)
            raise _Ended
        return super().__call__(images)


def test_a_thread_that_is_ended_while_it_computes_for_others_leaves_them_to_another() -> None:
    eyes = shared(_EndingDetector())

    def detect() -> int | str:
        try:
            return len(eyes.detect([picture(PEOPLE, 0)])[0])
        except _Ended:
            return "ended"

    answers = each_in_a_thread(eyes, [detect] * 3)
    assert sorted(map(str, answers)) == ["3", "3", "ended"]


class _MeetingDetector(ColourDetector):
    """Computes only when two batches are in work."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2)

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self.both.wait(timeout=20)
        return super().__call__(images)


def test_batches_are_computed_side_by_side() -> None:
    eyes = shared(_MeetingDetector(), batches_at_once=2)
    found = each_in_a_thread(eyes, [lambda: eyes.detect([picture(PEOPLE, 0)] * 5)] * 2)  # too many for one batch
    assert [[len(one) for one in answer] for answer in found] == [[3] * 5] * 2
