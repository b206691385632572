"""Laws of retrieval scores that hold for every ranking."""

from dataclasses import astuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.retrieval import evaluate_retrieval

Ranking = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@st.composite
def rankings(draw: st.DrawFn) -> Ranking:
    """Distances with ties and at least one query that has a match."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    query, gallery = draw(st.integers(1, 5)), draw(st.integers(2, 20))
    distances = rng.integers(0, draw(st.integers(1, 40)), (query, gallery)).astype(np.float32)
    query_identities, gallery_identities = rng.integers(1, 4, query), rng.integers(-1, 4, gallery)
    query_cameras, gallery_cameras = rng.integers(1, 3, query), rng.integers(1, 3, gallery)
    gallery_identities[0], gallery_cameras[0] = query_identities[0], query_cameras[0] + 1
    return distances, query_identities, gallery_identities, query_cameras, gallery_cameras


@settings(deadline=None)
@given(rankings(), st.randoms(use_true_random=False))
def test_without_ties_the_order_of_the_gallery_changes_nothing(ranking: Ranking, random: object) -> None:
    distances, query_identities, gallery_identities, query_cameras, gallery_cameras = ranking
    distances = distances + np.linspace(0, 0.5, distances.shape[1], dtype=np.float32)
    order = np.random.default_rng(random.randint(0, 2**32)).permutation(distances.shape[1])  # type: ignore[attr-defined]
    one = evaluate_retrieval(distances, query_identities, gallery_identities, query_cameras, gallery_cameras)
    other = evaluate_retrieval(
        distances[:, order], query_identities, gallery_identities[order], query_cameras, gallery_cameras[order]
    )
    for mine, theirs in zip(astuple(one), astuple(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@settings(deadline=None)
@given(rankings())
def test_only_the_order_matters(ranking: Ranking) -> None:
    distances, *labels = ranking
    for mine, theirs in zip(
        astuple(evaluate_retrieval(distances, *labels)),
        astuple(evaluate_retrieval(np.sqrt(distances) * 7 - 3, *labels)),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


@settings(deadline=None)
@given(rankings())
def test_a_farther_wrong_item_changes_no_precision(ranking: Ranking) -> None:
    distances, query_identities, gallery_identities, query_cameras, gallery_cameras = ranking
    farther = np.full((len(distances), 1), distances.max() + 1, np.float32)
    longer = evaluate_retrieval(
        np.hstack([distances, farther]),
        query_identities,
        np.append(gallery_identities, 0),
        query_cameras,
        np.append(gallery_cameras, 1),
    )
    scores = evaluate_retrieval(*ranking)
    assert longer.mean_average_precision == scores.mean_average_precision
    assert longer.mean_inverse_negative_penalty == scores.mean_inverse_negative_penalty


@settings(deadline=None)
@given(rankings())
def test_scores_are_fractions_and_rank_k_never_falls(ranking: Ranking) -> None:
    scores = evaluate_retrieval(*ranking)
    assert 0 < scores.mean_inverse_negative_penalty <= 1
    assert 0 < scores.mean_average_precision <= 1
    assert (np.diff(scores.cmc) >= 0).all()
    assert scores.cmc[-1] == 1
