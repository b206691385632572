"""Optimiser and learning-rate schedule of the Lightning tasks."""

import math
from typing import Any

from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, SequentialLR

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
    scheduler = build_schedule(optimizer, total_steps, settings)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def build_schedule(optimizer: Optimizer, total_steps: int, settings: OptimizationSettings) -> LRScheduler:
    """A line up to the learning rate, then half a cosine or steps; see `conf/training/optimization.yaml`."""
    warmup_steps = round(settings.warmup_fraction * total_steps)
    after: LRScheduler
    if settings.schedule == "cosine":
        steps = max(1, total_steps - warmup_steps)
        after = CosineAnnealingLR(optimizer, steps, eta_min=settings.final_lr_fraction * settings.lr)
    else:
        after = MultiStepLR(optimizer, [math.ceil(done * total_steps) - warmup_steps for done in settings.steps_at])
    if not warmup_steps:
        return after
    line = LinearLR(optimizer, 1 / warmup_steps, total_iters=max(1, warmup_steps - 1))
    return SequentialLR(optimizer, [line, after], [warmup_steps])
