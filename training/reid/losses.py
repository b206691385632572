"""Loss of the re-identification network: cross-entropy of identities and batch-hard triplets of features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from domain.settings import Settings

_SMALLEST_SQUARED = 1e-12  # keeps the root's gradient finite between equal features


class ReidLossSettings(Settings):
    """Keys of the section `reid` that define the loss."""

    identity_loss: Literal["softmax", "circle"]
    circle_scale: PositiveFloat
    circle_margin: float = Field(ge=0, lt=1)
    label_smoothing: float = Field(ge=0, lt=1)
    triplet_margin: NonNegativeFloat | None
    triplet_weight: NonNegativeFloat


@dataclass(frozen=True)
class LossParts:
    """The loss to minimise, and its parts by the name of their curve, not weighted; each a scalar."""

    total: Tensor
    parts: Mapping[str, Tensor]


class ReidLoss(nn.Module):
    """Label-smoothed cross-entropy of identities + `triplet_weight` x `BatchHardTripletLoss` of features.

    The cross-entropy is of logits, or of cosines by `CircleLoss`.
    """

    def __init__(self, settings: ReidLossSettings) -> None:
        super().__init__()
        smoothing = settings.label_smoothing
        self.identity = (
            CircleLoss(settings.circle_scale, settings.circle_margin, smoothing)
            if settings.identity_loss == "circle"
            else nn.CrossEntropyLoss(label_smoothing=smoothing)
        )
        self.triplet = BatchHardTripletLoss(settings.triplet_margin)
        self.triplet_weight = settings.triplet_weight

    def forward(self, logits: Tensor, labels: Tensor, all_features: Tensor, all_labels: Tensor) -> LossParts:
        """The loss of one batch.

        Args:
            logits: float `[batch, identity]`, of the crops of this process; cosines for `CircleLoss`.
            labels: identity of each of these crops, from 0, `[batch]`.
            all_features: float `[batch of all processes, feature]`, among which triplets are mined.
            all_labels: identities `[batch of all processes]`.
        """
        identity, triplet = self.identity(logits, labels), self.triplet(all_features, all_labels)
        total = identity + self.triplet_weight * triplet
        return LossParts(total, {"identity_loss": identity, "triplet_loss": triplet})


class CircleLoss(nn.Module):
    """Cross-entropy of cosines with people, each pulled as strongly as it is far from its optimum.

    The cosine s with the own person becomes `scale * max(0, 1 + margin - s) * (s - 1 + margin)`, one with another
    person `scale * max(0, s + margin) * (s - margin)`; the factors in front are not derived. So what is right already
    is let alone, where a softmax goes on pulling all alike.
    Source: Sun et al. 2020, "Circle loss: a unified perspective of pair similarity optimization" (arXiv:2002.10857),
    with class labels; their margin for faces and people is 0.25.

    Args:
        scale: the larger, the more the hardest person decides.
        margin: 0..1, by which cosines are to differ from 1 and from 0 at most.
        label_smoothing: share of the target that all people have alike.
    """

    def __init__(self, scale: float, margin: float, label_smoothing: float) -> None:
        super().__init__()
        self.scale, self.margin = scale, margin
        self.cross_entropy = nn.CrossEntropyLoss(label_smoothing=label_smoothing)

    def forward(self, cosines: Tensor, identities: Tensor) -> Tensor:
        """The mean loss of `cosines` `[batch, identity]` for the people `identities` `[batch]`."""
        own = one_hot(identities, cosines.shape[1]).bool()
        margin, fixed = self.margin, cosines.detach()
        right = (1 + margin - fixed).relu() * (cosines - 1 + margin)
        wrong = (fixed + margin).relu() * (cosines - margin)
        loss: Tensor = self.cross_entropy(self.scale * torch.where(own, right, wrong), identities)
        return loss


class BatchHardTripletLoss(nn.Module):
    """Mean over the batch of `max(0, margin + d)`, d being the farthest of the same identity - the nearest of another.

    Without a margin of `ln(1 + exp(d))`, which goes on pulling after the margin would be kept. Distances are Euclidean
    and in full precision also under autocast. An anchor without another identity in the batch counts as 0.
    Source: Hermans et al. 2017 (arXiv:1703.07737); with a margin it equals torchreid's `TripletLoss`.

    Args:
        margin: in units of the features' distance; `None` for the soft margin.

    Example:
        >>> loss = BatchHardTripletLoss(margin=0.3)
        >>> round(loss(torch.tensor([[0.0], [1.0], [1.5], [5.0]]), torch.tensor([0, 0, 1, 1])).item(), 4)
        1.025
    """

    def __init__(self, margin: float | None) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, features: Tensor, identities: Tensor) -> Tensor:
        """The loss of `features` `[batch, feature]` of the people `identities` `[batch]`."""
        distances = pairwise_distances(features)
        same = identities[:, None] == identities[None]
        farthest_same = distances.masked_fill(~same, 0).amax(dim=1)
        nearest_other = distances.masked_fill(same, torch.inf).amin(dim=1)
        excess = farthest_same - nearest_other
        return (softplus(excess) if self.margin is None else (self.margin + excess).relu()).mean()


def pairwise_distances(features: Tensor) -> Tensor:
    """Euclidean distances `float32 [batch, batch]` of `features` `[batch, feature]`."""
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        squared = features.square().sum(dim=1)
        squared_distances = squared[:, None] + squared[None] - 2 * features @ features.T
        return squared_distances.clamp(min=_SMALLEST_SQUARED).sqrt()
