"""Temperatures that make a trained network's confidences mean what they say."""

from collections.abc import Mapping

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.attributes.losses import UNKNOWN_LABEL

_LARGEST_LOG = 3.0  # of a temperature: beyond 20 or below 1/20 the confidences of a small split say nothing


def fit_temperatures(logits: Mapping[str, Tensor], labels: Tensor) -> dict[str, float]:
    """For each group the temperature whose softmax(logits / temperature) is likeliest to give the labels.

    Above 1 it takes confidence off, which a network that trained long needs. A group of which no label is known keeps
    1. As in Platt scaling a doubt of one picture goes in with the labels: else a network that is right on every picture
    of a small split would be made certain of everything.
    Sources: Guo et al. 2017, "On calibration of modern neural networks"; Platt 1999.

    Args:
        logits: group to float `[image, label]`, of pictures that were not trained on.
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
    doubt = 1 / (len(labels) + 1)

    def surprise(log_temperature: float) -> float:
        cooled = logits * torch.tensor(-log_temperature).exp()
        return float(cross_entropy(cooled, labels, label_smoothing=doubt))

    found = minimize_scalar(surprise, bounds=(-_LARGEST_LOG, _LARGEST_LOG), method="bounded")
    return float(torch.tensor(found.x).exp())
