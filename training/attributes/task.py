"""Lightning task of attributes: cross-entropy of every group; instance-based scores on validation pictures."""

import torch
from torch import Tensor, nn

from domain.attributes import AttributeSchema
from evaluation.attributes import score_attributes
from training.attributes.network import group_probabilities
from training.crops.data import CropBatch
from training.crops.task import ConfigureOptimizer, CropTask


class AttributeTask(CropTask):
    """Loss = what the given loss says of group logits and labels."""

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        schema: AttributeSchema,
        augment: nn.Module,
        normalise: nn.Module,
        configure: ConfigureOptimizer,
    ) -> None:
        """Take the parts; `network` gives a group's logits by its name, in the schema's order."""
        super().__init__(network, augment, normalise, configure)
        self.loss, self.schema = loss, schema
        self._seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: CropBatch, batch_idx: int) -> Tensor:
        """The loss; labels are `[batch, group]`, -1 unknown."""
        loss: Tensor = self.loss(self.network(self.prepare(batch.images)), batch.labels)
        self.log("train/loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch.images))
        return loss

    def validation_step(self, batch: CropBatch, batch_idx: int) -> None:
        """Collect probabilities; the scores are of all pictures together."""
        logits = self.network(self.prepare(batch.images))
        self._seen.append((group_probabilities(logits).cpu(), batch.labels.cpu()))
        self.log("val/loss", self.loss(logits, batch.labels), batch_size=len(batch.images))

    def on_validation_epoch_end(self) -> None:
        """Log instance F1 and the labels' mean accuracy."""
        probabilities = torch.cat([part for part, _ in self._seen]).numpy()
        labels = torch.cat([part for _, part in self._seen]).numpy()
        self._seen.clear()
        scores = score_attributes(probabilities, labels, self.schema)
        self.log("val/instance_f1", scores.instance_f1, prog_bar=True)
        self.log("val/label_mean_accuracy", scores.label_mean_accuracy, prog_bar=True)
