"""Embeddings: `float32 [image, feature]` of unit length, compared by cosine distance `1 - a·b` in 0..2."""

import numpy as np
from jaxtyping import Float, Float32, Real


def unit_length(vectors: Real[np.ndarray, "*any feature"]) -> Float32[np.ndarray, "*any feature"]:
    """Scale `vectors` to length 1; a zero vector stays zero.

    Example:
        >>> unit_length(np.array([[3.0, 4.0]]))
        array([[0.6, 0.8]], dtype=float32)
    """
    vectors = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def cosine_distances(
    queries: Float[np.ndarray, "query feature"], gallery: Float[np.ndarray, "gallery feature"]
) -> Float32[np.ndarray, "query gallery"]:
    """Cosine distances, in 0..2, between queries and gallery items of unit length."""
    return 1 - np.asarray(queries, np.float32) @ np.asarray(gallery, np.float32).T
