"""The part that the Lightning tasks on crops share: preparing pictures on the device and configuring the optimiser."""

from collections.abc import Callable

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

ConfigureOptimizer = Callable[[nn.Module, int], OptimizerLRSchedulerConfig]


class CropTask(LightningModule):
    """A network to train on crops that arrive as `uint8 [batch, 3, height, width]`.

    Args:
        network: the network to train and keep.
        prepare: from `uint8` crops to the network's input; augments them in train mode.
        configure: from the network and the number of steps to the optimiser and its schedule.
    """

    def __init__(self, network: nn.Module, prepare: nn.Module, configure: ConfigureOptimizer) -> None:
        super().__init__()
        self.network, self.prepare = network.to(memory_format=torch.channels_last), prepare
        self._configure = configure

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Optimiser and schedule over all steps of the run."""
        return self._configure(self.network, int(self.trainer.estimated_stepping_batches))
