"""Optimiser and learning-rate schedule of the Lightning tasks."""

import math
from functools import partial
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from domain.settings import Settings

_MOMENTUM = 0.9


class OptimizationSettings(Settings):
    """Keys of a training that say how it steps."""

    optimizer: Literal["adamw", "sgd"]  # sgd with Nesterov's momentum 0.9
    lr: PositiveFloat  # after the warm-up
    weight_decay: NonNegativeFloat  # of weights alone: norms and biases are left free
    warmup_fraction: float = Field(ge=0, lt=1)  # of all steps


def configure_optimizer(
    network: nn.Module, total_steps: int, settings: OptimizationSettings
) -> OptimizerLRSchedulerConfig:
    """The optimiser of `network` and its schedule over `total_steps`, as Lightning takes them."""
    decayed = [weight for weight in network.parameters() if weight.requires_grad and weight.ndim > 1]
    free = [weight for weight in network.parameters() if weight.requires_grad and weight.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": free, "weight_decay": 0.0}]
    optimizer: Optimizer
    if settings.optimizer == "adamw":
        optimizer = AdamW(groups, lr=settings.lr, weight_decay=settings.weight_decay)
    else:
        optimizer = SGD(groups, lr=settings.lr, weight_decay=settings.weight_decay, momentum=_MOMENTUM, nesterov=True)
    factor = partial(warmup_cosine, warmup_steps=round(settings.warmup_fraction * total_steps), total_steps=total_steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}


def warmup_cosine(step: int, *, warmup_steps: int, total_steps: int) -> float:
    """Share of the full learning rate at `step` (from 0): a line up to 1, then half a cosine down to 0.

    Example:
        >>> [round(warmup_cosine(step, warmup_steps=2, total_steps=6), 3) for step in range(7)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return 0.5 * (1 + math.cos(math.pi * done))
