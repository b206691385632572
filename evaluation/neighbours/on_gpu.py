"""The search of `evaluation.neighbours.exact` by torch, on a GPU (in tests the CPU): the same neighbours, same order.

Only evaluation imports this module; the service has no torch.
"""

from functools import partial
from typing import Literal

import numpy as np
import torch

from domain.errors import InputError
from evaluation.neighbours.exact import FindNearest, Nearest, nearest_neighbours

_TILE_ELEMENTS = 2**27  # keys of a tile: 1 GiB


def choose_search(device: Literal["auto", "cpu", "cuda"]) -> FindNearest:
    """How `k_reciprocal_distances` shall find neighbours on `device`; `auto` takes a GPU if there is one.

    Raises:
        InputError: if `cuda` is asked for and torch sees no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("evaluation.reranking_device is cuda, but torch sees no GPU; set it to auto or cpu")
    if device == "cpu" or not torch.cuda.is_available():
        return nearest_neighbours
    return partial(torch_nearest_neighbours, device="cuda")


def torch_nearest_neighbours(
    everyone: np.ndarray, num_queries: int, num_neighbours: int, *, device: str
) -> tuple[Nearest, np.ndarray]:
    """As `nearest_neighbours`, on torch's `device`.

    Rows are taken in tiles of a gibibyte. A distance and its item make one integer key, for distances are not
    negative and so order like their bits: `topk` then keeps ties in the order of items.
    """
    count = len(everyone)
    vectors = torch.from_numpy(everyone).to(device)
    places = torch.arange(count, device=device)
    items, squared, farthest = [], [], []
    query_gallery = np.empty((num_queries, count - num_queries), np.float32)
    step = max(1, _TILE_ELEMENTS // count)
    for start in range(0, count, step):
        tile = (1 - vectors[start : start + step] @ vectors.T).square()
        if start < num_queries:
            stop = min(start + len(tile), num_queries)
            query_gallery[start:stop] = tile[: stop - start, num_queries:].cpu().numpy()
        keys = (tile.view(torch.int32).long() << 32) | places
        nearest = keys.topk(num_neighbours, dim=1, largest=False, sorted=True).values
        items.append((nearest & 0xFFFFFFFF).int().cpu())
        squared.append((nearest >> 32).int().view(torch.float32).cpu())
        farthest.append(tile.amax(dim=1).cpu())
    found = Nearest(*(torch.cat(parts).numpy() for parts in (items, squared, farthest)))
    return found, query_gallery
