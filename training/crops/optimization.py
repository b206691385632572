"""Optimiser and learning-rate schedule of the Lightning tasks."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from training.settings import OptimizationSettings

_SECOND_BETA = 0.999  # of AdamW, torch's default


def configure_optimizer(
    network: nn.Module, total_steps: int, settings: OptimizationSettings
) -> OptimizerLRSchedulerConfig:
    """The optimiser of `network` and its schedule over `total_steps`, as Lightning takes them."""
    decayed = [weight for weight in network.parameters() if weight.requires_grad and weight.ndim > 1]
    free = [weight for weight in network.parameters() if weight.requires_grad and weight.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": free, "weight_decay": 0.0}]
    lr, weight_decay, momentum = settings.lr, settings.weight_decay, settings.momentum
    optimizer: Optimizer
    if settings.optimizer == "adamw":
        optimizer = AdamW(groups, lr, betas=(momentum, _SECOND_BETA), weight_decay=weight_decay)
    else:
        optimizer = SGD(groups, lr, momentum, weight_decay=weight_decay, nesterov=momentum > 0)
    if settings.schedule == "cosine":
        after = partial(cosine, final=settings.final_lr_fraction)
    else:
        after = partial(tenths, steps_at=settings.steps_at)
    warmup_steps = round(settings.warmup_fraction * total_steps)
    factor = partial(warm_up, warmup_steps=warmup_steps, total_steps=total_steps, after=after)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}


def warm_up(step: int, *, warmup_steps: int, total_steps: int, after: Callable[[float, float], float]) -> float:
    """Fraction of the full learning rate at `step`: a line up to 1, then the value of `after`.

    Args:
        step: of the optimiser, from 0.
        warmup_steps: length of the line.
        total_steps: of the run.
        after: from the fraction of the run that is done and the fraction that was warm-up.

    Example:
        >>> [round(warm_up(step, warmup_steps=2, total_steps=6, after=cosine), 3) for step in range(7)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return after(min(1.0, step / max(1, total_steps)), warmup_steps / max(1, total_steps))


def cosine(done: float, warmup: float, final: float = 0.0) -> float:
    """Half a cosine from 1 after the warm-up down to `final`.

    Example:
        >>> [round(cosine(done, 0, final=0.1), 3) for done in (0, 0.5, 1)]
        [1.0, 0.55, 0.1]
    """
    falling = 0.5 * (1 + math.cos(math.pi * (done - warmup) / ((1 - warmup) or 1)))
    return final + (1 - final) * falling


def tenths(done: float, _: float, steps_at: Sequence[float]) -> float:
    """A tenth of the previous rate from each fraction of the run in `steps_at` on.

    Example:
        >>> [round(tenths(done, 0, [0.5, 0.75]), 3) for done in (0.49, 0.5, 0.75)]
        [1.0, 0.1, 0.01]
    """
    return float(0.1 ** sum(done >= fraction for fraction in steps_at))
