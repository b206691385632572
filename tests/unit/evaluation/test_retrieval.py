"""The Market-1501 protocol on galleries small enough to rank by hand."""

import numpy as np
import pytest

from domain.errors import InputError
from evaluation.retrieval import RetrievalScores, camera_pair_precision, evaluate_retrieval


def score(distances: list[float], identities: list[int], cameras: list[int]) -> RetrievalScores:
    """One query of identity 5 in camera 1 over the given gallery."""
    return evaluate_retrieval(
        np.array([distances]), np.array([5]), np.array(identities), np.array([1]), np.array(cameras)
    )


@pytest.mark.parametrize(
    ("distances", "identities", "cameras", "expected"),
    [
        pytest.param([0.1, 0.2, 0.3], [5, 7, 5], [2, 2, 2], (1 + 2 / 3) / 2, id="right at ranks 1 and 3"),
        pytest.param([0.1, 0.2, 0.3], [5, 7, 5], [1, 2, 2], 1 / 2, id="own camera is removed"),
        pytest.param([0.1, 0.2], [-1, 5], [2, 2], 1.0, id="junk is removed"),
        pytest.param([0.1, 0.2], [0, 5], [2, 2], 1 / 2, id="a distractor is wrong but stays"),
        pytest.param([0.2, 0.2], [7, 5], [2, 2], 1 / 2, id="a tie keeps gallery order, wrong first"),
        pytest.param([0.2, 0.2], [5, 7], [2, 2], 1.0, id="a tie keeps gallery order, right first"),
    ],
)
def test_average_precision_follows_the_protocol(
    distances: list[float], identities: list[int], cameras: list[int], expected: float
) -> None:
    assert score(distances, identities, cameras).mean_average_precision == pytest.approx(expected)


def test_rank_k_and_inverse_negative_penalty_follow_the_first_and_the_last_match() -> None:
    scores = score([0.1, 0.2, 0.3, 0.4], [7, 5, 5, 7], [2, 2, 2, 2])
    np.testing.assert_array_equal(scores.cmc, [0, 1, 1, 1])
    assert scores.mean_inverse_negative_penalty == pytest.approx(2 / 3)
    assert scores.rank(50) == 1.0


def test_queries_without_a_match_are_left_out_and_counted() -> None:
    scores = evaluate_retrieval(
        np.array([[0.1, 0.2], [0.1, 0.2], [0.1, 0.2]]),
        np.array([5, 9, 0]),
        np.array([5, 0]),
        np.array([1, 1, 1]),
        np.array([2, 2]),
    )
    assert scores.mean_average_precision == 1.0
    assert scores.num_valid_queries == 1
    np.testing.assert_array_equal(np.isnan(scores.average_precisions), [False, True, True])


def test_no_query_with_a_match_is_refused() -> None:
    with pytest.raises(InputError, match="at least one query must have a match in another camera, got none among 1"):
        score([0.1], [5], [1])


@pytest.mark.usefixtures("unchecked_arrays")
def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"gallery_identities must have shape \(2\), got \(1,\)"):
        score([0.1, 0.2], [5], [2, 2])


def test_distances_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="distances must be numbers, got NaN"):
        score([0.1, float("nan")], [5, 5], [2, 2])


def test_half_precision_distances_are_taken() -> None:
    identities, cameras = np.array([5, 7]), np.array([2, 2])
    distances = np.array([[0.1, 0.2]], np.float16)
    assert evaluate_retrieval(distances, identities[:1], identities, cameras[:1] - 1, cameras).rank(1) == 1.0


def test_camera_pairs_are_scored_apart_and_a_camera_with_itself_is_undefined() -> None:
    identities, cameras = np.array([1, 2, 1, 2]), np.array([1, 1, 2, 2])
    distances = np.array([[0, 1, 0.1, 0.2], [1, 0, 0.1, 0.2], [0.1, 0.2, 0, 1], [0.2, 0.1, 1, 0]])
    table = camera_pair_precision(distances, identities, identities, cameras, cameras, [1, 2])
    np.testing.assert_allclose(table, [[np.nan, 0.75], [1.0, np.nan]])
