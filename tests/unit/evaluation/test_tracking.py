"""Tracking scores on sequences of a few boxes."""

from collections.abc import Sequence

import numpy as np
import pytest

from districts.box_files import TrackTable
from domain.errors import InputError
from evaluation.tracking import combine, count_tracking, score_tracking

Row = tuple[int, int, float]  # frame, id, left edge of a box 10 wide and 20 high


def table(rows: Sequence[Row], confidence: float = 1.0) -> TrackTable:
    boxes = np.array([[left, 0, left + 10, 20] for _, _, left in rows], np.float32).reshape(-1, 4)
    frames, tracks = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))
    return TrackTable(frames, tracks, boxes, np.full(len(rows), confidence, np.float32))


WALK = [(frame, 7, 2.0 * frame) for frame in range(1, 11)]


def test_tracklets_like_the_truth_score_one() -> None:
    scores = score_tracking(table(WALK), table([(frame, 31, left) for frame, _, left in WALK]))
    assert (scores.idf1, scores.mota, scores.num_switches) == (1, 1, 0)
    assert (scores.hota, scores.detection_accuracy, scores.association_accuracy) == pytest.approx((1, 1, 1))
    assert scores.localisation_accuracy == pytest.approx(1)


def test_a_walk_cut_in_halves_costs_identity_but_no_detection() -> None:
    halves = [(frame, 1 if frame <= 5 else 2, left) for frame, _, left in WALK]
    scores = score_tracking(table(WALK), table(halves))
    assert scores.num_switches == 1
    assert scores.mota == pytest.approx(1 - 1 / 10)
    assert scores.idf1 == pytest.approx(5 / 10)
    assert scores.detection_accuracy == pytest.approx(1)
    assert scores.association_accuracy == pytest.approx(1 / 2)
    assert scores.hota == pytest.approx(np.sqrt(1 / 2))


def test_misses_and_false_positives_cost_accuracy() -> None:
    found = [*WALK[:6], (1, 9, 500.0)]
    scores = score_tracking(table(WALK), table(found))
    assert scores.mota == pytest.approx(1 - (4 + 1) / 10)
    assert scores.idf1 == pytest.approx(2 * 6 / (10 + 7))


@pytest.mark.parametrize(
    ("shift", "matched"), [pytest.param(10 / 3, 1, id="exactly at threshold"), pytest.param(3.4, 0, id="just below")]
)
def test_a_box_must_overlap_by_half(shift: float, matched: int) -> None:
    assert count_tracking(table([(1, 1, 0.0)]), table([(1, 1, shift)])).num_matched == matched


def test_boxes_of_confidence_nought_do_not_count() -> None:
    with pytest.raises(InputError, match="the ground truth must have boxes of people, got none in 1 sequences"):
        score_tracking(table(WALK, confidence=0), table(WALK))


def test_without_tracklets_everything_is_missed() -> None:
    scores = score_tracking(table(WALK), table([]))
    assert (scores.idf1, scores.mota, scores.hota) == (0, 0, 0)


def test_the_same_id_in_two_sequences_is_two_people() -> None:
    """Found whole in one video and never in the other: half of all boxes."""
    counts = [count_tracking(table(WALK), table(WALK)), count_tracking(table(WALK), table([]))]
    scores = combine(counts)
    assert scores.mota == pytest.approx(1 / 2)
    assert scores.idf1 == pytest.approx(2 * 10 / (20 + 10))
    assert scores.association_accuracy == pytest.approx(1)
