"""What every Lightning task on crops does alike: augment on the device, normalise, step an optimiser."""

from collections.abc import Callable

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

ConfigureOptimizer = Callable[[nn.Module, int], OptimizerLRSchedulerConfig]


class CropTask(LightningModule):
    """A network on crops that arrive as `uint8` and are augmented and normalised where they are trained on."""

    def __init__(
        self,
        network: nn.Module,
        augment: nn.Module,
        normalise: nn.Module,
        configure: ConfigureOptimizer,
    ) -> None:
        """Take the parts.

        Args:
            network: what is trained and kept.
            augment: `uint8` pictures to 0..1 floats, for training steps.
            normalise: `uint8` or 0..1 floats to what the network takes.
            configure: from the network and the number of steps to optimiser and schedule.
        """
        super().__init__()
        self.network, self.augment, self.normalise = network, augment, normalise
        self._configure = configure
        self.network.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` pictures as the network takes them; augmented while training."""
        drawn = self.augment(images) if self.training else images
        return self.normalise(drawn).contiguous(memory_format=torch.channels_last)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Optimiser and schedule over all steps of the run."""
        return self._configure(self.network, int(self.trainer.estimated_stepping_batches))
