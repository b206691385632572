"""Embeddings: `float32 [image, feature]` of unit length, compared by cosine distance `1 - a·b` in 0..2."""

import numpy as np


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Scale `vectors` `[…, feature]` to length 1, float32; a zero vector stays zero.

    Example:
        >>> unit_length(np.array([[3.0, 4.0]]))
        array([[0.6, 0.8]], dtype=float32)
    """
    vectors = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def cosine_distances(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Cosine distance of unit-length queries to unit-length gallery items, `float32 [query, gallery]` in 0..2."""
    return 1 - np.asarray(queries, np.float32) @ np.asarray(gallery, np.float32).T
