"""Exact nearest neighbours by squared cosine distance, tile by tile, so that no full distance matrix exists."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numba import njit

from evaluation.row_threads import for_row_ranges

_TILE = 1024  # rows and columns of a tile: 4 MB, large enough for the matrix product to run at full speed
_STRIP = 16  # columns of a tile read at once: one cache line


@dataclass(frozen=True)
class Nearest:
    """Neighbours of every item, itself included, nearest first; ties keep the order of items."""

    items: np.ndarray  # int32 [all, neighbour]
    squared: np.ndarray  # float32 [all, neighbour]: (1 - cosine)²
    farthest: np.ndarray  # float32 [all]: the largest (1 - cosine)² of an item to any


class FindNearest(Protocol):
    """A search such as `nearest_neighbours`."""

    def __call__(
        self, everyone: np.ndarray, num_queries: int, num_neighbours: int, threads: int | None = None
    ) -> tuple[Nearest, np.ndarray]:
        """See `nearest_neighbours`."""
        ...


def nearest_neighbours(
    everyone: np.ndarray, num_queries: int, num_neighbours: int, threads: int | None = None
) -> tuple[Nearest, np.ndarray]:
    """The `num_neighbours` nearest of each embedding, and `(1 - cosine)²` float32 `[query, gallery]` by the way.

    A tile of the symmetric matrix serves its rows and, read across, its columns: half the products suffice.

    Args:
        everyone: float32 `[all, feature]`, unit length, queries before gallery.
        num_queries: how many of them are queries.
        num_neighbours: at most as many as there are items.
        threads: default: one a core.
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
            for_row_ranges(_meet_rows, len(tile), tile, top, left, *arrays, threads=threads)
            if left > top:
                strips = -(-tile.shape[1] // _STRIP)
                for_row_ranges(_meet_columns, strips, tile, top, left, *arrays, threads=threads)
            if top < num_queries <= left:
                query_gallery[top:bottom, left - num_queries : right - num_queries] = tile
    return nearest, query_gallery


@njit(nogil=True, cache=True)
def _meet_rows(
    start: int,
    stop: int,
    tile: np.ndarray,
    top: int,
    left: int,
    items: np.ndarray,
    squared: np.ndarray,
    farthest: np.ndarray,
) -> None:
    """Turn cosines of the tile's rows into squared distances, and show each row its columns."""
    for row in range(start, stop):
        for column in range(tile.shape[1]):
            distance = np.float32(1) - tile[row, column]
            tile[row, column] = distance * distance
        farthest[top + row] = _keep_nearest(tile[row], left, items[top + row], squared[top + row], farthest[top + row])


@njit(nogil=True, cache=True)
def _meet_columns(
    start: int,
    stop: int,
    tile: np.ndarray,
    top: int,
    left: int,
    items: np.ndarray,
    squared: np.ndarray,
    farthest: np.ndarray,
) -> None:
    """Show each column of the strips `start` to `stop` its rows; the tile holds squared distances already."""
    for strip in range(start, stop):
        first = strip * _STRIP
        columns = tile[:, first : first + _STRIP].T.copy()
        for column in range(len(columns)):
            item = left + first + column
            farthest[item] = _keep_nearest(columns[column], top, items[item], squared[item], farthest[item])


@njit(nogil=True, cache=True)
def _keep_nearest(
    distances: np.ndarray, first: int, items: np.ndarray, squared: np.ndarray, farthest: np.float32
) -> np.float32:
    """Insert what is nearer into one item's sorted list, and return its farthest so far.

    Tiles come in the order of items, so an equal distance goes behind.
    """
    last = len(squared) - 1
    limit = squared[last]
    for place in range(len(distances)):
        distance = distances[place]
        farthest = max(farthest, distance)
        if distance < limit:
            slot = last
            while slot > 0 and squared[slot - 1] > distance:
                squared[slot], items[slot] = squared[slot - 1], items[slot - 1]
                slot -= 1
            squared[slot], items[slot] = distance, first + place
            limit = squared[last]
    return farthest
