"""Optimiser and learning-rate schedule of the Lightning tasks."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal

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
    schedule: Literal["cosine", "steps"]  # after the warm-up
    steps_at: tuple[Annotated[float, Field(gt=0, lt=1)], ...]  # of schedule steps: shares of the run, a tenth from each


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
    after = cosine if settings.schedule == "cosine" else partial(tenths, steps_at=settings.steps_at)
    warmup_steps = round(settings.warmup_fraction * total_steps)
    factor = partial(warm_up, warmup_steps=warmup_steps, total_steps=total_steps, after=after)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}


def warm_up(step: int, *, warmup_steps: int, total_steps: int, after: Callable[[float, float], float]) -> float:
    """Share of the full learning rate at `step` (from 0): a line up to 1, then what `after` says.

    Args:
        step: of the optimiser, from 0.
        warmup_steps: length of the line.
        total_steps: of the run.
        after: takes the share of the run that is done, and the share that was warm-up.

    Example:
        >>> [round(warm_up(step, warmup_steps=2, total_steps=6, after=cosine), 3) for step in range(7)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return after(min(1.0, step / max(1, total_steps)), warmup_steps / max(1, total_steps))


def cosine(done: float, warmup: float) -> float:
    """Half a cosine from 1 after the warm-up down to 0."""
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / ((1 - warmup) or 1)))


def tenths(done: float, _: float, steps_at: Sequence[float]) -> float:
    """A tenth of the rate before from each share of the run in `steps_at` on.

    Example:
        >>> [round(tenths(done, 0, [0.5, 0.75]), 3) for done in (0.49, 0.5, 0.75)]
        [1.0, 0.1, 0.01]
    """
    return float(0.1 ** sum(done >= share for share in steps_at))
