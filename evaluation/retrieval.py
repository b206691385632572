"""Retrieval scores by the Market-1501 protocol: mean average precision, Rank-k and mINP.

Rules: smaller distances rank first and ties keep gallery order. Crops of the query's identity in the query's camera are
removed, and so is junk (identity -1); a distractor (identity 0) stays and is never a match. A query without a match in
the remaining gallery is left out of every mean and counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int, Int64, Real

from domain.compiled import compiled
from domain.errors import InputError, require_shape
from evaluation.neighbours.row_threads import for_row_ranges

JUNK, _DISTRACTOR = -1, 0  # identities


@dataclass(frozen=True)
class RetrievalScores:
    """Scores of a ranking; fractions in 0..1."""

    mean_average_precision: float
    cmc: Float64[np.ndarray, " gallery"]  # Rank-k at index k - 1
    mean_inverse_negative_penalty: float  # mean of matches / rank of the last match (Ye et al. 2021)
    average_precisions: Float64[np.ndarray, " query"]  # NaN for a query without a match
    inverse_negative_penalties: Float64[np.ndarray, " query"]  # NaN for a query without a match
    first_ranks: Int64[np.ndarray, " query"]  # rank of the first match, from 1; 0 for a query without a match
    num_valid_queries: int  # that have a match

    def rank(self, k: int) -> float:
        """Rank-k: share of queries with a match among the first `k`; with `k` beyond the gallery, the last value."""
        return float(self.cmc[min(k, len(self.cmc)) - 1])


def evaluate_retrieval(
    distances: Real[np.ndarray, "query gallery"],
    query_identities: Int[np.ndarray, " query"],
    gallery_identities: Int[np.ndarray, " gallery"],
    query_cameras: Int[np.ndarray, " query"],
    gallery_cameras: Int[np.ndarray, " gallery"],
) -> RetrievalScores:
    """Scores of a distance matrix; equals torchreid's `evaluate_rank` to 1e-6.

    The gallery is never sorted: the rank of a match is the number of nearer items, counted by a search among the
    query's few matches. So a query costs O(gallery log matches), and no copy of `distances` is made.

    Args:
        distances: smaller is nearer.
        query_identities: a junk or distractor query has no match.
        gallery_identities: -1 junk, 0 distractor.
        query_cameras: camera of each query.
        gallery_cameras: camera of each gallery crop.

    Raises:
        InputError: if the shapes do not fit, a distance is NaN, or no query has a match.

    Example:
        >>> scores = evaluate_retrieval(
        ...     np.array([[0.1, 0.2, 0.3]]), np.array([5]), np.array([5, 7, 5]), np.array([1]), np.array([2, 2, 2])
        ... )
        >>> round(scores.mean_average_precision, 4), scores.rank(1), round(scores.mean_inverse_negative_penalty, 4)
        (0.8333, 1.0, 0.6667)
    """
    queries = _identified("query", distances.shape[0], query_identities, query_cameras)
    gallery = _identified("gallery", distances.shape[-1], gallery_identities, gallery_cameras)
    require_shape("distances", distances, (len(queries), len(gallery)))
    if distances.size and np.isnan(distances.min()):
        raise InputError("distances must be numbers, got NaN; check the embeddings they come from")
    if not np.issubdtype(distances.dtype, np.floating) or distances.dtype.itemsize < 4:
        distances = distances.astype(np.float32)
    distances = np.ascontiguousarray(distances)
    average_precisions = np.full(len(queries), np.nan)
    penalties = np.full(len(queries), np.nan)
    first_ranks = np.zeros(len(queries), np.int64)
    for_row_ranges(
        _score_queries, len(queries), distances, queries, gallery, average_precisions, penalties, first_ranks
    )
    valid = first_ranks > 0
    if not valid.any():
        raise InputError(
            f"at least one query must have a match in another camera, got none among {len(queries)} queries "
            f"and {len(gallery)} gallery items; check identities and cameras"
        )
    matches_at = np.bincount(first_ranks[valid], minlength=len(gallery) + 1)[1:]
    return RetrievalScores(
        mean_average_precision=float(average_precisions[valid].mean()),
        cmc=np.cumsum(matches_at) / valid.sum(),
        mean_inverse_negative_penalty=float(penalties[valid].mean()),
        average_precisions=average_precisions,
        inverse_negative_penalties=penalties,
        first_ranks=first_ranks,
        num_valid_queries=int(valid.sum()),
    )


def camera_pair_precision(
    distances: Real[np.ndarray, "query gallery"],
    query_identities: Int[np.ndarray, " query"],
    gallery_identities: Int[np.ndarray, " gallery"],
    query_cameras: Int[np.ndarray, " query"],
    gallery_cameras: Int[np.ndarray, " gallery"],
    cameras: Sequence[int],
) -> Float64[np.ndarray, "camera camera"]:
    """Mean average precision of the queries of each camera (row) in the gallery of each other one (column).

    Both follow `cameras`; NaN where no query of the pair has a match, as within one camera.
    """
    table = np.full((len(cameras), len(cameras)), np.nan)
    for row, query_camera in enumerate(cameras):
        queries = np.flatnonzero(query_cameras == query_camera)
        for column, gallery_camera in enumerate(cameras):
            gallery = np.flatnonzero(gallery_cameras == gallery_camera)
            matchable = np.intersect1d(query_identities[queries], gallery_identities[gallery])
            if query_camera == gallery_camera or not (matchable > _DISTRACTOR).any():
                continue
            table[row, column] = evaluate_retrieval(
                distances[np.ix_(queries, gallery)],
                query_identities[queries],
                gallery_identities[gallery],
                query_cameras[queries],
                gallery_cameras[gallery],
            ).mean_average_precision
    return table


def _identified(
    name: str, size: int, identities: Int[np.ndarray, " item"], cameras: Int[np.ndarray, " item"]
) -> Int64[np.ndarray, "item 2"]:
    """Identity and camera of each item."""
    require_shape(f"{name}_identities", np.asarray(identities), (size,))
    require_shape(f"{name}_cameras", np.asarray(cameras), (size,))
    return np.stack([identities, cameras], axis=1).astype(np.int64)


@compiled(nogil=True)
def _score_queries(
    start: int,
    stop: int,
    distances: Float[np.ndarray, "query gallery"],
    queries: Int64[np.ndarray, "query 2"],
    gallery: Int64[np.ndarray, "gallery 2"],
    average_precisions: Float64[np.ndarray, " query"],
    penalties: Float64[np.ndarray, " query"],
    first_ranks: Int64[np.ndarray, " query"],
) -> None:
    """Fill the last three arrays for the queries from `start` to `stop`."""
    for query in range(start, stop):
        identity, camera = queries[query]
        if identity in (JUNK, _DISTRACTOR):
            continue
        matches = np.flatnonzero((gallery[:, 0] == identity) & (gallery[:, 1] != camera))
        if len(matches) == 0:
            continue
        row = distances[query]
        matches = matches[np.argsort(row[matches], kind="mergesort")]
        ranks = np.cumsum(_nearer_than_each(row, gallery, identity, matches)) + np.arange(1, len(matches) + 1)
        precision = 0.0
        for matches_before, rank in enumerate(ranks):
            precision += (matches_before + 1) / rank
        average_precisions[query] = precision / len(matches)
        penalties[query] = len(matches) / ranks[-1]
        first_ranks[query] = ranks[0]


@compiled(nogil=True)
def _nearer_than_each(
    row: Float[np.ndarray, " gallery"],
    gallery: Int64[np.ndarray, "gallery 2"],
    identity: int,
    matches: Int64[np.ndarray, " match"],
) -> Int64[np.ndarray, " match"]:
    """Number of wrong items that rank between each match and the match before it; matches come nearest first."""
    counts = np.zeros(len(matches), np.int64)
    match_distances = row[matches]
    farthest = match_distances[-1]
    for item in range(len(row)):
        distance = row[item]
        if distance > farthest or gallery[item, 0] == identity or gallery[item, 0] == JUNK:
            continue
        place = np.searchsorted(match_distances, distance)
        while place < len(matches) and match_distances[place] == distance and matches[place] < item:
            place += 1
        if place < len(matches):
            counts[place] += 1
    return counts
