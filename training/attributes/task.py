"""Lightning task of attributes; validated by instance-based scores."""

import torch
from torch import Tensor, nn

from domain.attributes import AttributeSchema
from evaluation.attributes import score_attributes
from training.attributes.network import group_probabilities
from training.crops.data import CropBatch
from training.crops.task import ConfigureOptimizer, CropTask


class AttributeTask(CropTask):
    """Trains `network` to minimise `loss`, and scores the attributes of the validation crops.

    Args:
        network: gives the logits of each group by its name, in the schema's order.
        prepare: see `CropTask`.
        configure: see `CropTask`.
        loss: of the groups' logits and labels.
        schema: the groups.
    """

    def __init__(
        self,
        network: nn.Module,
        prepare: nn.Module,
        configure: ConfigureOptimizer,
        loss: nn.Module,
        schema: AttributeSchema,
    ) -> None:
        super().__init__(network, prepare, configure)
        self.loss, self.schema = loss, schema
        self._validated: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: CropBatch, batch_idx: int) -> Tensor:
        """The loss of one batch; labels are `[batch, group]`, -1 unknown."""
        loss: Tensor = self.loss(self.network(self.prepare(batch.images)), batch.labels)
        self.log("train/loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch.images))
        return loss

    def validation_step(self, batch: CropBatch, batch_idx: int) -> None:
        """Log the loss and collect probabilities, for the scores need all of them."""
        logits = self.network(self.prepare(batch.images))
        self._validated.append((group_probabilities(logits).cpu(), batch.labels.cpu()))
        self.log("val/loss", self.loss(logits, batch.labels), batch_size=len(batch.images))

    def on_validation_epoch_end(self) -> None:
        """Log instance F1 and label mean accuracy."""
        probabilities = torch.cat([part for part, _ in self._validated]).numpy()
        labels = torch.cat([part for _, part in self._validated]).numpy()
        self._validated.clear()
        scores = score_attributes(probabilities, labels, self.schema)
        self.log("val/instance_f1", scores.instance_f1, prog_bar=True)
        self.log("val/label_mean_accuracy", scores.label_mean_accuracy, prog_bar=True)
