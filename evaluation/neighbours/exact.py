"""Exact nearest neighbours by squared cosine distance, tile by tile, so that no full distance matrix exists."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from domain.compiled import compiled

_TILE = 1024  # rows and columns of a tile: 4 MB, large enough for the matrix product to run at full speed
_STRIP = 64  # columns looked at together: mostly none of them is nearer than what is known, and vectors find that out


@dataclass(frozen=True)
class Nearest:
    """Neighbours of every item, itself included, nearest first; ties keep the order of items."""

    items: np.ndarray  # int32 [all, neighbour]
    squared: np.ndarray  # float32 [all, neighbour]: (1 - cosine)²
    farthest: np.ndarray  # float32 [all]: the largest (1 - cosine)² of an item to any


class FindNearest(Protocol):
    """A search such as `nearest_neighbours`."""

    def __call__(self, everyone: np.ndarray, num_queries: int, num_neighbours: int) -> tuple[Nearest, np.ndarray]:
        """See `nearest_neighbours`."""
        ...


def nearest_neighbours(everyone: np.ndarray, num_queries: int, num_neighbours: int) -> tuple[Nearest, np.ndarray]:
    """The `num_neighbours` nearest of each embedding, and `(1 - cosine)²` float32 `[query, gallery]` by the way.

    A tile of the symmetric matrix serves its rows and its columns: half the products suffice. They run in BLAS's
    threads; looking at them takes a tenth of that time, so it is left to one.

    Args:
        everyone: float32 `[all, feature]`, unit length, queries before gallery.
        num_queries: how many of them are queries.
        num_neighbours: at most as many as there are items.
    """
    count = len(everyone)
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
    ]  # no tile crosses from one to other
    spans = list(pairwise(edges))
    for number, (top, bottom) in enumerate(spans):
        for left, right in spans[number:]:
            tile = everyone[top:bottom] @ everyone[left:right].T
            _meet(tile, top, left, *arrays)
            if top < num_queries <= left:
                query_gallery[top:bottom, left - num_queries : right - num_queries] = tile
    return nearest, query_gallery


@compiled(nogil=True, fastmath={"nnan", "nsz"})  # without them a maximum is not found by vectors
def _meet(tile: np.ndarray, top: int, left: int, items: np.ndarray, squared: np.ndarray, farthest: np.ndarray) -> None:
    """Turn the tile's cosines into squared distances; show each row its columns and, off the diagonal, each column its
    rows.

    Tiles come in the order of items, so an equal distance goes behind.
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
def _insert(distance: np.float32, item: int, squared: np.ndarray, items: np.ndarray) -> np.float32:
    """Put `item` into a sorted list whose last it is nearer than, and return the distance of the new last."""
    slot = len(squared) - 1
    while slot > 0 and squared[slot - 1] > distance:
        squared[slot], items[slot] = squared[slot - 1], items[slot - 1]
        slot -= 1
    squared[slot], items[slot] = distance, item
    return squared[-1]
