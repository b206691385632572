"""Batch-hard triplet loss; the identity loss beside it is torch's label-smoothed cross-entropy."""

import torch
from torch import Tensor, nn

_SMALLEST_SQUARED = 1e-12  # keeps the root's gradient finite between equal features


class BatchHardTripletLoss(nn.Module):
    """Mean over the batch of `max(0, margin + farthest of the same identity - nearest of another)`, at least 0.

    Distances are Euclidean and in full precision also under autocast. An anchor without another identity in the batch
    counts as 0. Source: Hermans et al. 2017 (arXiv:1703.07737); equals torchreid's `TripletLoss`.

    Example:
        >>> loss = BatchHardTripletLoss(margin=0.3)
        >>> round(loss(torch.tensor([[0.0], [1.0], [1.5], [5.0]]), torch.tensor([0, 0, 1, 1])).item(), 4)
        1.025
    """

    def __init__(self, margin: float) -> None:
        """Set the margin, in units of the features' distance."""
        super().__init__()
        self.margin = margin

    def forward(self, features: Tensor, identities: Tensor) -> Tensor:
        """The loss of `features` `[batch, feature]` of the people `identities` `[batch]`."""
        distances = pairwise_distances(features)
        same = identities[:, None] == identities[None]
        farthest_same = distances.masked_fill(~same, 0).amax(dim=1)
        nearest_other = distances.masked_fill(same, torch.inf).amin(dim=1)
        return (self.margin + farthest_same - nearest_other).relu().mean()


def pairwise_distances(features: Tensor) -> Tensor:
    """Euclidean distances `float32 [batch, batch]` of `features` `[batch, feature]`."""
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        squared = features.square().sum(dim=1)
        squared_distances = squared[:, None] + squared[None] - 2 * features @ features.T
        return squared_distances.clamp(min=_SMALLEST_SQUARED).sqrt()
