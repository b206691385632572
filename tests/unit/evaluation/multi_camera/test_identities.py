"""People over cameras: one id everywhere, on a few boxes."""

import pytest

from domain.errors import ArtifactError
from evaluation.multi_camera.identities import score_people
from tests.unit.evaluation.test_tracking import WALK, table

TRUTH = {"c1": table(WALK), "c2": table(WALK), "c3": table([])}
RESULT = {
    "c1": table([(frame, 1, left) for frame, _, left in WALK]),
    "c2": table([(frame, 2, left) for frame, _, left in WALK]),
    "c3": table([]),
}


def test_one_id_over_all_cameras_scores_one() -> None:
    scores = score_people(TRUTH, RESULT, {1: 5, 2: 5}, 0.5)
    assert (scores.idf1, scores.mota, scores.num_switches) == (1, 1, 0)
    assert scores.hota == pytest.approx(1)


def test_another_id_in_each_camera_halves_identity() -> None:
    scores = score_people(TRUTH, RESULT, {1: 5, 2: 6}, 0.5)
    assert scores.idf1 == scores.association_accuracy == pytest.approx(1 / 2)
    assert scores.num_switches == 1


def test_two_people_under_one_id_cost_as_much() -> None:
    other = {"c1": table(WALK), "c2": table([(frame, 8, left) for frame, _, left in WALK]), "c3": table([])}
    assert score_people(other, RESULT, {1: 5, 2: 5}, 0.5).idf1 == pytest.approx(1 / 2)
    assert score_people(other, RESULT, {1: 5, 2: 6}, 0.5).idf1 == 1


def test_a_tracklet_without_person_is_named() -> None:
    with pytest.raises(ArtifactError, match=r"a person for each tracklet of camera c2, lacks \[2\]; rerun track"):
        score_people(TRUTH, RESULT, {1: 5}, 0.5)


def test_a_person_twice_in_a_picture_is_refused() -> None:
    twice = {**RESULT, "c1": table([(3, 1, 0.0), (3, 2, 50.0)])}
    with pytest.raises(ArtifactError, match="got person 5 twice in frame 3 of camera c1; rerun track"):
        score_people(TRUTH, twice, {1: 5, 2: 5}, 0.5)
