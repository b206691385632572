"""Exact nearest neighbours by squared cosine distance, tile by tile, so that no full distance matrix exists."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Int32

from domain.compiled import compiled

_TILE = 1024  # rows and columns of a tile: 4 MB, large enough for the matrix product to run at full speed
_STRIP = 64  # columns compared at once by vector instructions; mostly none of them is a new neighbour


@dataclass(frozen=True)
class Nearest:
    """Neighbours of every item, itself included, nearest first; ties keep the order of items."""

    items: Int32[np.ndarray, "all neighbour"]
    squared: Float32[np.ndarray, "all neighbour"]  # (1 - cosine)²
    farthest: Float32[np.ndarray, " all"]  # largest (1 - cosine)² of the item to any other


# A search with the arguments and results of `nearest_neighbours`.
FindNearest = Callable[
    [Float32[np.ndarray, "all feature"], int, int], tuple[Nearest, Float32[np.ndarray, "query gallery"]]
]


def nearest_neighbours(
    embeddings: Float32[np.ndarray, "all feature"], num_queries: int, num_neighbours: int
) -> tuple[Nearest, Float32[np.ndarray, "query gallery"]]:
    """The nearest items of each embedding, and `(1 - cosine)²` between queries and gallery.

    Each tile of the symmetric matrix updates the neighbours of its rows and of its columns, so half of the products
    suffice. They run in BLAS's threads; the updates take a tenth of that time and run in one thread.

    Args:
        embeddings: unit length, queries before gallery.
        num_queries: number of queries at the start of `embeddings`.
        num_neighbours: neighbours for each item, itself included; at most the number of items.
    """
    count = len(embeddings)
    nearest = Nearest(
        items=np.zeros((count, num_neighbours), np.int32),
        squared=np.full((count, num_neighbours), np.inf, np.float32),
        farthest=np.zeros(count, np.float32),
    )
    arrays = nearest.items, nearest.squared, nearest.farthest
    query_gallery = np.empty((num_queries, count - num_queries), np.float32)
    edges = [
        *range(0, num_queries, _TILE),
        *range(num_queries, count, _TILE),
        count,
    ]  # no tile holds both queries and gallery
    spans = list(pairwise(edges))
    for number, (top, bottom) in enumerate(spans):
        for left, right in spans[number:]:
            tile = embeddings[top:bottom] @ embeddings[left:right].T
            _update_neighbours(tile, top, left, *arrays)
            if top < num_queries <= left:
                query_gallery[top:bottom, left - num_queries : right - num_queries] = tile
    return nearest, query_gallery


@compiled(nogil=True, fastmath={"nnan", "nsz"})  # without them a maximum is not vectorised
def _update_neighbours(
    tile: Float32[np.ndarray, "row column"],
    top: int,
    left: int,
    items: Int32[np.ndarray, "all neighbour"],
    squared: Float32[np.ndarray, "all neighbour"],
    farthest: Float32[np.ndarray, " all"],
) -> None:
    """Update the neighbour lists of the rows and, off the diagonal, of the columns.

    The tile's cosines become squared distances in place. Tiles come in the order of items, so a neighbour at an equal
    distance is inserted behind.
    """
    num_columns, last = tile.shape[1], squared.shape[1] - 1
    column_limits = np.full(num_columns, np.float32(-1))
    if left > top:
        column_limits[:] = squared[left : left + num_columns, last]
    column_farthest = farthest[left : left + num_columns]
    for row in range(len(tile)):
        item, line = top + row, tile[row]
        limit, largest = squared[item, last], farthest[item]
        for start in range(0, num_columns, _STRIP):
            stop = min(start + _STRIP, num_columns)
            num_nearer = 0
            for column in range(start, stop):
                distance = np.float32(1) - line[column]
                distance *= distance
                line[column] = distance
                num_nearer += (distance < limit) | (distance < column_limits[column])
                largest = max(largest, distance)
                column_farthest[column] = max(column_farthest[column], distance)
            if num_nearer:
                for column in range(start, stop):
                    if line[column] < limit:
                        limit = _insert(line[column], left + column, squared[item], items[item])
                    if line[column] < column_limits[column]:
                        other = left + column
                        column_limits[column] = _insert(line[column], item, squared[other], items[other])
        farthest[item] = max(farthest[item], largest)


@compiled(nogil=True)
def _insert(
    distance: np.float32,
    item: int,
    squared: Float32[np.ndarray, " neighbour"],
    items: Int32[np.ndarray, " neighbour"],
) -> np.float32:
    """Insert `item` into a sorted neighbour list in place of the last one; returns the distance of the new last one."""
    slot = len(squared) - 1
    while slot > 0 and squared[slot - 1] > distance:
        squared[slot], items[slot] = squared[slot - 1], items[slot - 1]
        slot -= 1
    squared[slot], items[slot] = distance, item
    return squared[-1]
