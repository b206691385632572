"""`evaluation.neighbours.exact` in torch, for a GPU: the same neighbours in the same order.

The service must not import this module, as it has no torch.
"""

from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32

from domain.errors import InputError
from evaluation.neighbours.exact import FindNearest, Nearest, nearest_neighbours

_TILE_ELEMENTS = 2**27  # keys of a tile: 1 GiB


def choose_search(device: Literal["auto", "cpu", "cuda"]) -> FindNearest:
    """The search of neighbours on `device` for `k_reciprocal_distances`; `auto` takes a GPU if there is one.

    Raises:
        InputError: if `device` is `cuda` and torch sees no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("evaluation.reranking_device is cuda, but torch sees no GPU; set it to auto or cpu")
    if device == "cpu" or not torch.cuda.is_available():
        return nearest_neighbours
    return partial(torch_nearest_neighbours, device="cuda")


def torch_nearest_neighbours(
    embeddings: Float32[np.ndarray, "all feature"], num_queries: int, num_neighbours: int, *, device: str
) -> tuple[Nearest, Float32[np.ndarray, "query gallery"]]:
    """`nearest_neighbours` on torch's `device`, in tiles of 1 GiB.

    A distance and its item make one integer key: distances are not negative, so their bits order as they do, and
    `topk` keeps ties in the order of items.
    """
    count = len(embeddings)
    vectors = torch.from_numpy(embeddings).to(device)
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
    return Nearest(*(torch.cat(parts).numpy() for parts in (items, squared, farthest))), query_gallery
