"""Networks of several outputs as MLflow serves them: with one output."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class SingleOutput(nn.Module):
    """A network whose outputs are joined into one tensor, for MLflow serves models of one output only.

    Args:
        network: keeps its mode.
        join: from the outputs of `network` to one tensor `[batch, …]`.
    """

    def __init__(self, network: nn.Module, join: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.network, self.join = network, join

    def forward(self, images: Tensor) -> Tensor:
        """Joined outputs `[batch, …]` of float pictures `[batch, 3, height, width]`."""
        return self.join(self.network(images))
