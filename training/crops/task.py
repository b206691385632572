"""The part that the Lightning tasks on crops share: preparing pictures on the device and configuring the optimiser."""

from collections.abc import Callable

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from training.crops.augmentation import Preparation

ConfigureOptimizer = Callable[[nn.Module, int], OptimizerLRSchedulerConfig]


class CropTask(LightningModule):
    """A network to train on crops that arrive as `uint8 [batch, 3, height, width]`.

    Args:
        network: the network to train and keep.
        prepare: from `uint8` crops to the network's input.
        configure: from the network and the number of steps to the optimiser and its schedule.
        half_size_share: of the epochs, the first ones, is trained on pictures of half the height and width.
    """

    def __init__(
        self, network: nn.Module, prepare: Preparation, configure: ConfigureOptimizer, half_size_share: float
    ) -> None:
        super().__init__()
        self.network, self.prepare = network.to(memory_format=torch.channels_last), prepare
        self._configure, self.half_size_share = configure, half_size_share

    @property
    def halved_epochs(self) -> int:
        """Number of the run's first epochs that have pictures of half the size."""
        return round(self.half_size_share * (self.trainer.max_epochs or 0))

    def on_train_epoch_start(self) -> None:
        """Choose the size of the epoch's pictures."""
        self.prepare.halves = self.current_epoch < self.halved_epochs

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Optimiser and schedule over all steps of the run."""
        return self._configure(self.network, int(self.trainer.estimated_stepping_batches))
