"""The stage `train_reid`: what it leaves, how it goes on after a kill, what it refuses."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
import yaml

from domain.errors import InputError
from domain.model_card import read_card
from tests.helpers.crops import small_settings, write_reid_set
from tests.helpers.project import ROOT
from training.crops import lightning_run
from training.crops.lightning_run import tiny_as_zero
from training.reid.network import load_reid
from training.reid.task import ReidTask
from training.reid.train import ReidSettings, main, train_reid

BACKBONES = {
    name: {"architecture": name, "weights": None, "stripes": stripes, "share_of_epochs": 1.0}
    for name, stripes in {"osnet_x0_25": 3, "resnet18": 1}.items()
}


def values(**changes: Any) -> dict[str, Any]:
    small = {"backbone": "osnet_x0_25", "backbones": BACKBONES, "identities_per_batch": 4, "lr": 0.002}
    return small_settings("reid", "osnet_resnet50", **small | changes)


class KilledError(RuntimeError):
    """Stands for the end of the process."""


def test_a_killed_training_goes_on_where_it_stopped_and_keeps_the_best(tmp_path: Path) -> None:
    folder = write_reid_set(tmp_path, num_train=4, num_val=4)
    settings = ReidSettings.model_validate(values(max_epochs=3, ema_decay=0.9))
    epochs: list[int] = []
    maps: list[float] = []

    def curves(points: Mapping[str, float], epoch: int) -> None:
        if "val/map" in points:
            maps.append(points["val/map"])
            return
        if epoch == 2 and 2 not in epochs:
            epochs.append(epoch)
            raise KilledError
        epochs.append(epoch)

    with pytest.raises(KilledError):
        train_reid(settings, folder, 0, tmp_path / "checkpoints", curves)
    _, scores = train_reid(settings, folder, 0, tmp_path / "checkpoints", curves)
    assert epochs == [1, 2, 2, 3]
    assert scores["val/map"] == pytest.approx(max(maps), abs=1e-5)


@pytest.mark.parametrize(
    ("sign", "status"),
    [
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="kill"),
        pytest.param(signal.SIGTERM, 143, id="term", marks=pytest.mark.soak),
    ],
)
def test_a_training_killed_in_the_middle_ends_like_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: signal.Signals, status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_reid_set(tmp_path / "data" / "town", num_train=4, num_val=4)
    params = {
        "seed": 1,
        "experiment_name": "test",
        "district": {"name": "town"},
        "mlflow": {"tracking_uri": f"sqlite:///{tmp_path / 'log.db'}", "experiment": "test"},
        "reid": values(max_epochs=5, ema_decay=0.9),
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    last = tmp_path / "checkpoints" / "town" / "reid-osnet_x0_25" / "last.ckpt"
    command = [sys.executable, "-m", "training.reid.train"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while not last.is_file():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(sign)
    assert process.returncode == status
    assert not (tmp_path / "models").exists()
    main()
    resumed = mlflow.get_run(read_card(tmp_path / "models" / "town" / "reid-osnet_x0_25").mlflow_run_id).data.metrics

    expected: dict[str, float] = {}
    settings = ReidSettings.model_validate(params["reid"])
    train_reid(settings, folder, 1, tmp_path / "undisturbed", lambda points, _: expected.update(points))
    assert {"train/loss", "val/map"} <= expected.keys()
    assert {name: resumed[name] for name in expected} == pytest.approx(expected, rel=1e-3)


Trained = tuple[dict[str, torch.Tensor], dict[str, float]]


def train_two_epochs(folder: Path, checkpoints: Path) -> Trained:
    """Weights and scores after two epochs of four steps, each with two steps of validation."""
    settings = ReidSettings.model_validate(values(max_epochs=2, ema_decay=0.9, validation_batch=16))
    network, scores = train_reid(settings, folder, 0, checkpoints, lambda *_: None)
    return network.state_dict(), scores


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """A re-ID set, and what an undisturbed training makes of it."""
    folder = write_reid_set(tmp_path_factory.mktemp("town"), num_train=8, num_val=4)
    return folder, train_two_epochs(folder, folder.parent / "checkpoints")


@pytest.mark.parametrize(
    ("place", "step"),
    [
        pytest.param("training_step", 2, id="within the first epoch"),
        pytest.param("training_step", 4, id="in the last batch of an epoch"),
        pytest.param("training_step", 7, id="within the second epoch"),
        pytest.param("validation_step", 1, id="while the first epoch is validated"),
        pytest.param("validation_step", 5, id="while the best weights are validated, after the training"),
    ],
)
def test_sigterm_leaves_a_checkpoint_from_which_no_step_is_repeated_or_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: tuple[Path, Trained], place: str, step: int
) -> None:
    folder, (expected, expected_scores) = undisturbed
    calls = dict.fromkeys(("training_step", "validation_step"), 0)

    def counted(name: str) -> Any:
        step_of_task = getattr(ReidTask, name)

        def call(self: ReidTask, *arguments: Any) -> Any:
            calls[name] += 1
            if (name, calls[name]) == (place, step):
                signal.raise_signal(signal.SIGTERM)
            return step_of_task(self, *arguments)

        return call

    for name in calls:
        monkeypatch.setattr(ReidTask, name, counted(name))
    with pytest.raises(SystemExit) as stopped:
        train_two_epochs(folder, tmp_path)
    assert stopped.value.code == 143
    weights, scores = train_two_epochs(folder, tmp_path)
    assert calls["training_step"] == 2 * 4
    assert scores == pytest.approx(expected_scores, rel=1e-3)
    for name, weight in expected.items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-5)


def test_as_many_epochs_as_fit_are_trained_and_told_and_the_time_is_measured_on_a_copy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_reid_set(tmp_path, num_train=8, num_val=4)

    def trained(name: str, **changes: Any) -> tuple[list[int], dict[str, torch.Tensor]]:
        epochs: list[int] = []

        def curves(points: Mapping[str, float], epoch: int) -> None:
            epochs.extend([epoch] if "train/loss" in points else [])

        network, _ = train_reid(ReidSettings.model_validate(values(**changes)), folder, 0, tmp_path / name, curves)
        return epochs, network.state_dict()

    epochs, weights = trained("plenty", minutes=1000, max_epochs=2)
    assert epochs == [1, 2]
    told = capsys.readouterr().out
    assert re.search(r"1000 min: 2 epochs of about \d+ s, which is max_epochs; \d+ would fit", told)
    for name, weight in trained("unlimited", max_epochs=2)[1].items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-5)
    assert trained("scarce", minutes=1e-6, max_epochs=9)[0] == [1]
    assert re.search(r"1 epochs of about \d+ s; not even one fits, but one is trained", capsys.readouterr().out)
    assert trained("plenty", minutes=1e-6, max_epochs=2)[0] == [], "it has the two epochs that were told"


def test_tiny_numbers_count_as_zero_while_it_is_asked_for_and_no_longer() -> None:
    tiny = torch.tensor([1e-39])
    with tiny_as_zero():
        assert (tiny * 1).item() == 0
    assert (tiny * 1).item() > 0


def test_people_who_cannot_be_validated_on_are_told_before_the_training(tmp_path: Path) -> None:
    folder = write_reid_set(tmp_path, num_train=4, num_val=4)
    for crop in (folder / "bounding_box_val").iterdir():
        if "_c2" in crop.name:
            crop.unlink()
    settings = ReidSettings.model_validate(values(max_epochs=9, validate_every_epochs=9))
    epochs: list[int] = []
    with pytest.raises(InputError, match="at least one query must have a match in another camera"):
        train_reid(settings, folder, 0, tmp_path / "checkpoints", lambda _, epoch: epochs.append(epoch))
    assert epochs == []


def test_the_pace_is_measured_while_freed_memory_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_reid_set(tmp_path, num_train=4, num_val=4)
    done: list[str] = []

    def measured(*_: Any) -> Any:
        done.append("measured")
        raise KilledError

    monkeypatch.setattr(lightning_run, "keep_freed_memory", lambda: done.append("kept"))
    monkeypatch.setattr(lightning_run, "with_epochs_that_fit", measured)
    with pytest.raises(KilledError):
        train_reid(ReidSettings.model_validate(values(minutes=5)), folder, 0, tmp_path / "checkpoints", lambda *_: None)
    assert done == ["kept", "measured"]


def test_minutes_are_refused_where_they_cannot_be_kept(tmp_path: Path) -> None:
    folder = write_reid_set(tmp_path, num_train=4, num_val=4)
    hardware = values()["hardware"] | {"devices": 2}
    settings = ReidSettings.model_validate(values(minutes=5, hardware=hardware))
    with pytest.raises(InputError, match="minutes must be null with several devices, got 5 with 2"):
        train_reid(settings, folder, 0, tmp_path / "checkpoints", lambda *_: None)


@pytest.mark.parametrize("schedule", ["cosine", "steps"])
def test_a_resumed_training_follows_the_schedule_of_its_new_epochs(tmp_path: Path, schedule: str) -> None:
    folder = write_reid_set(tmp_path, num_train=4, num_val=4)
    rates: dict[str, dict[int, float]] = {}

    def train(name: str, checkpoints: str, max_epochs: int) -> None:
        settings = ReidSettings.model_validate(values(max_epochs=max_epochs, schedule=schedule))
        mine = rates.setdefault(name, {})
        train_reid(
            settings, folder, 1, tmp_path / checkpoints, lambda points, step: mine.update({step: points["train/lr"]})
            if "train/lr" in points else None
        )  # fmt: skip

    train("whole", "whole", 4)
    train("first half", "resumed", 2)
    train("second half", "resumed", 4)
    assert sorted(rates["second half"]) == [3, 4]
    assert rates["second half"] == pytest.approx({epoch: rates["whole"][epoch] for epoch in (3, 4)})
    assert rates["first half"][2] != pytest.approx(rates["whole"][2])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    folder = write_reid_set(tmp_path, num_train=4, num_val=4)
    settings = ReidSettings.model_validate(values(max_epochs=1))
    first, same, other = (
        train_reid(settings, folder, seed, tmp_path / f"run{place}", lambda *_: None)[0].state_dict()
        for place, seed in enumerate((5, 5, 6))
    )
    for name, weight in first.items():
        torch.testing.assert_close(same[name], weight, rtol=1e-4, atol=1e-6)
    assert any((weight - other[name]).abs().max() > 1e-3 for name, weight in first.items() if "conv" in name)


def test_a_backbone_that_is_not_configured_is_refused() -> None:
    with pytest.raises(InputError, match=r"reid\.backbone must be one of osnet_x0_25, resnet18, got vit"):
        _ = ReidSettings.model_validate(values(backbone="vit")).chosen


@pytest.mark.parametrize(("max_epochs", "expected"), [(40, 10), (1, 1)])
def test_a_large_backbone_may_have_a_share_of_the_epochs(max_epochs: int, expected: int) -> None:
    backbones = {"osnet_x0_25": BACKBONES["osnet_x0_25"] | {"share_of_epochs": 0.25}}
    settings = ReidSettings.model_validate(values(max_epochs=max_epochs, backbones=backbones))
    assert settings.for_chosen().max_epochs == expected


def test_the_stage_leaves_a_model_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_reid_set(tmp_path / "data" / "town", num_train=4, num_val=3)
    params = {
        "seed": 1,
        "experiment_name": "test",
        "district": {"name": "town"},
        "mlflow": {"tracking_uri": f"sqlite:///{tmp_path / 'log.db'}", "experiment": "test"},
        "reid": values(),
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    losses = ["reid.identity_loss=circle", "reid.triplet_margin=null"]
    main(["reid.backbone=resnet18", "reid.max_epochs=1", *losses])  # whichever backbone, the other keys act on it
    folder = tmp_path / "models" / "town" / "reid-resnet18"
    card = read_card(folder)
    assert (card.architecture, card.feature, card.district) == ("resnet18", 512, "town")
    assert card.match_distance is not None
    assert card.mlflow_run_id
    assert load_reid(folder)(torch.rand(2, 3, 64, 32)).shape == (2, 512)
    assert not (tmp_path / "checkpoints" / "town" / "reid-resnet18").exists()
    assert not (tmp_path / "lightning_logs").exists()


def test_without_held_out_people_the_last_weights_are_kept(tmp_path: Path) -> None:
    folder = write_reid_set(tmp_path, num_train=4, num_val=3)
    for file in (folder / "bounding_box_val").iterdir():
        file.unlink()
    (folder / "bounding_box_val").rmdir()
    settings = ReidSettings.model_validate(values(max_epochs=1))
    network, scores = train_reid(settings, folder, 0, tmp_path / "checkpoints", lambda *_: None)
    assert scores == {}
    assert not network.training
