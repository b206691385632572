"""Chooses the temperature of each attribute group, so that confidences equal the fraction of correct predictions."""

from collections.abc import Mapping

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.attributes.losses import UNKNOWN_LABEL

_LARGEST_LOG = 3.0  # of a temperature: a small split cannot justify one above 20 or below 1/20


def fit_temperatures(logits: Mapping[str, Tensor], labels: Tensor) -> dict[str, float]:
    """For each group the temperature with the lowest negative log-likelihood of softmax(logits / temperature).

    Above 1 it lowers the confidence, which networks that trained long need. A group without a known label gets 1. As in
    Platt scaling, labels are smoothed by 1 / (n + 1): otherwise a network that is right on all n pictures of a small
    split would become certain of every prediction.
    Sources: Guo et al. 2017, "On calibration of modern neural networks"; Platt 1999.

    Args:
        logits: group to float `[image, label]`, of pictures outside the training set.
        labels: integers `[image, group]`, -1 unknown.

    Returns:
        group to temperature, from e^-3 to e^3.
    """
    temperatures = {}
    for column, (name, part) in enumerate(logits.items()):
        known = labels[:, column] != UNKNOWN_LABEL
        temperatures[name] = _fit(part[known].double(), labels[known, column]) if known.any() else 1.0
    return temperatures


def _fit(logits: Tensor, labels: Tensor) -> float:
    smoothing = 1 / (len(labels) + 1)

    def negative_log_likelihood(log_temperature: float) -> float:
        cooled = logits * torch.tensor(-log_temperature).exp()
        return float(cross_entropy(cooled, labels, label_smoothing=smoothing))

    best = minimize_scalar(negative_log_likelihood, bounds=(-_LARGEST_LOG, _LARGEST_LOG), method="bounded")
    return float(torch.tensor(best.x).exp())
