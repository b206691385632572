"""Routes scored by hand: one person in two cameras, queried by a crop of the first visit."""

import pytest

from districts.layout import Problem
from domain.errors import ArtifactError
from evaluation.multi_camera.routes import RouteScores, order_agreement, score_route
from evaluation.multi_camera.visits import Visit
from evaluation.tracking import combine
from tests.helpers.answers import answer, joined, table

PROBLEM = Problem(id="p01", identity=7, crops=("p.jpg",), attributes={}, camera="c1", frame=15)
VISITS = [Visit("c1", 10, 30), Visit("c2", 100, 150), Visit("c1", 500, 520)]
TRUTH = {
    "c1": joined(table(range(10, 31), 7), table(range(500, 521), 7), table(range(1, 900), 8, left=50)),
    "c2": table(range(100, 151), 7),
}
RESULT = {
    "c1": joined(
        table(range(10, 31), 1),
        table(range(500, 521), 3),
        table(range(50, 61), 6, left=50),
        table(range(100, 120), 7, left=50),
    ),
    "c2": joined(table(range(100, 120), 2), table(range(119, 151), 4), table(range(200, 220), 5)),
}
RANKED = [
    (1, "c1", 10, 30),
    (2, "c2", 100, 119),
    (3, "c1", 500, 520),
    (4, "c2", 119, 150),
    (5, "c2", 200, 219),
    (6, "c1", 50, 60),
    (7, "c1", 100, 119),
]
NUM_TRUE = 51 + 21  # boxes of the person, without the query visit's


def score(route: list[int]) -> RouteScores:
    return score_route(PROBLEM, answer(RANKED, route), VISITS, {1, 2, 3, 4}, TRUTH, RESULT, 0.5)


@pytest.mark.parametrize(
    ("route", "precision", "recall"),
    [
        pytest.param([2, 3], 1, 1, id="every visit"),
        pytest.param([2, 5], 1 / 2, 1 / 2, id="a wrong stop for a visit"),
        pytest.param([1, 2], 1, 1 / 2, id="the query visit is not counted"),
        pytest.param([], 0, 0, id="empty"),
    ],
)
def test_stops_and_visits_are_compared(route: list[int], precision: float, recall: float) -> None:
    scores = score(route)
    assert (scores.precision, scores.recall) == (precision, recall)


@pytest.mark.parametrize(
    ("route", "num_right", "num_found"),
    [
        pytest.param([1, 2, 3], 20 + 21, 20 + 21, id="right stops of both cameras"),
        pytest.param([2, 5], 20, 20 + 20, id="a wrong stop"),
        pytest.param([2, 7], 20, 20 + 20, id="frames of the same number in two cameras"),
        pytest.param([2, 4], 20 + 31, 20 + 31, id="two stops share a frame"),
        pytest.param([], 0, 0, id="empty"),
    ],
)
def test_the_route_is_one_id_over_all_cameras(route: list[int], num_right: int, num_found: int) -> None:
    """Right boxes lie exactly on the person, so HOTA is their share of all true and found ones."""
    scores = combine([score(route).counts])
    assert scores.idf1 == pytest.approx(2 * num_right / (NUM_TRUE + num_found))
    assert scores.hota == pytest.approx(num_right / (NUM_TRUE + num_found - num_right))


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        pytest.param([2, 3], 1, id="c2, then c1"),
        pytest.param([3, 2], 1, id="listed in another order than that of time"),
        pytest.param([6, 2], -1, id="a wrong stop in c1 comes too early"),
        pytest.param([1, 2], None, id="the query visit is not counted"),
    ],
)
def test_the_order_of_cameras_is_that_of_time(route: list[int], expected: float | None) -> None:
    assert score(route).order_agreement == expected


@pytest.mark.parametrize(
    ("route", "true", "expected"),
    [
        pytest.param("abcd", "abcd", 1, id="same"),
        pytest.param("abdc", "abcd", (5 - 1) / 6, id="one of six pairs swapped"),
        pytest.param("acab", "abca", (2 - 1) / 3, id="the first time counts"),
        pytest.param("xbya", "azb", -1, id="cameras of one walk only are passed over"),
        pytest.param("ab", "bc", None, id="one camera has no order"),
        pytest.param("", "ab", None, id="no stops"),
    ],
)
def test_order_agreement_is_kendalls_tau_of_first_arrivals(route: str, true: str, expected: float | None) -> None:
    found = order_agreement(list(route), list(true))
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_route_over_tracklets_that_are_not_ranked_is_refused() -> None:
    with pytest.raises(
        ArtifactError,
        match="the answer to problem p01 must rank every stop of its route, lacks tracklet 9; rerun track",
    ):
        score([9])
