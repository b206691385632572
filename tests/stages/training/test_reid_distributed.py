"""Two processes that share a batch of people learn what one process learns from all of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.crops import small_settings, write_reid_set
from training.reid import train
from training.reid.network import ReidNetwork, build_reid_network
from training.reid.train import ReidSettings, train_reid


class CurveFile:
    """Keeps curves in a file, for they are logged by another process."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, points: Mapping[str, float], _: int) -> None:
        with self.file.open("a") as lines:
            lines.write(json.dumps(dict(points)) + "\n")

    def read(self) -> dict[str, float]:
        points = (json.loads(line) for line in self.file.read_text().splitlines())
        return {name: value for each in points for name, value in each.items()}


def with_frozen_norms(*options: Any) -> ReidNetwork:
    """Batch norms use their stored statistics: what they see in training is each process's own."""
    network = build_reid_network(*options)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            layer.eval()
    return network


def learn(folder: Path, devices: int, aside: Path) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """One step on one batch of four people; the curves and the weights after it."""
    values = small_settings(
        "reid",
        "osnet_resnet50",
        backbone="backbone",
        backbones={"backbone": {"architecture": "osnet_x0_25", "weights": None, "stripes": 1, "share_of_epochs": 1.0}},
        identities_per_batch=4,
        images_per_identity=8,
        max_epochs=1,
        optimizer="sgd",
        lr=0.1,
        warmup_fraction=0.0,
    )
    unchanged = dict.fromkeys(("flip_probability", "pad_px", "colour_jitter", "erase_probability"), 0)
    values["augmentation"] |= unchanged
    values["hardware"] |= {"devices": devices}
    curves = CurveFile(aside / f"curves{devices}")
    network, _ = train_reid(ReidSettings.model_validate(values), folder, 0, aside / f"run{devices}", curves)
    return curves.read(), network.state_dict()


def test_two_processes_take_the_step_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "build_reid_network", with_frozen_norms)
    folder = write_reid_set(tmp_path, num_train=4, num_val=3)
    torch.manual_seed(0)
    start = with_frozen_norms("osnet_x0_25", 4, 1).state_dict()
    (one, one_weights), (two, two_weights) = (learn(folder, devices, tmp_path) for devices in (1, 2))
    losses = ("train/loss", "train/identity_loss", "train/triplet_loss")
    assert {name: two[name] for name in losses} == pytest.approx({name: one[name] for name in losses}, rel=1e-4)
    assert one["train/triplet_loss"] > 0.1
    moved = max(float((one_weights[name] - start[name]).abs().max()) for name in start if "weight" in name)
    assert moved > 1e-3
    for name, weight in one_weights.items():
        torch.testing.assert_close(two_weights[name], weight, rtol=1e-3, atol=1e-5)
