"""Shortened coverage: adjacent spans are merged, and of too many spans the longest remain, with the number dropped."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.search.coverage import CameraCoverage, Coverage, Span, shorten_coverage
from tests.helpers.sightings import NOON


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def span(begin: float, end: float | None, reason: str = "") -> Span:
    return Span(since=at(begin), until=None if end is None else at(end), reason=reason)


def coverage(*cameras: dict[str, list[Span]]) -> Coverage:
    no_spans: dict[str, list[Span]] = {"searched": [], "waiting": [], "failed": [], "gaps": []}
    listed = [
        CameraCoverage(district="demo", camera_id=f"cam{number}", share=0.5, **(no_spans | spans))
        for number, spans in enumerate(cameras)
    ]
    return Coverage(since=at(0), until=at(3600), share=0.5, cameras=listed)


def test_adjacent_spans_are_merged() -> None:
    shortened = shorten_coverage(
        coverage(
            {
                "searched": [span(0, 300), span(300.1, 600), span(602, 700)],
                "gaps": [span(10, 20, "cut"), span(15, 18, "cut"), span(20, 30, "cut"), span(30, 40, "no answer")],
                "waiting": [span(800, None), span(900, None)],
            }
        )
    ).cameras[0]
    assert shortened.searched == [span(0, 600), span(602, 700)]
    assert shortened.gaps == [span(10, 30, "cut"), span(30, 40, "no answer")]
    assert shortened.waiting == [span(800, None), span(900, None)]
    assert shortened.num_left_out == 0


def test_of_too_many_spans_the_longest_of_each_kind_and_camera_remain_and_the_others_are_counted() -> None:
    searched = [span(10 * number, 10 * number + 2 + number % 5) for number in range(900)]
    gaps = [span(10 * number, 10 * number + 1, "cut") for number in range(100)]
    whole = coverage({"searched": searched, "gaps": [*gaps, span(2000, None, "no answer")]}, {"searched": [span(0, 1)]})
    shortened = shorten_coverage(whole)
    first, second = shortened.cameras
    assert (len(first.searched), len(first.gaps), first.num_left_out) == (333, 101, 567)
    assert min(part.until - part.since for part in first.searched if part.until) == timedelta(seconds=5)
    assert all(before.since < after.since for before, after in pairwise(first.searched))
    assert first.gaps[-1] == span(2000, None, "no answer")
    assert (second.searched, second.num_left_out) == ([span(0, 1)], 0)
    assert (shortened.share, first.share) == (whole.share, whole.cameras[0].share)


@pytest.mark.parametrize("num_cameras", [1, 7, 300])
@pytest.mark.slow
def test_a_shortened_coverage_has_a_size_limit(num_cameras: int) -> None:
    gaps = [span(10 * number, 10 * number + 5, "cut") for number in range(500)]
    kinds = dict.fromkeys(("searched", "waiting", "failed", "gaps"), gaps)
    shortened = shorten_coverage(coverage(*[kinds] * num_cameras))
    assert len(shortened.model_dump_json()) < 200_000
    assert all(camera.searched and camera.gaps and camera.num_left_out for camera in shortened.cameras)


pieces = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted), max_size=8).map(sorted)


@given(pieces)
def test_merging_spans_changes_no_covered_second(pieces: list[list[int]]) -> None:
    searched = [span(begin, end) for begin, end in pieces]
    shortened = shorten_coverage(coverage({"searched": searched})).cameras[0].searched

    def seconds(spans: list[Span]) -> set[datetime]:
        return {
            at(second + 0.5)
            for second in range(60)
            if any(s.since <= at(second + 0.5) < s.until for s in spans if s.until)
        }

    assert seconds(shortened) == seconds(searched)
