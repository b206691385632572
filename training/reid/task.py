"""Lightning task of re-identification; validated by retrieval among people who are not in the training set."""

import numpy as np
import torch
from torch import Tensor, nn

from domain.embeddings import cosine_distances
from evaluation.retrieval import RetrievalScores, evaluate_retrieval
from training.crops.data import CropBatch
from training.crops.task import ConfigureOptimizer, CropTask
from training.reid.losses import LossParts, ReidLoss
from training.reid.network import embed
from training.reid.operating_point import best_match_distance


class ReidTask(CropTask):
    """Trains `network` to minimise `loss`, and scores retrieval on the validation crops.

    Args:
        network: gives (logits, features) in train mode and embeddings in eval mode.
        prepare: see `CropTask`.
        configure: see `CropTask`.
        loss: see `ReidLoss`; each of its parts becomes a curve.
    """

    def __init__(self, network: nn.Module, prepare: nn.Module, configure: ConfigureOptimizer, loss: ReidLoss) -> None:
        super().__init__(network, prepare, configure)
        self.loss = loss
        self._validated: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: CropBatch, batch_idx: int) -> Tensor:
        """The loss of one batch; labels are identities `[batch]`, from 0."""
        logits, features = self.network(self.prepare(batch.images))
        all_features = self._of_all_processes(features, sync_grads=True)
        loss: LossParts = self.loss(logits, batch.labels, all_features, self._of_all_processes(batch.labels))
        curves = {**loss.parts, "loss": loss.total}
        self.log_dict(
            {f"train/{name}": value for name, value in curves.items()},
            on_step=False,
            on_epoch=True,
            sync_dist=True,
            batch_size=len(logits),
        )
        return loss.total

    def validation_step(self, batch: CropBatch, batch_idx: int) -> None:
        """Collect embeddings, for retrieval needs all of them; labels are identity and camera `[batch, 2]`."""
        self._validated.append((embed(self.network, self.prepare(batch.images)).cpu(), batch.labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Log mAP, Rank-1 and the match threshold."""
        embeddings = torch.cat([part for part, _ in self._validated]).numpy()
        identities, cameras = torch.cat([labels for _, labels in self._validated]).numpy().T
        self._validated.clear()
        scores = score_held_out(embeddings, identities, cameras)
        values = {"val/map": scores.mean_average_precision, "val/rank1": scores.rank(1)}
        match_distance = best_match_distance(embeddings, identities, cameras)
        if match_distance is not None:
            values["val/match_distance"] = match_distance
        self.log_dict(values, prog_bar=True)

    def _of_all_processes(self, tensor: Tensor, sync_grads: bool = False) -> Tensor:
        if self.trainer.world_size == 1:
            return tensor
        gathered = self.all_gather(tensor, sync_grads=sync_grads)
        assert isinstance(gathered, Tensor)
        return gathered.flatten(0, 1)


def score_held_out(embeddings: np.ndarray, identities: np.ndarray, cameras: np.ndarray) -> RetrievalScores:
    """Retrieval among held-out crops: one of each person and camera is a query, the rest are the gallery.

    Args:
        embeddings: float32 `[image, feature]`, unit length.
        identities: integers `[image]`.
        cameras: integers `[image]`.

    Raises:
        InputError: if no query has a crop of the same person from another camera in the gallery.
    """
    is_query = choose_queries(identities, cameras)
    return evaluate_retrieval(
        cosine_distances(embeddings[is_query], embeddings[~is_query]),
        identities[is_query],
        identities[~is_query],
        cameras[is_query],
        cameras[~is_query],
    )


def choose_queries(identities: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """`bool [image]`, true for the middle crop of each person (not junk or distractor) in each camera.

    Example:
        >>> choose_queries(np.array([1, 1, 1, 2, 0]), np.array([1, 1, 1, 1, 1]))
        array([False,  True, False,  True, False])
    """
    is_query = np.zeros(len(identities), bool)
    for identity, camera in {pair for pair in zip(identities.tolist(), cameras.tolist(), strict=True) if pair[0] > 0}:
        shown = np.flatnonzero((identities == identity) & (cameras == camera))
        is_query[shown[len(shown) // 2]] = True
    return is_query
