"""The field study's tracking test on problems small enough to answer by hand."""

import numpy as np
import pytest

from districts.layout import Problem
from domain.errors import InputError
from evaluation.multi_camera.timelines import Timeline
from evaluation.multi_camera.visits import (
    ProblemScores,
    Visit,
    right_tracklets,
    score_problem,
    visits_of,
)
from tests.helpers.answers import answer, joined, table

TIMES = {camera: Timeline([number / 10 for number in range(1000)]) for camera in ("c1", "c2")}
PROBLEM = Problem(id="p01", identity=7, crops=("p.jpg",), attributes={}, camera="c1", frame=15)
VISITS = [Visit("c1", 10, 30), Visit("c1", 500, 520), Visit("c2", 100, 150)]


def score(ranked: list[tuple[int, str, int, int]], right: set[int]) -> ProblemScores:
    return score_problem(PROBLEM, answer(ranked, route=[]), VISITS, right, TIMES, window_s=1.0)


def test_visits_are_parted_by_gaps_and_short_ones_left_out() -> None:
    truth = joined(table(range(1, 21), 7), table(range(100, 140), 7), table(range(300, 305), 7), table(range(1, 99), 8))
    assert visits_of(7, {"c1": truth}, TIMES, gap_s=5.0, min_s=1.0) == [Visit("c1", 1, 20), Visit("c1", 100, 139)]


def test_visits_of_a_video_that_slows_down_are_measured_in_seconds() -> None:
    """10 frames a second up to frame 21, then one every two seconds."""
    slowing = {"c1": Timeline([number / 10 if number < 20 else 2 + (number - 20) * 2 for number in range(60)])}
    truth = joined(table([19, 20, 21, 22, 24, 27], 7), table(range(40, 60), 8))
    assert visits_of(7, {"c1": truth}, slowing, gap_s=5.0, min_s=3.0) == [Visit("c1", 19, 24)]
    assert visits_of(7, {"c1": truth}, slowing, gap_s=3.0, min_s=3.0) == [Visit("c1", 19, 22)]
    visits = [Visit("c1", 10, 16), Visit("c1", 40, 45)]
    for last_frame, expected in ((38, 1.0), (37, 0.0)):  # 4 and 6 seconds before the visit
        ranked = answer([(4, "c1", 30, last_frame)], route=[])
        assert score_problem(PROBLEM, ranked, visits, {4}, slowing, window_s=5.0).ranks[0] == expected


def test_a_tracklet_is_right_if_most_of_its_boxes_lie_on_the_person() -> None:
    truth = joined(table(range(1, 21), 7), table(range(1, 21), 8, left=100))
    result = joined(
        table(range(1, 11), 1),
        joined(table(range(1, 6), 2), table(range(6, 11), 2, left=100)),
        joined(table(range(1, 7), 3), table(range(7, 11), 3, left=100)),
        table(range(30, 40), 4),
    )
    assert right_tracklets(7, truth, result, 0.5) == {1, 3}


def test_rank_k_counts_the_visits_with_a_correct_tracklet_in_the_first_k_of_their_camera_and_time() -> None:
    """The query visit is not scored; of the two others, one is correct at the first place and one at the second."""
    ranked = [(1, "c1", 10, 30), (2, "c2", 100, 120), (3, "c1", 500, 520), (4, "c2", 120, 150), (5, "c2", 900, 950)]
    scores = score(ranked, right={1, 3, 4})
    assert scores.num_visits == 2
    np.testing.assert_allclose(scores.ranks, [0.5, 1, 1, 1, 1])


@pytest.mark.parametrize(
    ("last_frame", "expected"),
    [pytest.param(90, 0.5, id="exactly at the window"), pytest.param(89, 0.0, id="just before it")],
)
def test_candidates_overlap_the_visit_extended_by_the_window(last_frame: int, expected: float) -> None:
    assert score([(4, "c2", 60, last_frame)], right={4}).ranks[0] == expected


def test_a_visit_without_a_tracklet_is_wrong() -> None:
    np.testing.assert_array_equal(score([], right={3}).ranks, 0)


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        pytest.param({1, 2, 3}, 0, id="right at once"),
        pytest.param({1, 4}, 2, id="the tracklet of the query visit is skipped"),
        pytest.param({4}, 3, id="another person in the query's camera and time is false"),
        pytest.param(set(), 4, id="nobody right"),
    ],
)
def test_false_candidates_stand_before_the_first_of_the_person(right: set[int], expected: int) -> None:
    ranked = [(1, "c1", 10, 30), (2, "c2", 100, 120), (3, "c2", 900, 950), (4, "c1", 500, 520)]
    assert score(ranked, right).num_false_before_right == expected


def test_a_person_without_another_visit_is_refused() -> None:
    with pytest.raises(
        InputError, match="the person of problem p01 must have a visit besides the query visit, got none"
    ):
        score_problem(PROBLEM, answer([], []), VISITS[:1], set(), TIMES, 1.0)
