"""Processes that share a batch of people, on one machine or two, learn what one process learns from all of it."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from domain.errors import InputError
from tests.helpers.crops import small_settings, write_reid_set
from tests.helpers.project import ROOT
from tests.helpers.reid_stage import with_frozen_norms
from tests.helpers.rtsp import free_port
from training import nodes
from training.detector import train as detector
from training.reid import train
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


def one_step() -> dict[str, Any]:
    """Settings for one step on one batch of four people."""
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
    return values


def learn(folder: Path, devices: int, aside: Path) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """The curves and the weights after one step."""
    values = one_step()
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


def start_stage(folder: Path, *launcher: str) -> subprocess.Popen[str]:
    command = [sys.executable, *launcher, "-m", "tests.helpers.reid_stage"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.soak
def test_two_nodes_by_torchrun_write_the_model_of_one(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        write_reid_set(folder / "data" / "town", num_train=4, num_val=3)
        params = {
            "seed": 1,
            "experiment_name": "test",
            "district": {"name": "town"},
            "mlflow": {"tracking_uri": f"sqlite:///{folder / 'log.db'}", "experiment": "test"},
            "reid": one_step(),
        }
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
    port = free_port()
    launcher = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1"]
    started = [start_stage(tmp_path / "one")]
    started += [
        start_stage(tmp_path / "two", *launcher, f"--master-port={port}", f"--node-rank={rank}") for rank in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    one, two = (
        torch.load(tmp_path / name / "models/town/reid-backbone/weights.pt", weights_only=True)
        for name in ("one", "two")
    )
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-3, atol=1e-5)
    for name in ("one", "two"):
        with sqlite3.connect(tmp_path / name / "log.db") as log:
            assert log.execute("SELECT count(*) FROM runs WHERE name = 'train_reid-backbone'").fetchone() == (1,)


def test_the_devices_of_a_machine_are_those_that_torchrun_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6", "RANK": "3"}.items():
        monkeypatch.setenv(name, value)
    hardware = ReidSettings.model_validate(one_step()).hardware
    assert nodes.trains_along()
    assert nodes.num_nodes(hardware.model_copy(update={"devices": 2})) == 3
    with pytest.raises(InputError, match="must be --nproc-per-node of torchrun, got 1 and 2"):
        nodes.num_nodes(hardware)
    with pytest.raises(InputError, match="must be started without torchrun"):
        detector.main([])
