"""Laws of re-ranking that hold for all embeddings."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.embeddings import cosine_distances, unit_length
from evaluation.reranking import k_reciprocal_distances


@st.composite
def embeddings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    query, gallery = draw(st.integers(1, 4)), draw(st.integers(1, 30))
    vectors = unit_length(rng.normal(size=(query + gallery, draw(st.integers(2, 8)))))
    return vectors[:query], vectors[query:]


@settings(deadline=None, max_examples=50)
@given(embeddings(), st.integers(1, 25), st.integers(1, 8), st.integers(0, 2**32))
def test_permuting_the_gallery_permutes_the_result(
    arrays: tuple[np.ndarray, np.ndarray], k1: int, k2: int, seed: int
) -> None:
    query, gallery = arrays
    order = np.random.default_rng(seed).permutation(len(gallery))
    np.testing.assert_allclose(
        k_reciprocal_distances(query, gallery[order], k1=k1, k2=k2),
        k_reciprocal_distances(query, gallery, k1=k1, k2=k2)[:, order],
        atol=1e-5,
    )


@settings(deadline=None, max_examples=50)
@given(embeddings(), st.integers(1, 25))
def test_lambda_one_keeps_the_original_order(arrays: tuple[np.ndarray, np.ndarray], k1: int) -> None:
    reranked = k_reciprocal_distances(*arrays, k1=k1, lambda_value=1.0)
    plain = cosine_distances(*arrays)
    for new, old in zip(reranked, plain, strict=True):
        assert (np.diff(new[np.argsort(old)]) >= -1e-6).all()


@settings(deadline=None, max_examples=50)
@given(embeddings(), st.integers(1, 25), st.integers(1, 8), st.floats(0, 1))
def test_distances_are_fractions(arrays: tuple[np.ndarray, np.ndarray], k1: int, k2: int, lambda_value: float) -> None:
    distances = k_reciprocal_distances(*arrays, k1=k1, k2=k2, lambda_value=lambda_value)
    assert distances.dtype == np.float32
    assert distances.min() >= -1e-5
    assert distances.max() <= 1 + 1e-5


@settings(deadline=None, max_examples=25)
@given(embeddings())
def test_the_number_of_threads_changes_nothing(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_array_equal(
        k_reciprocal_distances(*arrays, threads=1), k_reciprocal_distances(*arrays, threads=3)
    )
