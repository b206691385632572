"""Open-set rates by hand and against a literal reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InputError
from evaluation.open_set import nearest_distances, score_open_set

# Four people, each queried in camera 1. The gallery shows persons 1 to 4 in camera 2 and a distractor.
PEOPLE = np.array([1, 2, 3, 4])
GALLERY = np.array([1, 2, 3, 4, 0])
DISTANCES = np.array(
    [
        [0.10, 0.60, 0.70, 0.80, 0.50],  # right and near; without the person the distractor is nearest, 0.50
        [0.90, 0.30, 0.40, 0.70, 0.80],  # right; without the person 0.40
        [0.45, 0.90, 0.55, 0.90, 0.90],  # wrong first; without the person 0.45
        [0.90, 0.90, 0.95, 0.60, 0.85],  # right but far; without the person 0.85
    ]
)


def rates(false_alarm_rates: list[float], distances: np.ndarray = DISTANCES) -> list[tuple[float, float]]:
    scores = score_open_set(
        nearest_distances(distances, PEOPLE, GALLERY, np.ones(4, int), np.full(5, 2)), false_alarm_rates
    )
    return [(each.threshold, each.detection_rate) for each in scores]


def test_rates_by_hand() -> None:
    # no false alarm is allowed: only distances below 0.40 count, the first two
    # one of four may: below 0.45; two: below 0.50; three: below 0.85, so that the fourth counts; four: no limit
    assert rates([0.0, 0.25, 0.5, 0.75, 1.0]) == [
        (0.40, 0.5),
        (0.45, 0.5),
        (0.50, 0.5),
        (0.85, 0.75),
        (np.inf, 0.75),
    ]


def test_a_rate_between_two_counts_is_not_exceeded() -> None:
    assert rates([0.49]) == rates([0.25])


def test_own_camera_and_junk_are_left_out() -> None:
    distances = np.array([[0.0, 0.1, 0.2, 0.3]])
    gallery, cameras = np.array([7, -1, 7, 8]), np.array([1, 2, 2, 2])
    score = score_open_set(nearest_distances(distances, np.array([7]), gallery, np.array([1]), cameras), [0.0])[0]
    assert (score.threshold, score.detection_rate) == (0.3, 1.0)


def test_a_query_without_a_match_does_not_count() -> None:
    distances = np.vstack([DISTANCES, np.full(5, 0.01)])
    people = np.append(PEOPLE, 9)
    scores = score_open_set(nearest_distances(distances, people, GALLERY, np.ones(5, int), np.full(5, 2)), [0.0])
    assert scores[0].detection_rate == 0.5


@pytest.mark.parametrize(
    ("people", "allowed", "message"),
    [
        pytest.param(PEOPLE + 10, [0.1], "at least one query must have a match in another camera", id="no match"),
        pytest.param(PEOPLE, [1.5], "false_alarm_rates must be from 0 to 1, got 1.5", id="rate"),
        pytest.param(PEOPLE[:3], [0.1], r"distances must have shape \(3, 5\)", id="shape"),
    ],
)
@pytest.mark.usefixtures("unchecked_arrays")
def test_bad_input_is_named(people: np.ndarray, allowed: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_open_set(nearest_distances(DISTANCES, people, GALLERY, np.ones(len(people), int), np.full(5, 2)), allowed)


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_no_more_false_alarms_than_allowed_and_one_more_would_be_too_many(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    distances = rng.random((12, 20)).round(2)  # with ties
    people, gallery = rng.integers(1, 6, 12), rng.integers(-1, 6, 20)
    gallery[:5] = np.arange(1, 6)
    score = score_open_set(nearest_distances(distances, people, gallery, np.ones(12, int), np.full(20, 2)), [rate])[0]
    alarms = [
        min(d for d, g in zip(row, gallery, strict=True) if g not in (-1, person))
        for row, person in zip(distances, people, strict=True)
    ]
    assert np.mean([alarm < score.threshold for alarm in alarms]) <= rate + 1e-9
    if score.threshold < np.inf:
        assert np.mean([alarm <= score.threshold for alarm in alarms]) > rate - 1e-9
    hits = []
    for row, person in zip(distances, people, strict=True):
        nearest = min((d, g != person) for d, g in zip(row, gallery, strict=True) if g != -1)
        tied = [g for d, g in zip(row, gallery, strict=True) if g != -1 and d == nearest[0]]
        hits.append(set(tied) == {person} and nearest[0] < score.threshold)
    assert score.detection_rate == pytest.approx(np.mean(hits))
