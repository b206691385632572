"""Lightning task of re-identification: identity and triplet loss; retrieval on people held out."""

import numpy as np
import torch
from torch import Tensor, nn

from domain.embeddings import cosine_distances
from evaluation.retrieval import RetrievalScores, evaluate_retrieval
from training.crops.data import CropBatch
from training.crops.task import ConfigureOptimizer, CropTask
from training.reid.network import embed
from training.reid.operating_point import best_match_distance


class ReidTask(CropTask):
    """Loss = cross-entropy on identity logits + `triplet_weight` × batch-hard triplet loss on features.

    Source: Hermans et al. 2017 (arXiv:1703.07737) for batch-hard mining.
    """

    def __init__(
        self,
        network: nn.Module,
        identity_loss: nn.Module,
        triplet_loss: nn.Module,
        triplet_weight: float,
        augment: nn.Module,
        normalise: nn.Module,
        configure: ConfigureOptimizer,
    ) -> None:
        """Take the parts; `network` gives (logits, features) in train mode and embeddings in eval mode."""
        super().__init__(network, augment, normalise, configure)
        self.identity_loss, self.triplet_loss, self.triplet_weight = identity_loss, triplet_loss, triplet_weight
        self._seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: CropBatch, batch_idx: int) -> Tensor:
        """The summed loss; labels are classes `[batch]`. Triplets are mined over the batch of all processes."""
        logits, features = self.network(self.prepare(batch.images))
        identity_loss = self.identity_loss(logits, batch.labels)
        triplet_loss = self.triplet_loss(self._of_all(features, sync_grads=True), self._of_all(batch.labels))
        loss = identity_loss + self.triplet_weight * triplet_loss
        self.log_dict(
            {"train/identity_loss": identity_loss, "train/triplet_loss": triplet_loss, "train/loss": loss},
            on_step=False,
            on_epoch=True,
            sync_dist=True,
            batch_size=len(logits),
        )
        return loss

    def validation_step(self, batch: CropBatch, batch_idx: int) -> None:
        """Collect embeddings; labels are identity and camera `[batch, 2]`."""
        self._seen.append((embed(self.network, self.prepare(batch.images)).cpu(), batch.labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Log mAP, Rank-1 and the distance that parts same from different people best."""
        embeddings = torch.cat([part for part, _ in self._seen]).numpy()
        identities, cameras = torch.cat([labels for _, labels in self._seen]).numpy().T
        self._seen.clear()
        scores = score_held_out(embeddings, identities, cameras)
        values = {"val/map": scores.mean_average_precision, "val/rank1": scores.rank(1)}
        match_distance = best_match_distance(embeddings, identities, cameras)
        if match_distance is not None:
            values["val/match_distance"] = match_distance
        self.log_dict(values, prog_bar=True)

    def _of_all(self, tensor: Tensor, sync_grads: bool = False) -> Tensor:
        if self.trainer.world_size == 1:
            return tensor
        gathered = self.all_gather(tensor, sync_grads=sync_grads)
        assert isinstance(gathered, Tensor)
        return gathered.flatten(0, 1)


def score_held_out(embeddings: np.ndarray, identities: np.ndarray, cameras: np.ndarray) -> RetrievalScores:
    """Retrieval among held-out pictures: one of each person and camera asks, the rest are the gallery.

    Args:
        embeddings: float32 `[image, feature]`, unit length.
        identities: integers `[image]`.
        cameras: integers `[image]`.

    Raises:
        InputError: if no person has pictures from two cameras, one of them beside the query.
    """
    asks = choose_queries(identities, cameras)
    return evaluate_retrieval(
        cosine_distances(embeddings[asks], embeddings[~asks]),
        identities[asks],
        identities[~asks],
        cameras[asks],
        cameras[~asks],
    )


def choose_queries(identities: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """`bool [image]`: the middle picture of each person (not junk or distractor) and camera.

    Example:
        >>> choose_queries(np.array([1, 1, 1, 2, 0]), np.array([1, 1, 1, 1, 1]))
        array([False,  True, False,  True, False])
    """
    asks = np.zeros(len(identities), bool)
    for identity, camera in {pair for pair in zip(identities.tolist(), cameras.tolist(), strict=True) if pair[0] > 0}:
        shown = np.flatnonzero((identities == identity) & (cameras == camera))
        asks[shown[len(shown) // 2]] = True
    return asks
