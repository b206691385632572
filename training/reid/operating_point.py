"""Chooses the match threshold: the cosine distance above which two crops are taken for different people."""

import numpy as np

from domain.embeddings import cosine_distances

_MOST_IMAGES = 3000  # pairs grow with the square, and the threshold of a sample this large is accurate


def best_match_distance(embeddings: np.ndarray, identities: np.ndarray, cameras: np.ndarray) -> float | None:
    """The cosine distance that best separates pairs of the same person from pairs of different people.

    It has the highest sensitivity plus specificity (Youden's index) among pairs from different cameras. `None` if no
    such pair shows the same person, or none different people.

    Args:
        embeddings: float32 `[image, feature]`, unit length.
        identities: integers `[image]`.
        cameras: integers `[image]`.

    Example:
        >>> embeddings = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
        >>> round(best_match_distance(embeddings, np.array([1, 1, 2]), np.array([1, 2, 1])), 3)  # between 0.2 and 0.4
        0.3
    """
    chosen = np.random.default_rng(0).permutation(len(embeddings))[:_MOST_IMAGES]
    embeddings, identities, cameras = embeddings[chosen], identities[chosen], cameras[chosen]
    pairs = np.triu(cameras[:, None] != cameras[None], k=1)
    distances = cosine_distances(embeddings, embeddings)[pairs].astype(np.float64)
    same = (identities[:, None] == identities[None])[pairs]
    if same.all() or not same.any():
        return None
    order = np.argsort(distances, kind="stable")
    distances, same = distances[order], same[order]
    accepted_same = np.cumsum(same) / same.sum()
    accepted_different = np.cumsum(~same) / (~same).sum()
    best = int(np.argmax(accepted_same - accepted_different))
    return float(max(0.0, (distances[best] + distances[min(best + 1, len(distances) - 1)]) / 2))
