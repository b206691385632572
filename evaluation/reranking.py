"""Re-ranking by k-reciprocal nearest neighbours (Zhong et al. 2017, CVPR), exact, in memory that grows with neighbours.

Two crops of one person tend to have each other, and each other's neighbours, among their nearest. So each item is
encoded as a sparse vector over its reciprocal neighbours, and the new distance mixes the Jaccard distance of these
vectors with the original one. The dense `all x all` matrices of the usual implementations never exist.

Only NumPy, numba and SciPy: the service imports this module.
"""

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from domain.compiled import compiled
from domain.errors import InputError, require_shape
from evaluation.neighbours.exact import FindNearest, Nearest, nearest_neighbours
from evaluation.neighbours.row_threads import for_row_ranges

_LENGTH_TOLERANCE = 0.01  # embeddings that were stored in half precision pass


def k_reciprocal_distances(
    query: np.ndarray,
    gallery: np.ndarray,
    *,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    threads: int | None = None,
    find_nearest: FindNearest = nearest_neighbours,
) -> np.ndarray:
    """Re-ranked distances `float32 [query, gallery]` in 0..1, smaller is nearer.

    Equals torchreid's `re_ranking` on the base distance `1 - cosine` to 1e-5. As there, base distances are squared
    and each item's row is divided by its largest. Ties keep their order, queries before gallery (torchreid leaves
    theirs to an unstable sort). Where all items together are not more than k1, each is a neighbour of each, and k1
    and k2 act as if they were the number of items. If all items are equal, every original distance counts as 0.

    Cost: (query + gallery)² · feature floating point operations for the base distances, of which each tile is
    computed once and used for its rows and its columns; 8 bytes for each of the (query + gallery) · (k1 + 1)
    neighbours and about 16 for each non-zero of the encoding (50 to 150 an item); and the result itself. At the
    study's size, 3,441 × 16,441 × 512, these products are 2.0e11 operations and took 1.25 s of
    2.68 s on two cores, as `benchmarks.retrieval` prints.

    Args:
        query: `[query, feature]`, unit length.
        gallery: `[gallery, feature]`, unit length.
        k1: neighbours to consider reciprocal.
        k2: nearest items whose encodings are averaged; 1 leaves each as it is.
        lambda_value: share of the original distance, 0..1; at 1 the original order stays.
        threads: default: one a core.
        find_nearest: searches the neighbours, the largest part of the work; see `evaluation.neighbours.on_gpu`.

    Raises:
        InputError: if embeddings do not fit or are not of unit length, or an option is out of range.

    Example:
        >>> a, b = np.eye(2, dtype=np.float32)
        >>> k_reciprocal_distances(np.stack([a]), np.stack([b, a]), k1=1, k2=1).round(3)
        array([[1., 0.]], dtype=float32)
    """
    _check(query, gallery, k1, k2, lambda_value)
    everyone = np.concatenate([query, gallery]).astype(np.float32, copy=False)
    num_neighbours = min(max(k1 + 1, k2), len(everyone))
    nearest, distances = find_nearest(everyone, len(query), num_neighbours)
    encoding = _encode(everyone, nearest, k1, threads)
    if k2 > 1:
        encoding = _average_over_nearest(encoding, nearest.items[:, :k2])
    of_queries, of_gallery = encoding[: len(query)], csc_matrix(encoding[len(query) :])
    for_row_ranges(
        _mix_distances,
        len(query),
        (of_queries.indptr, of_queries.indices, of_queries.data),
        (of_gallery.indptr, of_gallery.indices, of_gallery.data),
        nearest.farthest,
        np.float32(lambda_value),
        distances,
        threads=threads,
    )
    return distances


def rerank_candidates(
    query: np.ndarray, candidates: np.ndarray, *, k1: int = 20, k2: int = 6, lambda_value: float = 0.3
) -> np.ndarray:
    """Re-ranked distances of a search's candidates alone: neighbours are sought among them and the query.

    So the cost depends on the candidates and not on the store they come from; it runs in the calling thread. Several
    photos of the person asked for are neighbours of each other, too.

    Args:
        query: one photo `[feature]` or several `[photo, feature]`, unit length.
        candidates: `[candidate, feature]`, unit length.
        k1: as in `k_reciprocal_distances`, and so are k2 and lambda_value.
        k2: see k1.
        lambda_value: see k1.

    Returns:
        float32 `[candidate]` for one photo, `[photo, candidate]` for several.

    Raises:
        InputError: as `k_reciprocal_distances`.
    """
    distances = k_reciprocal_distances(
        np.atleast_2d(query), candidates, k1=k1, k2=k2, lambda_value=lambda_value, threads=1
    )
    return distances[0] if np.ndim(query) == 1 else distances


def _check(query: np.ndarray, gallery: np.ndarray, k1: int, k2: int, lambda_value: float) -> None:
    require_shape("query", query, (None, None))
    require_shape("gallery", gallery, (None, query.shape[1]))
    if not len(query) or not len(gallery):
        raise InputError(f"query and gallery must not be empty, got {len(query)} and {len(gallery)} embeddings")
    if k1 < 1 or k2 < 1:
        raise InputError(f"k1 and k2 must be at least 1, got {k1} and {k2}")
    if not 0 <= lambda_value <= 1:
        raise InputError(f"lambda_value must be from 0 to 1, got {lambda_value}")
    for name, embeddings in (("query", query), ("gallery", gallery)):
        lengths = np.sqrt(np.einsum("if,if->i", embeddings, embeddings, dtype=np.float32))
        wrong = ~(np.abs(lengths - 1) <= _LENGTH_TOLERANCE)
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            raise InputError(f"{name} embeddings must have unit length, got {lengths[place]:.4f} at {place}")


def _encode(everyone: np.ndarray, nearest: Nearest, k1: int, threads: int | None) -> csr_matrix:
    """Each item as weights over its expanded reciprocal neighbours, `[all, all]`, rows sum to 1 (eq. 3 to 5)."""
    sets = _reciprocal_sets(nearest.items, k1, threads)
    halves = _reciprocal_sets(nearest.items, round(k1 / 2), threads)
    ends = np.zeros(len(everyone) + 1, np.int64)
    for_row_ranges(_count_expanded, len(everyone), *sets, *halves, ends[1:], threads=threads)
    np.cumsum(ends, out=ends)
    members, weights = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.float32)
    for_row_ranges(
        _weigh_expanded, len(everyone), *sets, *halves, everyone, nearest.farthest, ends, members, weights,
        threads=threads,
    )  # fmt: skip
    return csr_matrix((weights, members, ends), shape=(len(everyone), len(everyone)))


def _reciprocal_sets(items: np.ndarray, k: int, threads: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The set R(item, k) of eq. 2 for every item: members `int32 [all, k + 1]`, nearest first, and how many."""
    forward = np.ascontiguousarray(items[:, : k + 1])
    members, counts = np.empty_like(forward), np.zeros(len(items), np.int64)
    for_row_ranges(_keep_reciprocal, len(items), forward, members, counts, threads=threads)
    return members, counts


def _average_over_nearest(encoding: csr_matrix, items: np.ndarray) -> csr_matrix:
    """Local query expansion (eq. 9): the mean encoding of each item's nearest."""
    count, width = items.shape
    shares = np.full(items.size, 1 / width, np.float32)
    average = csr_matrix((shares, items.ravel(), np.arange(0, items.size + 1, width)), shape=(count, count))
    averaged = average @ encoding
    averaged.sort_indices()
    return averaged


@compiled(nogil=True)
def _keep_reciprocal(start: int, stop: int, forward: np.ndarray, members: np.ndarray, counts: np.ndarray) -> None:
    for item in range(start, stop):
        for neighbour in forward[item]:
            for back in forward[neighbour]:
                if back == item:
                    members[item, counts[item]] = neighbour
                    counts[item] += 1
                    break


@compiled(nogil=True)
def _expanded(
    item: int, members: np.ndarray, counts: np.ndarray, half_members: np.ndarray, half_counts: np.ndarray
) -> np.ndarray:
    """The set R*(item, k1) of eq. 3, ascending: reciprocal sets of members that lie mostly inside are joined."""
    own = members[item, : counts[item]]
    gathered = np.empty(len(own) * (half_members.shape[1] + 1), np.int32)
    gathered[: len(own)] = own
    size = len(own)
    for member in own:
        others = half_members[member, : half_counts[member]]
        shared = 0
        for other in others:
            for mine in own:
                if other == mine:
                    shared += 1
                    break
        if 3 * shared > 2 * len(others):
            gathered[size : size + len(others)] = others
            size += len(others)
    return np.unique(gathered[:size])


@compiled(nogil=True)
def _count_expanded(
    start: int,
    stop: int,
    members: np.ndarray,
    counts: np.ndarray,
    half_members: np.ndarray,
    half_counts: np.ndarray,
    sizes: np.ndarray,
) -> None:
    for item in range(start, stop):
        sizes[item] = len(_expanded(item, members, counts, half_members, half_counts))


@compiled(nogil=True)
def _weigh_expanded(
    start: int,
    stop: int,
    members: np.ndarray,
    counts: np.ndarray,
    half_members: np.ndarray,
    half_counts: np.ndarray,
    everyone: np.ndarray,
    farthest: np.ndarray,
    ends: np.ndarray,
    expanded: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Fill `expanded` and `weights` of each item: exp(-distance), divided by their sum."""
    for item in range(start, stop):
        first, last = ends[item], ends[item + 1]
        expanded[first:last] = _expanded(item, members, counts, half_members, half_counts)
        total = np.float32(0)
        for place in range(first, last):
            distance = np.float32(1) - np.dot(everyone[item], everyone[expanded[place]])
            weights[place] = np.exp(-_scaled(distance * distance, farthest[item]))
            total += weights[place]
        weights[first:last] /= total


@compiled(nogil=True)
def _mix_distances(
    start: int,
    stop: int,
    of_queries: tuple[np.ndarray, np.ndarray, np.ndarray],
    of_gallery: tuple[np.ndarray, np.ndarray, np.ndarray],
    farthest: np.ndarray,
    lambda_value: np.float32,
    distances: np.ndarray,
) -> None:
    """Turn squared base distances into final ones (eq. 10 and 12), through an inverted index of the gallery."""
    query_ends, query_members, query_weights = of_queries
    gallery_ends, gallery_items, gallery_weights = of_gallery
    one, two = np.float32(1), np.float32(2)
    overlaps = np.empty(distances.shape[1], np.float32)
    for query in range(start, stop):
        overlaps[:] = 0
        for place in range(query_ends[query], query_ends[query + 1]):
            member, weight = query_members[place], query_weights[place]
            for entry in range(gallery_ends[member], gallery_ends[member + 1]):
                overlaps[gallery_items[entry]] += min(weight, gallery_weights[entry])
        for item in range(distances.shape[1]):
            jaccard = one - overlaps[item] / (two - overlaps[item])
            original = _scaled(distances[query, item], farthest[query])
            distances[query, item] = jaccard * (one - lambda_value) + original * lambda_value


@compiled(nogil=True)
def _scaled(squared: np.float32, farthest: np.float32) -> np.float32:
    return squared / farthest if farthest > 0 else np.float32(0)
