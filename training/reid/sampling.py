"""P×K batches: P identities with K crops each, so that each anchor has positives and negatives to mine."""

from collections.abc import Iterator

import numpy as np

from domain.errors import InputError
from training.crops.data import Batches


class IdentityBatches(Batches):
    """Batches of `identities_per_batch` different people with `images_per_identity` crops each.

    The probability of a person is proportional to the number of groups of K that their crops fill, at least one, so
    people with few crops do not outweigh people with many. Within a batch the crops of a person are
    different if there are K; otherwise some are repeated. An epoch has as many batches as the crops would fill. With
    several processes each gets all crops of its people in every global batch.

    Args:
        identities: identity of each crop, integers `[image]`.
        identities_per_batch: P, of all processes together.
        images_per_identity: K.
        seed: of the order.
        rank: of this process.
        world_size: number of processes.

    Raises:
        InputError: if there are fewer than P people, or P is not a multiple of the number of processes.
    """

    def __init__(
        self,
        identities: np.ndarray,
        identities_per_batch: int,
        images_per_identity: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._images = [np.flatnonzero(identities == identity) for identity in np.unique(identities)]
        if identities_per_batch > len(self._images):
            raise InputError(
                f"identities_per_batch must be at most the number of identities to train on, {len(self._images)}, "
                f"got {identities_per_batch}"
            )
        if identities_per_batch % world_size:
            raise InputError(
                f"identities_per_batch must be a multiple of the {world_size} processes, got {identities_per_batch}"
            )
        groups = np.array([max(1, len(images) // images_per_identity) for images in self._images])
        self._probabilities = groups / groups.sum()
        self._identities_per_batch, self._images_per_identity = identities_per_batch, images_per_identity
        self._num_batches = max(1, len(identities) // (identities_per_batch * images_per_identity))
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of `epoch`; Lightning calls it, so a resumed run has the order of an undisturbed one."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self._seed, self._epoch))
        share = self._identities_per_batch // self._world_size
        for _ in range(self._num_batches):
            people = rng.choice(len(self._images), self._identities_per_batch, replace=False, p=self._probabilities)
            drawn = [self._draw(rng, self._images[person]) for person in people]
            yield np.concatenate(drawn[self._rank * share : (self._rank + 1) * share]).tolist()

    def _draw(self, rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
        if len(images) >= self._images_per_identity:
            return rng.choice(images, self._images_per_identity, replace=False)
        extra = rng.choice(images, self._images_per_identity - len(images), replace=True)
        return np.concatenate([rng.permutation(images), extra])
