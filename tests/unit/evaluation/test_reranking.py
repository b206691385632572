"""Re-ranking by k-reciprocal neighbours on a few embeddings."""

import threading
from typing import Any

import numpy as np
import pytest

from domain.embeddings import cosine_distances, unit_length
from domain.errors import InputError
from evaluation.neighbours.exact import nearest_neighbours
from evaluation.reranking import k_reciprocal_distances, rerank_candidates


def random_embeddings(seed: int, count: int, feature: int = 8) -> np.ndarray:
    return unit_length(np.random.default_rng(seed).normal(size=(count, feature)))


def test_a_reciprocal_neighbour_overtakes_a_nearer_stranger() -> None:
    """The stranger is nearer to the query but has a crowd of its own; the match shares the query's neighbour."""
    query_angle, stranger, crowd, shared, match = 0.0, 9.0, [9.1, 9.2, 9.3], -4.9, -10.0
    angles = np.deg2rad([query_angle, stranger, *crowd, shared, match])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    plain = cosine_distances(points[:1], points[1:])[0]
    reranked = k_reciprocal_distances(points[:1], points[1:], k1=2, k2=1, lambda_value=0.0)[0]
    assert plain[0] < plain[-1]
    assert reranked[0] > reranked[-1]


def test_lambda_one_is_the_squared_distance_over_the_farthest_of_all() -> None:
    query, gallery = random_embeddings(0, 3), random_embeddings(1, 10)
    squared = cosine_distances(query, np.concatenate([query, gallery])) ** 2
    expected = (squared / squared.max(axis=1, keepdims=True))[:, 3:]
    np.testing.assert_allclose(k_reciprocal_distances(query, gallery, lambda_value=1.0), expected, atol=1e-6)


def test_a_gallery_smaller_than_k1_makes_everybody_everybodys_neighbour() -> None:
    """Then k1 acts as if it were the number of items."""
    query, gallery = random_embeddings(0, 2), random_embeddings(1, 5)
    np.testing.assert_array_equal(
        k_reciprocal_distances(query, gallery, k1=20, k2=6), k_reciprocal_distances(query, gallery, k1=1000, k2=6)
    )


def test_equal_embeddings_are_at_distance_nought() -> None:
    same = np.tile(np.array([[1.0, 0.0]], np.float32), (6, 1))
    np.testing.assert_allclose(k_reciprocal_distances(same[:2], same[2:], k1=2, k2=2), 0, atol=1)
    assert np.isfinite(k_reciprocal_distances(same[:2], same[2:], k1=20, k2=1)).all()


def test_candidates_are_reranked_as_a_gallery_of_their_own() -> None:
    photos, candidates = random_embeddings(0, 2), random_embeddings(1, 40)
    expected = k_reciprocal_distances(photos, candidates, k1=5)
    np.testing.assert_array_equal(rerank_candidates(photos, candidates, k1=5), expected)
    np.testing.assert_array_equal(
        rerank_candidates(photos[0], candidates), k_reciprocal_distances(photos[:1], candidates)[0]
    )


def test_requests_may_be_reranked_at_the_same_moment() -> None:
    query, gallery = random_embeddings(0, 5), random_embeddings(1, 200)
    expected = k_reciprocal_distances(query, gallery)
    answers: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: answers.append(k_reciprocal_distances(query, gallery, threads=2)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)


def test_neighbours_over_several_tiles_equal_a_full_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.neighbours.exact._TILE", 32)
    everyone = random_embeddings(0, 150)
    nearest, query_gallery = nearest_neighbours(everyone, 40, 7)
    squared = cosine_distances(everyone, everyone) ** 2
    np.testing.assert_array_equal(nearest.items, np.argsort(squared, axis=1, kind="stable")[:, :7])
    np.testing.assert_allclose(nearest.farthest, squared.max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(query_gallery, squared[:40, 40:], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k1": 0}, "k1 and k2 must be at least 1, got 0 and 6"),
        ({"k2": 0}, "k1 and k2 must be at least 1, got 20 and 0"),
        ({"lambda_value": 1.5}, "lambda_value must be from 0 to 1, got 1.5"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        k_reciprocal_distances(random_embeddings(0, 2), random_embeddings(1, 5), **options)


def test_embeddings_that_are_not_of_unit_length_are_refused() -> None:
    gallery = random_embeddings(1, 5)
    gallery[3] *= 2
    with pytest.raises(InputError, match=r"gallery embeddings must have unit length, got 2\.0000 at 3"):
        k_reciprocal_distances(random_embeddings(0, 2), gallery)


@pytest.mark.usefixtures("unchecked_arrays")
def test_embeddings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"gallery must have shape \(any, 8\), got \(5, 4\)"):
        k_reciprocal_distances(random_embeddings(0, 2), random_embeddings(1, 5, feature=4))
    with pytest.raises(InputError, match=r"query must have shape \(any, any\), got \(8,\)"):
        k_reciprocal_distances(random_embeddings(0, 1)[0], random_embeddings(1, 5))


def test_an_empty_gallery_is_refused() -> None:
    with pytest.raises(InputError, match="query and gallery must not be empty, got 2 and 0 embeddings"):
        k_reciprocal_distances(random_embeddings(0, 2), random_embeddings(1, 5)[:0])
