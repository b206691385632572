import numpy as np
import pytest

from serving.tracking.association import cheapest_pairs, clear_pairs
from serving.tracking.crop_quality import crop_qualities, visible_fractions

INF = np.inf


@pytest.mark.parametrize(
    ("costs", "pairs"),
    [
        pytest.param([[0.1, INF], [INF, 0.2]], [(0, 0), (1, 1)], id="far from each other"),
        pytest.param([[0.1, 0.2], [INF, 0.2]], [], id="a box between two tracks"),
        pytest.param([[0.1], [0.2]], [], id="two tracks, one box"),
        pytest.param([[0.1], [0.4]], [(0, 0)], id="exactly at the margin"),
        pytest.param([[INF]], [], id="impossible"),
        pytest.param([[0.9]], [(0, 0)], id="nothing else to choose"),
    ],
)
def test_clear_pairs(costs: list[list[float]], pairs: list[tuple[int, int]]) -> None:
    tracks, boxes = clear_pairs(np.array(costs), margin=0.3)
    assert list(zip(tracks.tolist(), boxes.tolist(), strict=True)) == pairs


@pytest.mark.parametrize(("num_tracks", "num_boxes"), [(0, 0), (0, 3), (3, 0)])
def test_without_tracks_or_boxes_there_are_no_pairs(num_tracks: int, num_boxes: int) -> None:
    costs = np.zeros((num_tracks, num_boxes))
    assert [len(side) for side in (*clear_pairs(costs, 0.3), *cheapest_pairs(costs, 0.5))] == [0] * 4


def test_more_pairs_are_worth_more_than_cheaper_ones() -> None:
    tracks, boxes = cheapest_pairs(np.array([[0.0, 0.4], [0.1, INF]]), max_cost=0.5)
    assert list(zip(tracks.tolist(), boxes.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_too_dear_pairs_are_left_out() -> None:
    tracks, boxes = cheapest_pairs(np.array([[0.5, INF], [INF, 0.51]]), max_cost=0.5)
    assert (tracks.tolist(), boxes.tolist()) == ([0], [0])


def textured(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def quality(image: np.ndarray, box: list[float], others: list[list[float]] | None = None, score: float = 0.9) -> float:
    boxes = np.array([box, *(others or [])], np.float32)
    scores = np.full(len(boxes), score, np.float32)
    left, top, right, bottom = (int(value) for value in box)
    return float(crop_qualities(image, boxes, scores, np.array([0]), [image[top:bottom, left:right]])[0])


def test_large_sharp_whole_and_certain_is_better() -> None:
    image = textured(400, 400)
    smooth = np.full_like(image, 100)
    best = quality(image, [100, 100, 200, 350])
    assert 0 < best < 1
    assert quality(image, [100, 100, 140, 200]) < best
    assert quality(image, [0, 100, 100, 350]) == pytest.approx(best / 2, rel=0.05)
    assert quality(image, [100, 100, 200, 350], [[100, 100, 200, 360]]) == 0
    assert quality(image, [100, 100, 200, 350], score=0.45) == pytest.approx(best / 2)
    assert quality(smooth, [100, 100, 200, 350]) == 0


def test_who_stands_in_front_is_not_hidden() -> None:
    boxes = np.array([[0, 0, 10, 20], [0, 10, 10, 40]])
    assert visible_fractions(boxes).tolist() == [0.5, 1.0]


def test_nobody_is_hidden_by_nobody() -> None:
    assert visible_fractions(np.empty((0, 4))).shape == (0,)
    assert visible_fractions(np.array([[0, 0, 5, 5]])).tolist() == [1.0]
