"""The field study's tracking test on problems small enough to answer by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from districts.layout import Problem, TrackTable
from domain.errors import ArtifactError, InputError
from evaluation.answers import Answer, read_answers
from evaluation.appearances import (
    ProblemScores,
    Visit,
    appearance_rank_k,
    right_tracklets,
    score_problem,
    visits_of,
)

FPS = {"c1": 10.0, "c2": 10.0}
PROBLEM = Problem(id="p01", identity=7, crops=("p.jpg",), attributes={}, camera="c1", frame=15)
VISITS = [Visit("c1", 10, 30), Visit("c1", 500, 520), Visit("c2", 100, 150)]


def table(frames: range, identity: int, left: float = 0.0) -> TrackTable:
    boxes = np.tile(np.array([left, 0, left + 10, 20], np.float32), (len(frames), 1))
    return TrackTable(np.array(frames), np.full(len(frames), identity), boxes, np.ones(len(frames), np.float32))


def joined(*tables: TrackTable) -> TrackTable:
    return TrackTable(
        *(np.concatenate([getattr(each, name) for each in tables]) for name in TrackTable.__dataclass_fields__)
    )


def answer(ranked: list[tuple[int, str, int, int]], route: list[int] | None = None) -> Answer:
    """Tracklets (id, camera, first frame, last frame), the likeliest first, and the route's ids."""
    time = "2026-01-01T00:00:00+09:00"
    return Answer.model_validate(
        {
            "id": "p01",
            "ranked": [
                {
                    "tracklet": tracklet,
                    "camera": camera,
                    "distance": 0.1,
                    "probability": 0.9,
                    "first_seen": time,
                    "last_seen": time,
                    "first_frame": first,
                    "last_frame": last,
                    "crop": f"crops/{tracklet}.jpg",
                    "attributes": {},
                }
                for tracklet, camera, first, last in ranked
            ],
            "route": [{"tracklet": tracklet, "camera": "c1", "time": time} for tracklet in route or []],
        }
    )


def score(ranked: list[tuple[int, str, int, int]], right: set[int], route: list[int] | None = None) -> ProblemScores:
    return score_problem(PROBLEM, answer(ranked, route), VISITS, right, FPS, window_s=1.0)


def test_visits_are_parted_by_gaps_and_short_ones_left_out() -> None:
    truth = joined(table(range(1, 21), 7), table(range(100, 140), 7), table(range(300, 305), 7), table(range(1, 99), 8))
    assert visits_of(7, {"c1": truth}, FPS, gap_s=5.0, min_s=1.0) == [Visit("c1", 1, 20), Visit("c1", 100, 139)]


def test_a_tracklet_is_right_if_most_of_its_boxes_lie_on_the_person() -> None:
    truth = joined(table(range(1, 21), 7), table(range(1, 21), 8, left=100))
    result = joined(
        table(range(1, 11), 1),
        joined(table(range(1, 6), 2), table(range(6, 11), 2, left=100)),
        joined(table(range(1, 7), 3), table(range(7, 11), 3, left=100)),
        table(range(30, 40), 4),
    )
    assert right_tracklets(7, truth, result, 0.5) == {1, 3}


def test_rank_k_counts_the_appearances_answered_in_the_first_k_of_their_camera_and_time() -> None:
    """The question's own appearance is not scored; of the two others one is right at once, one at the second place."""
    ranked = [(1, "c1", 10, 30), (2, "c2", 100, 120), (3, "c1", 500, 520), (4, "c2", 120, 150), (5, "c2", 900, 950)]
    scores = score(ranked, right={1, 3, 4})
    assert scores.num_appearances == 2
    np.testing.assert_allclose(scores.ranks, [0.5, 1, 1, 1, 1])


@pytest.mark.parametrize(
    ("last_frame", "expected"),
    [pytest.param(90, 0.5, id="exactly at the window"), pytest.param(89, 0.0, id="just before it")],
)
def test_candidates_overlap_the_appearance_widened_by_the_window(last_frame: int, expected: float) -> None:
    assert score([(4, "c2", 60, last_frame)], right={4}).ranks[0] == expected


def test_an_appearance_nobody_covers_is_wrong() -> None:
    np.testing.assert_array_equal(score([], right={3}).ranks, 0)


def test_a_route_is_scored_by_stops_and_appearances_other_than_the_question() -> None:
    ranked = [(1, "c1", 10, 30), (2, "c2", 100, 120), (3, "c1", 500, 520)]
    scores = score(ranked, right={1, 3}, route=[1, 2, 3])
    assert scores.route_precision == 0.5
    assert scores.route_recall == 0.5
    assert score(ranked, right={1, 3}).route_precision == 0


def test_the_study_s_figure_is_the_mean_over_problems() -> None:
    scores = [ProblemScores("p", 2, np.full(5, value), 0, 0) for value in (0.5, 1.0)]
    np.testing.assert_allclose(appearance_rank_k(scores), 0.75)


def test_without_problems_there_is_no_figure() -> None:
    with pytest.raises(InputError, match="there must be problems to score, got none"):
        appearance_rank_k([])


def test_a_person_who_never_appears_again_is_refused() -> None:
    with pytest.raises(InputError, match="the person of problem p01 must appear again after the question"):
        score_problem(PROBLEM, answer([]), VISITS[:1], set(), FPS, 1.0)


def test_a_route_over_tracklets_that_are_not_ranked_is_refused() -> None:
    with pytest.raises(ArtifactError, match="problem p01: tracklet 9 of the route is not ranked; rerun track"):
        score([], right=set(), route=[9])


def test_answers_are_read_back(tmp_path: Path) -> None:
    problem = json.loads(answer([(1, "c1", 10, 30)], [1]).model_dump_json())
    (tmp_path / "answers.json").write_text(json.dumps({"fps": FPS, "problems": [problem]}))
    answers = read_answers(tmp_path)
    assert answers.fps == FPS
    assert answers.problems[0].ranked[0].camera == "c1"


def test_missing_answers_name_the_stage_to_rerun(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="must hold the answers to the problems; rerun track"):
        read_answers(tmp_path)
