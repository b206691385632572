"""Crops of people for training: decoded once into memory when they fit, else on the fly; always in whole batches.

The pictures stay `uint8` until they are on the device that trains, where a whole batch is augmented at once, so one
process keeps a network busy and no worker repeats what it did in the last epoch.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from domain.images import read_image, stretch

_MIB = 2**20
BatchSampler = Sampler[list[int]]


class CropBatch(NamedTuple):
    """What one step sees."""

    images: Tensor  # uint8 [batch, 3, height, width] RGB; float32 and normalised after augmentation
    labels: Tensor  # int64 [batch] or [batch, column]


class CropDataset(Dataset[CropBatch]):
    """Pictures at a network's input size with their labels, taken out by lists of indices."""

    def __init__(
        self, files: Sequence[Path], labels: np.ndarray, height: int, width: int, cache_in_memory_mib: int
    ) -> None:
        """Decode all pictures now if they fit.

        Args:
            files: pictures of any size; they are stretched.
            labels: integers `[image]` or `[image, column]`.
            height: of the network's input in pixels.
            width: of the network's input in pixels.
            cache_in_memory_mib: how much memory the decoded pictures may take; beyond it each is decoded when needed.

        Raises:
            InputError: if a picture does not open (now if cached, else when it is needed).
        """
        self._files, self._size = files, (height, width)
        self._labels = torch.from_numpy(np.asarray(labels, np.int64))
        self.is_in_memory = len(files) * height * width * 3 <= cache_in_memory_mib * _MIB
        self._images = self._decode(range(len(files)), show_progress=True) if self.is_in_memory else None

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._files)

    def __getitem__(self, indices: Sequence[int]) -> CropBatch:
        """The pictures at `indices` as one batch."""
        index = torch.as_tensor(indices)
        images = self._images[index] if self._images is not None else self._decode(indices, show_progress=False)
        return CropBatch(images, self._labels[index])

    def _decode(self, indices: Sequence[int], show_progress: bool) -> Tensor:
        images = np.empty((len(indices), *self._size, 3), np.uint8)
        with ThreadPoolExecutor() as pool:
            decoded = pool.map(lambda index: stretch(read_image(self._files[index]), *self._size).image, indices)
            for row, image in enumerate(
                tqdm(decoded, "decode crops", len(indices), disable=not show_progress, leave=False)
            ):
                images[row] = image
        return torch.from_numpy(images).permute(0, 3, 1, 2)


class ShuffledBatches(BatchSampler):
    """Each epoch all pictures once in an order drawn from the seed; what does not fill a batch is left out.

    With several processes each gets its equal part of every global batch.
    """

    def __init__(self, num_images: int, batch: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        """Batches of `batch` (all processes together), at least one even when there are fewer pictures."""
        self._num_images, self._batch, self._seed = num_images, min(batch, num_images), seed
        self._rank, self._world_size = rank, world_size
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning tells the epoch, so that a resumed run goes on with the order it would have had."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Number of batches."""
        return self._num_images // self._batch

    def __iter__(self) -> Iterator[list[int]]:
        """Indices of the pictures of each batch."""
        order = np.random.default_rng((self._seed, self._epoch)).permutation(self._num_images)
        for start in range(0, len(self) * self._batch, self._batch):
            yield order[start : start + self._batch][self._rank :: self._world_size].tolist()


class InOrder(BatchSampler):
    """All pictures once, in order, the last batch smaller."""

    def __init__(self, num_images: int, batch: int) -> None:
        """Batches of `batch`."""
        self._num_images, self._batch = num_images, batch

    def __len__(self) -> int:
        """Number of batches."""
        return -(-self._num_images // self._batch)

    def __iter__(self) -> Iterator[list[int]]:
        """Indices of the pictures of each batch."""
        for start in range(0, self._num_images, self._batch):
            yield list(range(start, min(start + self._batch, self._num_images)))


class CropData(LightningDataModule):
    """Crops to train on and, if there are any, to validate on."""

    def __init__(
        self,
        train: CropDataset,
        train_batches: Callable[[int, int], BatchSampler],
        val: CropDataset | None,
        val_batch: int,
        num_workers: int,
    ) -> None:
        """Hold the parts.

        Args:
            train: crops to train on.
            train_batches: makes the sampler of process `rank` among `world_size`.
            val: crops to validate on; without them there is no validation.
            val_batch: pictures of a validation step.
            num_workers: processes that decode pictures which do not fit in memory.
        """
        super().__init__()
        self._train, self._train_batches, self._val = train, train_batches, val
        self._val_batch, self._num_workers = val_batch, num_workers

    def train_dataloader(self) -> DataLoader[CropBatch]:
        """Batches of this process."""
        assert self.trainer is not None
        return self._load(self._train, self._train_batches(self.trainer.global_rank, self.trainer.world_size))

    def val_dataloader(self) -> list[DataLoader[CropBatch]]:
        """One loader or none; each process validates on everything."""
        return [] if self._val is None else [self._load(self._val, InOrder(len(self._val), self._val_batch))]

    def _load(self, crops: CropDataset, batches: BatchSampler) -> DataLoader[CropBatch]:
        workers = 0 if crops.is_in_memory else self._num_workers
        return DataLoader(
            crops,
            sampler=batches,
            batch_size=None,  # the sampler gives whole batches, the data set takes them
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
