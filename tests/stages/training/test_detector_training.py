"""The stage `train_detector` on a handful of pictures: what it writes, and that it goes on after being stopped."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import DEFAULT_CFG_DICT

from districts.box_files import read_detection_split
from domain.errors import InputError
from domain.images import write_image
from domain.model_card import read_card
from domain.paths import CHECKPOINTS as ALL_CHECKPOINTS
from tests.helpers.project import ROOT, section
from training.detector import train
from training.detector.darknet import load_weights
from training.detector.network import build_yolov4, load_detector
from training.detector.trainer import DetectorTrainer, TrainableDetector

DOWN = "[conv]\nbatch_normalize=1\nfilters={}\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
CFG = (
    "[net]\nwidth=64\nheight=64\nchannels=3\n"
    + "".join(DOWN.format(filters) for filters in (8, 8, 16, 16, 16))
    + "[conv]\nfilters=18\nsize=1\nactivation=linear\n"
    + "[yolo]\nmask=0,1,2\nanchors=8,16,16,32,24,60\nclasses=1\nnum=3\niou_loss=ciou\niou_normalizer=0.07\n"
)
EPOCHS = 6
CHECKPOINTS = ALL_CHECKPOINTS.of("tiny") / train.MODEL


@pytest.fixture
def district(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with params.yaml, a very small network, and a detection set of a few pictures."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for split, num in (("train", 6), ("val", 2)):
        for index in range(num):
            image = rng.integers(0, 60, (72, 128, 3), dtype=np.uint8)
            image[20:60, 30:50] = 220
            write_image(tmp_path / "data/tiny/detection/images" / split / f"{index}.jpg", image)
            labels = tmp_path / "data/tiny/detection/labels" / split / f"{index}.txt"
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text("0 0.3125 0.5556 0.15625 0.5556\n" if index else "")
    (tmp_path / "small.cfg").write_text(CFG)
    detector = section("detector", "yolov4_tiny")
    detector["hardware"] |= {"accelerator": "cpu", "accumulate_batches": 1}
    detector |= {
        "cfg": "small.cfg",
        "input_height_px": 64,
        "input_width_px": 96,
        "max_epochs": EPOCHS,
        "batch": 3,
        "mosaic_off_epochs": 1,
    }
    params = {
        "seed": 1,
        "experiment_name": "test",
        "district": {"name": "tiny"},
        "detector": detector,
        "mlflow": {"tracking_uri": f"sqlite:///{tmp_path}/log.db", "experiment": "test"},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


def epochs_in(results: Path) -> list[int]:
    with results.open(newline="") as lines:
        return [int(row["epoch"]) for row in csv.DictReader(lines)]


def kill_in_the_middle_of_an_epoch(district: Path) -> None:
    """Start the stage as a process of its own, and kill it in its third epoch or so."""
    results = district / CHECKPOINTS / "run" / "results.csv"
    command = [sys.executable, "-m", "training.detector.train"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=district, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 200
        while not (results.is_file() and len(epochs_in(results)) >= 2):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(epochs_in(results)) < EPOCHS


def test_a_killed_training_goes_on_and_writes_the_model(district: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kill_in_the_middle_of_an_epoch(district)
    assert not (district / "models").exists()
    train.main()
    assert re.search(r"checkpoints/tiny/detector: going on after \d of 6 epochs\n", capsys.readouterr().out)

    model = district / "models/tiny/detector"
    assert epochs_in(model / "training" / "results.csv") == list(range(1, EPOCHS + 1))
    assert (model / "training" / "results.png").is_file()
    assert [file.name for file in (model / "training").glob("*.jpg")] == ["labels.jpg"]  # no mosaic of people
    card = read_card(model)
    assert (card.architecture, card.input_height_px, card.input_width_px) == ("small", 64, 96)
    assert card.score_threshold is not None
    assert card.mlflow_run_id
    assert not (district / CHECKPOINTS).exists()
    assert {path.name for path in (district / "data/tiny/detection/labels").iterdir()} == {"train", "val"}

    network = load_detector(model)
    again = build_yolov4(model / "network.cfg").eval()
    load_weights(again, model / "weights.weights")
    images = torch.rand(1, 3, 64, 96)
    assert torch.equal(network(images)[0], again(images)[0])


@pytest.mark.parametrize(
    ("batch", "epochs_done"),
    [
        pytest.param(1, 0, id="within the first epoch"),
        pytest.param(3, 1, id="within the second epoch"),
        pytest.param(4, 2, id="in the last batch of an epoch"),
    ],
)
def test_sigterm_leaves_a_checkpoint_within_the_epoch(
    district: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], batch: int, epochs_done: int
) -> None:
    numbers = iter(range(1, 100))
    loss = TrainableDetector.loss

    def watched(self: TrainableDetector, *arguments: Any, **named: Any) -> Any:
        if self.training and next(numbers) == batch:
            signal.raise_signal(signal.SIGTERM)
        return loss(self, *arguments, **named)

    monkeypatch.setattr(TrainableDetector, "loss", watched)
    with pytest.raises(SystemExit) as stopped:
        train.main(["detector.max_epochs=3"])
    assert stopped.value.code == 143
    weights = district / CHECKPOINTS / "run" / "weights"
    reached = torch.load(weights / "last.pt", map_location="cpu", weights_only=False)
    assert reached["epoch"] == epochs_done - 1
    assert reached["updates"] == batch
    assert (weights / "best.pt").exists() == (epochs_done > 0)
    train.main(["detector.max_epochs=3"])
    assert f"going on after {epochs_done} of 3 epochs\n" in capsys.readouterr().out
    assert epochs_in(district / "models/tiny/detector/training/results.csv") == [1, 2, 3]


def pictures(district: Path) -> dict[str, tuple[bytes, int]]:
    folder = district / "data/tiny"
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_training_changes_and_leaves_out_no_picture(district: Path) -> None:
    images = district / "data/tiny/detection/images"
    for name, change in (("1", lambda content: content + bytes(512)), ("2", lambda content: content[:-200])):
        file = images / "train" / f"{name}.jpg"
        file.write_bytes(change(file.read_bytes()))
    write_image(images / "val" / "low.jpg", np.zeros((8, 40, 3), np.uint8))  # ultralytics leaves out below 10 px
    np.save(images / "train" / "3.npy", np.zeros((9, 9, 3), np.uint8))  # … and takes this for 3.jpg
    before = pictures(district)
    seen: list[list[str]] = []
    build = DetectorTrainer.build_dataset

    def watched(self: DetectorTrainer, *arguments: Any, **named: Any) -> Any:
        built = build(self, *arguments, **named)
        seen.append([Path(name).name for name in built.im_files])
        assert {built.load_image(place)[1] for place in range(len(built))} <= {(72, 128), (8, 40)}
        return built

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DetectorTrainer, "build_dataset", watched)
        train.main(["detector.max_epochs=1"])
    assert pictures(district) == before
    assert seen == [["0.jpg", "1.jpg", "2.jpg.png", "3.jpg", "4.jpg", "5.jpg"], ["low.jpg", "0.jpg", "1.jpg"]]


def test_a_training_goes_on_with_other_workers_and_more_epochs_and_else_moves_checkpoints_aside(
    district: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = train.DetectorSettings.from_params("detector")
    assert not prepare(settings)
    last = CHECKPOINTS / "run" / "weights" / "last.pt"
    last.parent.mkdir(parents=True)
    last.write_bytes(b"the work of a night")
    (CHECKPOINTS / "run" / "results.csv").write_text("epoch\n1\n2\n")
    assert prepare(settings)
    hardware = settings.hardware.model_copy(update={"num_workers": 0, "cache_in_memory_mib": 1, "accelerator": "auto"})
    assert prepare(settings.model_copy(update={"hardware": hardware, "max_epochs": 9}))
    said = capsys.readouterr().out
    assert "going on after 2 of 9 epochs, with hardware.accelerator: cpu → auto" in said
    assert "the learning rate follows the new number of epochs" in said
    label = district / "data/tiny/detection/labels/train/1.txt"
    label.write_text(label.read_text().replace("0.3125", "0.3126"))  # of the same size
    assert not prepare(settings)
    said = capsys.readouterr().out
    assert "are of another training (other data): moved to checkpoints/tiny/detector-before-1" in said
    assert Path("checkpoints/tiny/detector-before-1/run/weights/last.pt").read_bytes() == b"the work of a night"
    assert not last.exists()


def prepare(settings: train.DetectorSettings) -> bool:
    folder = Path("data/tiny")
    train_frames, val_frames = (read_detection_split(folder, split) for split in ("train", "val"))
    return train._prepare(settings, 1, train_frames, val_frames, CHECKPOINTS)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["detector.max_epoch=3"], "unknown configuration key detector.max_epoch; did you mean detector.max_epochs?"),
        (["detector.optimizer=lion"], r"detector.optimizer: Input should be 'adamw' or 'sgd', got 'lion'"),
        (["detector.hardware.precision=16-mixed"], r"precision: Input should be '32' or 'bf16-mixed', got '16-mixed'"),
        (["detector.hardware.devices=2"], r"detector.hardware.devices must be 1 on a CPU, got 2"),
        (["detector.cfg=yolov5"], "must be a .cfg file or one of yolov4, yolov4-tiny, got yolov5"),
    ],
)
def test_wrong_settings_stop_the_run(overrides: list[str], message: str, district: Path) -> None:
    with pytest.raises(InputError, match=message):
        train.main(overrides)


def test_bad_data_is_named_before_training_starts(district: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels, images = district / "data/tiny/detection/labels/train", district / "data/tiny/detection/images/train"
    (labels / "2.txt").write_text("0 0.5 1.5 0.1 0.1\n")
    (labels / "3.txt").write_text("0 0.5 0.5 0.1 0.1\n4 0.5 0.5 0.1 0.1\n")
    (images / "4.jpg").write_bytes((images / "4.jpg").read_bytes()[:100])
    with pytest.raises(
        InputError, match=r"got 3 fatal defects:\n(?s:.*)2\.txt, line 1(?s:.*)3\.txt, line 2(?s:.*)4\.jpg"
    ):
        train.main()
    assert "1 pictures have no labels and count as pictures without people: 0.txt" in capsys.readouterr().out
    assert not CHECKPOINTS.exists()


def test_the_trainers_loss_counts_a_batch_by_its_share_of_the_nominal_one() -> None:
    model = TrainableDetector(build_yolov4("yolov4-tiny"), {0: "person"})
    batch: dict[str, Any] = {
        "img": torch.rand(2, 3, 64, 64),
        "batch_idx": torch.tensor([0.0, 1.0]),
        "cls": torch.zeros(2, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.2, 0.6], [0.3, 0.5, 0.2, 0.6]]),
    }
    with torch.no_grad():
        preds = model(batch["img"])
        totals = []
        for nominal in (2, 8):
            model.args = type("Args", (), {"nbs": nominal})()
            total, parts = model.loss(batch, preds)
            totals.append(float(total))
    assert totals[0] == pytest.approx(sum(float(part) for part in parts.values()))
    assert totals[1] == pytest.approx(totals[0] / 4)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("steps", {0: 1.0, 7: 1.0, 8: 0.1, 9: 0.01}),
        ("cosine", {0: 1.0, 5: 0.505, 10: 0.01}),
    ],
)
def test_the_rate_follows_the_schedule(schedule: str, expected: dict[int, float]) -> None:
    trainer: Any = DetectorTrainer.__new__(DetectorTrainer)
    trainer.args, trainer.steps_at = SimpleNamespace(cos_lr=schedule == "cosine", lrf=0.01), (0.8, 0.9)
    trainer.epochs = 10
    trainer.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    trainer._setup_scheduler()
    assert {epoch: trainer.lf(epoch) for epoch in expected} == pytest.approx(expected)


def test_the_burn_in_rises_with_the_fourth_power() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    trainer: Any = DetectorTrainer.__new__(DetectorTrainer)
    trainer.model, trainer.ema, trainer.epoch, trainer.lf = torch.nn.Module(), None, 0, lambda _: 1.0
    trainer.device, trainer.scaler = torch.device("cpu"), torch.amp.GradScaler("cpu", enabled=False)
    trainer.optimizer = torch.optim.SGD([{"params": [weight], "initial_lr": 0.2}], lr=0.2)
    moved = []
    for share in (0.5, 1.0, 1.0):  # of ultralytics' line
        trainer.optimizer.param_groups[0]["lr"] = 0.2 * share
        before, weight.grad = weight.item(), torch.ones(1)
        trainer.optimizer_step()
        moved.append(before - weight.item())
    assert moved == pytest.approx([0.2 * 0.5**4, 0.2, 0.2])


def test_training_on_the_cpu_keeps_the_number_of_threads(district: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        DetectorTrainer(
            overrides={"model": "none.cfg", "data": str(district), "device": "cpu", "project": str(district)}
        )
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_settings_have_ultralytics_names(district: Path) -> None:
    settings = train.DetectorSettings.from_params("detector", ["detector.warmup_fraction=0.25"])
    overrides = train._overrides(settings, seed=1, largest_split=6, checkpoints=Path("checkpoints"))
    assert overrides.keys() - {"steps_at"} <= set(DEFAULT_CFG_DICT)
    assert (overrides["imgsz"], overrides["batch"], overrides["nbs"]) == (96, 3, 3)
    assert (overrides["device"], overrides["amp"], overrides["cache"]) == ("cpu", False, False)
    assert (overrides["optimizer"], overrides["warmup_epochs"], overrides["steps_at"]) == ("SGD", 1.5, (0.8, 0.9))
    hardware = {"accumulate_batches": 4, "accelerator": "gpu", "devices": 2, "precision": "bf16-mixed"}
    larger = settings.hardware.model_copy(update=hardware | {"cache_in_memory_mib": 1})
    overrides = train._overrides(
        settings.model_copy(update={"hardware": larger}), seed=1, largest_split=6, checkpoints=Path("checkpoints")
    )
    assert (overrides["nbs"], overrides["device"], overrides["amp"], overrides["cache"]) == (12, "0,1", "bf16", "ram")


def test_processes_of_several_gpus_follow_the_same_steps(district: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"model": "none.cfg", "data": str(district), "device": "cpu", "project": str(district)}
    trainer = DetectorTrainer(overrides=options | {"steps_at": (0.3, 0.6)})
    trainer.ddp = True
    handed: dict[str, Any] = {}
    monkeypatch.setattr(DetectionTrainer, "train", lambda self: handed.update(vars(self.args)))
    trainer.train()
    assert DetectorTrainer(cfg=DEFAULT_CFG_DICT | {"save_dir": ""}, overrides=handed).steps_at == (0.3, 0.6)
