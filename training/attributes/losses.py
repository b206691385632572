"""Cross-entropy of all attribute groups, without unknown labels, and with weights for rare ones."""

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

    A group without a known label in the batch counts as 0. With weights the mean of a group is weighted. With
    `focusing` above 0 each picture is weighted by (1 - probability of its label) to that power.
    Sources: Cui et al. 2019 (class-balanced loss) for weights; Lin et al. 2017 (focal loss) for focusing.

    Args:
        label_weights: group to `float32 [label]`; `None` gives all labels the same weight.
        focusing: the focal loss' gamma.
    """

    def __init__(self, label_weights: Mapping[str, Tensor] | None = None, focusing: float = 0.0) -> None:
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
        weights = known.float()
        if name in self._groups:
            label_weights = self.get_buffer(f"weights_{self._groups.index(name)}")
            weights = weights * label_weights[labels.clamp(min=0)]
        losses = cross_entropy(logits, labels, ignore_index=UNKNOWN_LABEL, reduction="none")
        if self.focusing:
            losses = losses * (1 - torch.exp(-losses)) ** self.focusing
        return (weights * losses).sum() / weights.sum().clamp(min=torch.finfo(torch.float32).tiny)


def build_loss(rare_labels: RareLabels, schema: AttributeSchema, labels: np.ndarray) -> GroupedCrossEntropy:
    """The loss that the configuration names.

    Args:
        rare_labels: `none`, `effective_number` (weights from the frequency of each label) or `focal` (gamma 2).
        schema: groups in the order of the columns of `labels`.
        labels: labels of the training pictures, integers `[image, group]`, -1 unknown.
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

    A label that never occurs has the weight of a label that occurs once. Source: Cui et al. 2019, eq. 4.

    Example:
        >>> effective_number_weights(np.array([0, 0, 0, 1, -1]), num_labels=2)
        array([0.50037515, 1.4996248 ], dtype=float32)
    """
    counts = np.bincount(labels[labels != UNKNOWN_LABEL], minlength=num_labels).clip(min=1)
    weights = (1 - beta) / (1 - beta ** counts.astype(np.float64))
    return (weights / weights.mean()).astype(np.float32)
