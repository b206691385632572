"""Networks of several outputs as MLflow serves them."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class OneTable(nn.Module):
    """A network whose outputs are joined into one tensor: MLflow's models give no more."""

    def __init__(self, network: nn.Module, join: Callable[[Any], Tensor]) -> None:
        """`network` keeps its mode; `join` takes what it gives."""
        super().__init__()
        self.network, self.join = network, join

    def forward(self, images: Tensor) -> Tensor:
        """Float pictures `[batch, 3, height, width]` to `[batch, …]`."""
        return self.join(self.network(images))
