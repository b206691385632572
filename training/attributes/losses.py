"""Cross-entropy of every group at once, unknown labels left out, rare labels weighed as one chooses."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from domain.attributes import AttributeSchema

UNKNOWN_LABEL = -1
RareLabels = Literal["none", "effective_number", "focal"]


class GroupedCrossEntropy(nn.Module):
    """Mean over the groups of the mean cross-entropy over the pictures whose label of the group is known.

    A group of which nothing is known in a batch counts as 0. With weights the mean of a group is the weighted one.
    With `focusing` above 0 each picture counts by (1 - probability of its label) to that power.
    Sources: Cui et al. 2019 (class-balanced loss) for weights; Lin et al. 2017 (focal loss) for focusing.
    """

    def __init__(self, label_weights: Mapping[str, Tensor] | None = None, focusing: float = 0.0) -> None:
        """Choose how labels weigh.

        Args:
            label_weights: group to `float32 [label]`; `None` weighs all alike.
            focusing: the focal loss' gamma.
        """
        super().__init__()
        self._groups = list(label_weights or ())
        for index, weights in enumerate((label_weights or {}).values()):
            self.register_buffer(f"weights_{index}", weights, persistent=False)
        self.focusing = focusing

    def forward(self, logits: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """The loss of `logits` (group to `[batch, label]`) for `labels` `[batch, group]`, -1 unknown."""
        losses = [self._group_loss(name, part.float(), labels[:, i]) for i, (name, part) in enumerate(logits.items())]
        return torch.stack(losses).mean()

    def _group_loss(self, name: str, logits: Tensor, labels: Tensor) -> Tensor:
        known = labels != UNKNOWN_LABEL
        shares = known.float()
        if name in self._groups:
            weights = self.get_buffer(f"weights_{self._groups.index(name)}")
            shares = shares * weights[labels.clamp(min=0)]
        surprise = cross_entropy(logits, labels, ignore_index=UNKNOWN_LABEL, reduction="none")
        if self.focusing:
            surprise = surprise * (1 - torch.exp(-surprise)) ** self.focusing
        return (shares * surprise).sum() / shares.sum().clamp(min=torch.finfo(torch.float32).tiny)


def build_loss(rare_labels: RareLabels, schema: AttributeSchema, labels: np.ndarray) -> GroupedCrossEntropy:
    """The loss by its name in the configuration.

    Args:
        rare_labels: `none`, `effective_number` (weights from how often each label occurs) or `focal` (gamma 2).
        schema: groups in the order of the columns of `labels`.
        labels: of the training pictures, integers `[image, group]`, -1 unknown.
    """
    if rare_labels == "focal":
        return GroupedCrossEntropy(focusing=2.0)
    if rare_labels == "none":
        return GroupedCrossEntropy()
    weights = {
        group.name: torch.from_numpy(effective_number_weights(labels[:, column], len(group.labels)))
        for column, group in enumerate(schema.groups)
    }
    return GroupedCrossEntropy(weights)


def effective_number_weights(labels: np.ndarray, num_labels: int, beta: float = 0.999) -> np.ndarray:
    """Weight of each label, `float32 [label]`: (1 - beta) / (1 - beta^n) for n pictures, their mean scaled to 1.

    A label that never occurs weighs as one that occurs once. Source: Cui et al. 2019, eq. 4.

    Example:
        >>> effective_number_weights(np.array([0, 0, 0, 1, -1]), num_labels=2)
        array([0.50037515, 1.4996248 ], dtype=float32)
    """
    counts = np.bincount(labels[labels != UNKNOWN_LABEL], minlength=num_labels).clip(min=1)
    weights = (1 - beta) / (1 - beta ** counts.astype(np.float64))
    return (weights / weights.mean()).astype(np.float32)
