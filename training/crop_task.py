"""What every Lightning task on crops does alike: augment on the device, normalise, step an optimiser."""

from collections.abc import Callable

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from training.crops import CropBatch

ConfigureOptimizer = Callable[[nn.Module, int], OptimizerLRSchedulerConfig]


class CropTask(LightningModule):
    """A network on crops that arrive as `uint8` and are augmented and normalised where they are trained on."""

    def __init__(
        self,
        network: nn.Module,
        augment: nn.Module,
        normalise: nn.Module,
        configure: ConfigureOptimizer,
        channels_last: bool,
    ) -> None:
        """Take the parts.

        Args:
            network: what is trained and kept.
            augment: `uint8` pictures to 0..1 floats, for training steps.
            normalise: `uint8` or 0..1 floats to what the network takes.
            configure: from the network and the number of steps to optimiser and schedule.
            channels_last: the memory format of network and pictures.
        """
        super().__init__()
        self.network, self.augment, self.normalise = network, augment, normalise
        self._configure = configure
        self._memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network.to(memory_format=self._memory_format)

    def on_after_batch_transfer(self, batch: CropBatch, dataloader_idx: int) -> CropBatch:
        """Pictures as the network takes them."""
        with torch.no_grad():
            images = self.normalise(self.augment(batch.images) if self.trainer.training else batch.images)
        return CropBatch(images.contiguous(memory_format=self._memory_format), batch.labels)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Optimiser and schedule over all steps of the run."""
        return self._configure(self.network, int(self.trainer.estimated_stepping_batches))
