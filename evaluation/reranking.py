"""Re-ranking by k-reciprocal nearest neighbours (Zhong et al. 2017, CVPR), exact, without dense matrices of all pairs.

Two crops of one person tend to have each other, and each other's neighbours, among their nearest neighbours. So each
item is encoded as a sparse vector over its reciprocal neighbours, and the new distance mixes the Jaccard distance of
these vectors with the original distance. Memory grows with the number of neighbours.

The service imports this module, so it needs NumPy, numba and SciPy only.
"""

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64
from scipy.sparse import csc_matrix, csr_matrix

from domain.compiled import compiled
from domain.errors import InputError, require_shape
from evaluation.neighbours.exact import FindNearest, Nearest, nearest_neighbours
from evaluation.neighbours.row_threads import for_row_ranges

_LENGTH_TOLERANCE = 0.01  # accepts embeddings that were stored in half precision


def k_reciprocal_distances(
    query: Float[np.ndarray, "query feature"],
    gallery: Float[np.ndarray, "gallery feature"],
    *,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    threads: int | None = None,
    find_nearest: FindNearest = nearest_neighbours,
) -> Float32[np.ndarray, "query gallery"]:
    """Re-ranked distances in 0..1; smaller is nearer.

    Equals torchreid's `re_ranking` on the base distance `1 - cosine` to 1e-5. As there, base distances are squared
    and each item's row is divided by its maximum. Ties keep their order, queries before gallery (torchreid's sort is
    unstable). With at most k1 items in all, every item is a neighbour of every other, and k1 and k2 act as the number
    of items. If all items are equal, every original distance counts as 0.

    Cost: (query + gallery)² · feature floating point operations for the base distances, each tile computed once for
    its rows and its columns; 8 bytes for each of the (query + gallery) · (k1 + 1) neighbours and about 16 for each
    non-zero of the encoding (50 to 150 an item); and the result. At the study's size, 3,441 × 16,441 × 512, these
    products are 2.0e11 operations and took 1.25 s of 2.68 s on two cores, as `benchmarks.retrieval` prints.

    Args:
        query: unit length.
        gallery: unit length.
        k1: number of neighbours that must be reciprocal.
        k2: number of nearest items whose encodings are averaged; 1 averages nothing.
        lambda_value: weight of the original distance, 0..1; at 1 the original order stays.
        threads: number of threads; default: one for each core.
        find_nearest: the search of neighbours, the largest part of the work; see `evaluation.neighbours.on_gpu`.

    Raises:
        InputError: if the shapes do not fit, embeddings are not of unit length, or an option is out of range.

    Example:
        >>> a, b = np.eye(2, dtype=np.float32)
        >>> k_reciprocal_distances(np.stack([a]), np.stack([b, a]), k1=1, k2=1).round(3)
        array([[1., 0.]], dtype=float32)
    """
    _check(query, gallery, k1, k2, lambda_value)
    embeddings = np.concatenate([query, gallery]).astype(np.float32, copy=False)
    num_neighbours = min(max(k1 + 1, k2), len(embeddings))
    nearest, distances = find_nearest(embeddings, len(query), num_neighbours)
    encoding = _encode(embeddings, nearest, k1, threads)
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
    query: Float[np.ndarray, "*photo feature"],
    candidates: Float[np.ndarray, "candidate feature"],
    *,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
) -> Float32[np.ndarray, "*photo candidate"]:
    """Re-ranked distances between one photo or several photos and the candidates of a search, in 0..1.

    Neighbours come from the candidates and the photos alone, so the cost does not depend on the size of the store.
    Several photos are neighbours of each other, too. The calling thread does the work.

    Args:
        query: unit length.
        candidates: unit length.
        k1: see `k_reciprocal_distances`.
        k2: see `k_reciprocal_distances`.
        lambda_value: see `k_reciprocal_distances`.

    Raises:
        InputError: under the conditions of `k_reciprocal_distances`.
    """
    distances = k_reciprocal_distances(
        np.atleast_2d(query), candidates, k1=k1, k2=k2, lambda_value=lambda_value, threads=1
    )
    return distances[0] if np.ndim(query) == 1 else distances


def _check(
    query: Float[np.ndarray, "query feature"],
    gallery: Float[np.ndarray, "gallery feature"],
    k1: int,
    k2: int,
    lambda_value: float,
) -> None:
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


def _encode(
    embeddings: Float32[np.ndarray, "all feature"], nearest: Nearest, k1: int, threads: int | None
) -> csr_matrix:
    """Weights of each item over its expanded reciprocal neighbours, `[all, all]`; rows sum to 1 (eq. 3 to 5)."""
    sets = _reciprocal_sets(nearest.items, k1, threads)
    halves = _reciprocal_sets(nearest.items, round(k1 / 2), threads)
    ends = np.zeros(len(embeddings) + 1, np.int64)
    for_row_ranges(_count_expanded, len(embeddings), *sets, *halves, ends[1:], threads=threads)
    np.cumsum(ends, out=ends)
    members, weights = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.float32)
    for_row_ranges(
        _weigh_expanded, len(embeddings), *sets, *halves, embeddings, nearest.farthest, ends, members, weights,
        threads=threads,
    )  # fmt: skip
    return csr_matrix((weights, members, ends), shape=(len(embeddings), len(embeddings)))


def _reciprocal_sets(
    items: Int32[np.ndarray, "all neighbour"], k: int, threads: int | None
) -> tuple[Int32[np.ndarray, "all member"], Int64[np.ndarray, " all"]]:
    """The set R(item, k) of eq. 2 for every item: its members, nearest first, and their number."""
    forward = np.ascontiguousarray(items[:, : k + 1])
    members, counts = np.empty_like(forward), np.zeros(len(items), np.int64)
    for_row_ranges(_keep_reciprocal, len(items), forward, members, counts, threads=threads)
    return members, counts


def _average_over_nearest(encoding: csr_matrix, items: Int32[np.ndarray, "all neighbour"]) -> csr_matrix:
    """Local query expansion (eq. 9): the mean encoding of each item's nearest neighbours."""
    count, width = items.shape
    shares = np.full(items.size, 1 / width, np.float32)
    average = csr_matrix((shares, items.ravel(), np.arange(0, items.size + 1, width)), shape=(count, count))
    averaged = average @ encoding
    averaged.sort_indices()
    return averaged


@compiled(nogil=True)
def _keep_reciprocal(
    start: int,
    stop: int,
    forward: Int32[np.ndarray, "all member"],
    members: Int32[np.ndarray, "all member"],
    counts: Int64[np.ndarray, " all"],
) -> None:
    for item in range(start, stop):
        for neighbour in forward[item]:
            for back in forward[neighbour]:
                if back == item:
                    members[item, counts[item]] = neighbour
                    counts[item] += 1
                    break


@compiled(nogil=True)
def _expanded(
    item: int,
    members: Int32[np.ndarray, "all member"],
    counts: Int64[np.ndarray, " all"],
    half_members: Int32[np.ndarray, "all half"],
    half_counts: Int64[np.ndarray, " all"],
) -> Int32[np.ndarray, " expanded"]:
    """The set R*(item, k1) of eq. 3, ascending: joined with the members' own sets that lie mostly inside."""
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
    members: Int32[np.ndarray, "all member"],
    counts: Int64[np.ndarray, " all"],
    half_members: Int32[np.ndarray, "all half"],
    half_counts: Int64[np.ndarray, " all"],
    sizes: Int64[np.ndarray, " all"],
) -> None:
    for item in range(start, stop):
        sizes[item] = len(_expanded(item, members, counts, half_members, half_counts))


@compiled(nogil=True)
def _weigh_expanded(
    start: int,
    stop: int,
    members: Int32[np.ndarray, "all member"],
    counts: Int64[np.ndarray, " all"],
    half_members: Int32[np.ndarray, "all half"],
    half_counts: Int64[np.ndarray, " all"],
    embeddings: Float32[np.ndarray, "all feature"],
    farthest: Float32[np.ndarray, " all"],
    ends: Int64[np.ndarray, " all+1"],
    expanded: Int32[np.ndarray, " non_zero"],
    weights: Float32[np.ndarray, " non_zero"],
) -> None:
    """Fill `expanded` and `weights` of each item: exp(-distance), divided by the item's sum."""
    for item in range(start, stop):
        first, last = ends[item], ends[item + 1]
        expanded[first:last] = _expanded(item, members, counts, half_members, half_counts)
        total = np.float32(0)
        for place in range(first, last):
            distance = np.float32(1) - np.dot(embeddings[item], embeddings[expanded[place]])
            weights[place] = np.exp(-_scaled(distance * distance, farthest[item]))
            total += weights[place]
        weights[first:last] /= total


@compiled(nogil=True)
def _mix_distances(
    start: int,
    stop: int,
    of_queries: tuple[np.ndarray, np.ndarray, np.ndarray],
    of_gallery: tuple[np.ndarray, np.ndarray, np.ndarray],
    farthest: Float32[np.ndarray, " all"],
    lambda_value: np.float32,
    distances: Float32[np.ndarray, "query gallery"],
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
