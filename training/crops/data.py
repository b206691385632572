"""Crops of people for training, read in whole batches: decoded once into memory if they fit, else when needed.

Crops stay `uint8` until they are on the device, where the whole batch is augmented. So one process is fast enough to
feed a network, and no worker process repeats its random numbers in the next epoch.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, DistributedSampler, Sampler
from tqdm import tqdm

from domain.images import read_image, stretch

_MIB = 2**20
Batches = Sampler[list[int]]


class CropBatch(NamedTuple):
    """Input of one step."""

    images: Tensor  # uint8 [batch, 3, height, width] RGB; float32 and normalised after augmentation
    labels: Tensor  # int64 [batch] or [batch, column]


class CropDataset(Dataset[CropBatch]):
    """Crops at a network's input size with their labels, read by lists of indices.

    Args:
        files: pictures of any size, which are stretched.
        labels: integers `[image]` or `[image, column]`.
        height: of the network's input in pixels.
        width: of the network's input in pixels.
        cache_in_memory_mib: the crops are decoded now if they need no more memory than this, else at each reading.

    Raises:
        InputError: if a picture does not open; at once if cached, else when it is read.
    """

    def __init__(
        self, files: Sequence[Path], labels: np.ndarray, height: int, width: int, cache_in_memory_mib: int
    ) -> None:
        self._files, self._size = files, (height, width)
        self._labels = torch.from_numpy(np.asarray(labels, np.int64))
        self.is_in_memory = len(files) * height * width * 3 <= cache_in_memory_mib * _MIB
        self._images = self._decode(range(len(files)), show_progress=True) if self.is_in_memory else None

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, indices: Sequence[int]) -> CropBatch:
        """The crops at `indices` as one batch."""
        index = torch.as_tensor(indices)
        images = self._images[index] if self._images is not None else self._decode(indices, show_progress=False)
        return CropBatch(images, self._labels[index])

    def _decode(self, indices: Sequence[int], show_progress: bool) -> Tensor:
        images = np.empty((len(indices), *self._size, 3), np.uint8)
        with ThreadPoolExecutor() as pool:
            decoded = pool.map(lambda index: stretch(read_image(self._files[index]), *self._size).image, indices)
            for row, image in enumerate(
                tqdm(decoded, "decode crops", len(indices), disable=None if show_progress else True, leave=False)
            ):
                images[row] = image
        return torch.from_numpy(images).permute(0, 3, 1, 2)


class ShuffledBatches(BatchSampler):
    """Batches in an order drawn from the seed and the epoch."""

    sampler: DistributedSampler[Any]

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of `epoch`; Lightning calls it, so a resumed run has the order of an undisturbed one."""
        self.sampler.set_epoch(epoch)


def shuffled_batches(crops: Dataset[Any], batch: int, seed: int, rank: int = 0, world_size: int = 1) -> ShuffledBatches:
    """The batches of process `rank`, its equal part of each global batch; crops that do not fill a batch are left out.

    With fewer crops than `batch` they are one batch.
    """
    order: DistributedSampler[Any] = DistributedSampler(crops, world_size, rank, seed=seed, drop_last=True)
    return ShuffledBatches(order, min(batch // world_size, len(order)), drop_last=True)


class Rest(Batches):
    """Batches without those of a begun epoch that were trained on before the training was stopped.

    Args:
        batches: of whole epochs.
        epoch: the begun epoch.
        done: number of its batches to leave out; all of them count as none.
    """

    def __init__(self, batches: Batches, epoch: int, done: int) -> None:
        self._batches: Any = batches
        self._begun, self._done = epoch, done % len(self)
        self.set_epoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of `epoch`."""
        self._epoch = epoch
        self._batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        yield from islice(self._batches, self._done if self._epoch == self._begun else 0, None)


class CropData(LightningDataModule):
    """Training and validation crops as Lightning takes them.

    Args:
        train: crops to train on.
        train_batches: from the rank of a process and the number of processes to its batches.
        val: crops to validate on; None: no validation.
        val_batch: number of crops in a validation step.
        num_workers: processes that decode crops which are not in memory.
    """

    def __init__(
        self,
        train: CropDataset,
        train_batches: Callable[[int, int], Batches],
        val: CropDataset | None,
        val_batch: int,
        num_workers: int,
    ) -> None:
        super().__init__()
        self._train, self._train_batches, self._val = train, train_batches, val
        self._val_batch, self._num_workers = val_batch, num_workers
        self.begun = (0, 0)  # where a stopped training goes on: epoch, and the number of its batches that are done

    @property
    def num_train(self) -> int:
        """Number of crops to train on."""
        return len(self._train)

    @property
    def num_steps(self) -> int:
        """Number of batches of an epoch on one device."""
        return len(self._train_batches(0, 1))  # type: ignore[arg-type]

    def train_dataloader(self) -> DataLoader[CropBatch]:
        """The training batches of this process; in an epoch that a stopped training began, the rest of them."""
        assert self.trainer is not None
        batches = self._train_batches(self.trainer.global_rank, self.trainer.world_size)
        epoch, done = self.begun
        return self._load(self._train, Rest(batches, epoch, done))

    def val_dataloader(self) -> list[DataLoader[CropBatch]]:
        """One loader or none; each process validates on all crops."""
        if self._val is None:
            return []
        in_order = BatchSampler(range(len(self._val)), self._val_batch, drop_last=False)
        return [self._load(self._val, in_order)]

    def _load(self, crops: CropDataset, batches: Batches) -> DataLoader[CropBatch]:
        workers = 0 if crops.is_in_memory else self._num_workers
        return DataLoader(
            crops,
            sampler=batches,
            batch_size=None,  # sampler and data set work with whole batches
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
