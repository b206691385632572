"""Retrieval scores against torchreid's `evaluate_rank` and scikit-learn's average precision."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from evaluation.retrieval import evaluate_retrieval

pytestmark = pytest.mark.filterwarnings("ignore:Cython evaluation")


def random_gallery(seed: int, query: int, gallery: int, num_identities: int) -> tuple[np.ndarray, ...]:
    """Distances without ties, and identities and cameras of queries and gallery."""
    rng = np.random.default_rng(seed)
    distances = rng.permutation(query * gallery).reshape(query, gallery).astype(np.float32)
    identities = rng.integers(1, num_identities + 1, query), rng.integers(1, num_identities + 1, gallery)
    return distances, *identities, rng.integers(1, 4, query), rng.integers(1, 4, gallery)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("query", "gallery", "num_identities"), [(3, 7, 2), (40, 300, 12), (60, 90, 60)])
def test_scores_equal_torchreid(seed: int, query: int, gallery: int, num_identities: int) -> None:
    from torchreid.reid.metrics.rank import evaluate_rank

    arrays = random_gallery(seed, query, gallery, num_identities)
    # torchreid stacks rows of unequal length unless the rank limit is below every kept gallery
    max_rank = min(50, gallery // 3)
    cmc, mean_average_precision = evaluate_rank(*arrays, max_rank=max_rank, use_cython=False)
    scores = evaluate_retrieval(*arrays)
    assert scores.mean_average_precision == pytest.approx(mean_average_precision, abs=1e-6)
    np.testing.assert_allclose(scores.cmc[:max_rank], cmc, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_each_average_precision_equals_scikit_learn(seed: int) -> None:
    distances, query_identities, identities, _, _ = random_gallery(seed, 10, 200, 5)
    no_camera = np.zeros(10, np.int64), np.ones(200, np.int64)
    scores = evaluate_retrieval(distances, query_identities, identities, *no_camera)
    expected = [
        average_precision_score(identities == identity, -row)
        for row, identity in zip(distances, query_identities, strict=True)
    ]
    np.testing.assert_allclose(scores.average_precisions, expected, atol=1e-12)


def test_the_comparison_would_notice_a_reversed_ranking() -> None:
    from torchreid.reid.metrics.rank import evaluate_rank

    distances, *labels = random_gallery(0, 40, 300, 12)
    _, mean_average_precision = evaluate_rank(distances, *labels, use_cython=False)
    assert evaluate_retrieval(-distances, *labels).mean_average_precision != pytest.approx(
        mean_average_precision, abs=1e-3
    )


def test_shuffled_identities_fall_to_chance() -> None:
    """A gallery that answers almost perfectly is worth nothing once identities are dealt anew."""
    rng = np.random.default_rng(0)
    identities, cameras = np.repeat(np.arange(1, 51), 8), np.tile([1, 2], 200)
    centres = rng.normal(size=(51, 16))
    features = centres[identities] + rng.normal(scale=0.3, size=(400, 16))
    distances = ((features[:, None] - features[None]) ** 2).sum(-1)
    trained = evaluate_retrieval(distances, identities, identities, cameras, cameras)
    shuffled = rng.permutation(identities)
    chance = evaluate_retrieval(distances, shuffled, shuffled, cameras, cameras)
    assert trained.mean_average_precision > 0.95
    assert chance.mean_average_precision < 0.05
