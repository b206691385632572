"""Reads pictures of a district in batches, resized for an engine."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from domain.images import Resized, read_image, resize_for
from domain.model_card import ModelCard


def resized_batches(files: Sequence[Path], card: ModelCard, batch: int, title: str) -> Iterator[list[Resized]]:
    """`files` in order at the input size of `card`'s network, `batch` at a time, with a progress bar.

    The next batch is read while the caller works on this one.

    Raises:
        InputError: if a picture does not open.
    """

    def read(file: Path) -> Resized:
        return resize_for(card, read_image(file))

    with (
        ThreadPoolExecutor(max_workers=2) as pool,
        tqdm(total=len(files), desc=title, unit="picture", disable=None) as progress,
    ):
        waiting = [pool.submit(read, file) for file in files[:batch]]
        for start in range(0, len(files), batch):
            resized = [picture.result() for picture in waiting]
            waiting = [pool.submit(read, file) for file in files[start + batch : start + 2 * batch]]
            yield resized
            progress.update(len(resized))


def stacked(pictures: Sequence[Resized]) -> np.ndarray:
    """The pictures as one array `uint8 [batch, height, width, 3]`."""
    return np.stack([picture.image for picture in pictures])
