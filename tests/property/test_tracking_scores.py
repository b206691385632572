"""Laws of tracking scores that hold for all tables."""

from dataclasses import astuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from districts.box_files import TrackTable
from evaluation.tracking import score_tracking


@st.composite
def tables(draw: st.DrawFn) -> TrackTable:
    """Up to four tracks over up to eight frames, a box of each at most once a frame."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pairs = rng.permutation(32)[: draw(st.integers(1, 32))]
    corners = rng.uniform(0, 20, (len(pairs), 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 20, corners.shape)], axis=1).astype(np.float32)
    return TrackTable(pairs // 4 + 1, pairs % 4, boxes, np.ones(len(pairs), np.float32))


@settings(deadline=None, max_examples=50)
@given(tables(), tables(), st.permutations(range(4)), st.integers(0, 2**32))
def test_neither_names_nor_the_order_of_lines_matter(
    truth: TrackTable, result: TrackTable, names: list[int], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(result.frames))
    renamed = TrackTable(
        result.frames[order],
        np.array(names)[result.tracks[order]] + 100,
        result.boxes_xyxy[order],
        result.confidences[order],
    )
    one, other = score_tracking(truth, result), score_tracking(truth, renamed)
    np.testing.assert_allclose(astuple(one), astuple(other), atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(tables())
def test_the_truth_itself_scores_one(truth: TrackTable) -> None:
    np.testing.assert_allclose(astuple(score_tracking(truth, truth))[:6], 1, rtol=1e-6)


@settings(deadline=None, max_examples=50)
@given(tables(), tables())
def test_scores_stay_in_their_ranges(truth: TrackTable, result: TrackTable) -> None:
    scores = score_tracking(truth, result)
    assert scores.mota <= 1
    for value in astuple(scores)[2:6]:
        assert 0 <= value <= 1 + 1e-6
    assert 0 <= scores.idf1 <= 1
