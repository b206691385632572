"""The stage `train_reid` with frozen batch norms, as torchrun starts it: `python -m tests.helpers.reid_stage`."""

from typing import Any

import torch

from domain.stage import run_stage
from training.reid import train
from training.reid.network import ReidNetwork, build_reid_network


def with_frozen_norms(*options: Any, **named: Any) -> ReidNetwork:
    """Batch norms use their stored statistics: what they see in training is each process's own."""
    network = build_reid_network(*options, **named)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            layer.eval()
    return network


if __name__ == "__main__":
    train.build_reid_network = with_frozen_norms  # type: ignore[attr-defined, assignment]
    run_stage(train.main)
