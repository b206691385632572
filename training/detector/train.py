"""DVC stage `train_detector`: data/<district>/detection -> models/<district>/detector/ (weights, card, plots)."""

import csv
import json
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from districts.box_files import LabelledFrame, read_detection_split
from districts.checks.detection import check_detection
from districts.checks.readings import Readings
from districts.findings import require_sound, shown_first
from domain.errors import InputError
from domain.model_card import ModelCard, Nms
from domain.paths import CHECKPOINTS, DATA, configured_district, users_file
from domain.settings import read_params
from domain.stage import run_stage
from evaluation.experiments.log import TrainingRun, training_run
from training.detector.darknet import save_weights
from training.detector.network import CFG, DarknetNetwork
from training.detector.operating_point import best_f1_threshold, detect
from training.detector.preparation import define_network, link_data, start_network
from training.nodes import require_one_node
from training.progress import Estimate, say
from training.resuming import claim, digest, digest_of_text
from training.settings import HardwareSettings, TrainingSettings
from training.single_output import SingleOutput
from training.stopping import StopRequest, stopped
from training.trained_model import write_trained

MODEL = "detector"
_DARKNET_WEIGHTS = "weights.weights"
_PLOTS = ("*.png", "labels.jpg", "results.csv")
_SAID = ("train/", "metrics/mAP50")
_PICTURES = "*.jpg"  # mosaics of the data, which show people


class DetectorHardwareSettings(HardwareSettings):
    """Section `detector.hardware`: ultralytics checks float16 with a network that it downloads, so it is left out."""

    precision: Literal["32", "bf16-mixed"]


class DetectorSettings(TrainingSettings):
    """Section `detector`."""

    cfg: str
    weights: Path | None
    weights_class: NonNegativeInt | None
    anchors: Literal["cfg", "fit"]
    iou_normalizer: PositiveFloat | None
    iou_thresh: PositiveFloat | None
    batch: PositiveInt
    patience: PositiveInt
    hardware: DetectorHardwareSettings
    mosaic: float = Field(ge=0, le=1)
    mosaic_off_epochs: NonNegativeInt
    scale: float = Field(ge=0, lt=1)
    multi_scale: float = Field(ge=0, lt=1)
    iou_threshold: float = Field(gt=0, le=1)
    nms: Nms


def main(argv: Sequence[str] = ()) -> None:
    """Check the data, train or resume training, choose the score threshold, and write the model."""
    require_one_node()
    settings = DetectorSettings.from_params("detector", argv)
    params = read_params(argv)
    district, seed = configured_district(argv), int(params["seed"])
    detection, checkpoints = DATA.of(district) / "detection", CHECKPOINTS.of(district) / MODEL
    findings = list(check_detection(detection.parent, ("train", "val"), Readings()))
    for line in shown_first(findings):
        print(line)
    require_sound(findings)
    train, val = (read_detection_split(detection.parent, split) for split in ("train", "val"))
    print(f"{district}: {len(train)} training and {len(val)} validation pictures, {_num_people(train)} people to learn")

    can_resume = _prepare(settings, seed, train, val, checkpoints)
    with training_run(
        MODEL,
        params=settings.compared() | {"seed": seed},
        dataset_folder=detection,
        district=district,
        checkpoint_folder=checkpoints,
    ) as run:
        network, curves = _train(settings, seed, max(len(train), len(val)), can_resume, checkpoints, run)
        threshold, f1 = best_f1_threshold(val, detect(network, val, settings.iou_threshold, settings.nms))
        print(f"best F1 on validation: {f1:.3f} at the score {threshold:.3f}")
        run.log_curves({"val/best_f1": f1}, step=settings.max_epochs)
        card = ModelCard(
            task="detector",
            architecture=Path(settings.cfg).stem,
            input_height_px=settings.input_height_px,
            input_width_px=settings.input_width_px,
            resize="letterbox",
            output_names=("boxes", "scores"),
            class_names=("person",),
            score_threshold=threshold,
            iou_threshold=settings.iou_threshold,
            nms=settings.nms,
            district=district,
        )
        served = SingleOutput(network, partial(torch.cat, dim=2))  # xyxy boxes, then scores
        plots = (*_PLOTS, _PICTURES) if params["district"].get("importer") == "demo" else _PLOTS
        write_more = partial(_write_more, network, curves, plots)
        folder = write_trained(MODEL, network, card, run, logged=served, write_more=write_more)
        run.log_figures(sorted((folder / "training").iterdir()))
    shutil.rmtree(checkpoints)


def _prepare(
    settings: DetectorSettings, seed: int, train: list[LabelledFrame], val: list[LabelledFrame], checkpoints: Path
) -> bool:
    """Prepare `checkpoints` for a new run; True if it holds this run, which can go on there."""
    can_resume = claim(checkpoints, _identity(settings, seed, [*train, *val]), _epochs_done)
    link_data({"train": train, "val": val}, checkpoints / "data")
    if can_resume:
        return True
    loss_options = {"iou_normalizer": settings.iou_normalizer, "iou_thresh": settings.iou_thresh}
    cfg = str(users_file(Path(settings.cfg))) if Path(settings.cfg).suffix == ".cfg" else settings.cfg
    definition = define_network(cfg, settings.input_size, settings.anchors, loss_options, train, seed)
    weights = users_file(settings.weights) if settings.weights else None
    network = start_network(definition, weights, seed, settings.weights_class)
    definition.write(checkpoints / "network.cfg")
    save_weights(network, checkpoints / "network.weights")
    return False


def _identity(settings: DetectorSettings, seed: int, frames: list[LabelledFrame]) -> dict[str, Any]:
    """What makes two trainings one: settings, seed, pictures with their boxes, definition and weights to start from."""
    given = [path for path in (settings.weights, Path(settings.cfg)) if path is not None]
    files = [users_file(path) for path in given if users_file(path).is_file()]
    files += [frame.image for frame in frames]
    boxes = [[frame.image.name, frame.boxes_xyxy.tolist()] for frame in frames]
    data = {"pictures": digest(files, Path()), "boxes": digest_of_text(json.dumps(boxes))}
    return settings.model_dump(mode="json") | {"seed": seed, "data": data}


def _epochs_done(folder: Path) -> int | None:
    """Whole epochs of the checkpoint in `folder`, by the rows of ultralytics' table: one at most may be too much."""
    table = folder / "run" / "results.csv"
    if not (folder / "run" / "weights" / "last.pt").is_file():
        return None
    return len(table.read_text().splitlines()) - 1 if table.is_file() else 0


def _train(
    settings: DetectorSettings, seed: int, largest_split: int, can_resume: bool, checkpoints: Path, run: TrainingRun
) -> tuple[DarknetNetwork, Path]:
    """Train, and return the network of the best epoch and the folder with the run's curves and plots."""
    from training.detector.trainer import DetectorTrainer  # here, for its import configures ultralytics

    last = checkpoints / "run" / "weights" / "last.pt"
    overrides = _overrides(settings, seed, largest_split, checkpoints)
    if can_resume:
        overrides["resume"] = str(last)
        print(f"resuming from {last}")
    trainer = DetectorTrainer(overrides=overrides)
    curves = _CurveLog(trainer.csv, run, settings.max_epochs)
    trainer.add_callback("on_fit_epoch_end", curves)
    trainer.add_callback("on_train_start", _begin_estimate)
    with nullcontext() if trainer.ddp else StopRequest() as request:
        if request is not None:
            _end_on(request, trainer, checkpoints)
        if not (can_resume and trainer.is_finished()):
            trainer.train()
    curves()
    if request is not None and request.is_there:
        raise stopped(checkpoints)
    return trainer.best_network(), Path(trainer.save_dir)


def _begin_estimate(trainer: Any) -> None:
    """Say how large ultralytics' training is and, after some batches, how long it takes."""
    loader = trainer.train_loader
    estimate = Estimate(len(loader.dataset), len(loader), trainer.epochs - trainer.start_epoch)
    trainer.add_callback("on_train_batch_end", lambda _: estimate.after_batch())


def _end_on(request: StopRequest, trainer: Any, checkpoints: Path) -> None:
    """Let ultralytics' training end on `request` after a batch, or after the validation that follows an epoch's last.

    Its process for each of several GPUs would not know of it.
    """
    batches = count(1)

    def after_batch(_: Any) -> None:
        if next(batches) % len(trainer.train_loader) and request.is_there:
            trainer.save_within_epoch()
            raise stopped(checkpoints)

    def after_epoch(_: Any) -> None:
        if request.is_there:
            raise stopped(checkpoints)

    trainer.add_callback("on_train_batch_end", after_batch)
    trainer.add_callback("on_fit_epoch_end", after_epoch)


def _overrides(settings: DetectorSettings, seed: int, largest_split: int, checkpoints: Path) -> dict[str, Any]:
    """The settings by ultralytics' names; `largest_split` is the number of pictures in it."""
    hardware, longest_px = settings.hardware, max(settings.input_size)
    cache_mib = largest_split * longest_px**2 * 3 / 2**20  # at most: ultralytics keeps each picture's aspect
    return {
        "model": str((checkpoints / "network.cfg").resolve()),
        "data": str((checkpoints / "data").absolute()),
        "project": str(checkpoints.resolve()),
        "name": "run",
        "exist_ok": True,
        "imgsz": longest_px,
        "epochs": settings.max_epochs,
        "batch": settings.batch,
        "nbs": settings.batch * hardware.accumulate_batches,
        "optimizer": {"sgd": "SGD", "adamw": "AdamW"}[settings.optimizer],
        "lr0": settings.lr,
        "lrf": settings.final_lr_fraction,
        "cos_lr": settings.schedule == "cosine",
        "steps_at": settings.steps_at,
        "momentum": settings.momentum,
        "weight_decay": settings.weight_decay,
        "warmup_epochs": settings.warmup_fraction * settings.max_epochs,
        "warmup_bias_lr": 0.0,
        "mosaic": settings.mosaic,
        "close_mosaic": min(settings.mosaic_off_epochs, settings.max_epochs),
        "scale": settings.scale,
        "multi_scale": settings.multi_scale,
        "patience": settings.patience,
        "amp": "bf16" if hardware.precision == "bf16-mixed" else False,
        "workers": hardware.num_workers,
        "device": _device(hardware),
        "cache": "ram" if cache_mib <= hardware.cache_in_memory_mib else False,
        "iou": settings.iou_threshold,
        "seed": seed,
        "plots": True,
    }


def _device(hardware: HardwareSettings) -> str:
    """The devices by ultralytics' names, such as `cpu` or `0,1`; empty for a GPU if there is one."""
    if hardware.accelerator == "cpu":
        if hardware.devices > 1:
            raise InputError(f"detector.hardware.devices must be 1 on a CPU, got {hardware.devices}")
        return "cpu"
    if hardware.accelerator == "auto" and hardware.devices == 1:
        return ""
    return ",".join(map(str, range(hardware.devices)))


class _CurveLog:
    """Logs the rows of ultralytics' `results.csv` as curves, each once, including rows from before a kill.

    Args:
        file: `results.csv`, which may not exist yet.
        run: the run to log to.
        max_epochs: of the training.
    """

    def __init__(self, file: Path, run: TrainingRun, max_epochs: int) -> None:
        self.file, self.run, self.max_epochs = file, run, max_epochs
        self.num_logged = 0

    def __call__(self, _: Any = None) -> None:
        if not self.file.is_file():
            return
        with self.file.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        for row in rows[self.num_logged :]:
            values = {name.strip(): float(value) for name, value in row.items() if name and value}
            epoch = int(values.pop("epoch"))
            curves = {_curve_name(name): value for name, value in values.items()}
            finite = {name: value for name, value in curves.items() if np.isfinite(value)}
            self.run.log_curves(finite, epoch)
            say(epoch, self.max_epochs, {name: value for name, value in finite.items() if name.startswith(_SAID)})
        self.num_logged = len(rows)


def _curve_name(name: str) -> str:
    """The name without the characters that MLflow refuses: `metrics/mAP50(B)` -> `metrics/mAP50`."""
    return name.replace("(B)", "")


def _write_more(network: DarknetNetwork, run_folder: Path, plots: Sequence[str], folder: Path) -> None:
    """Write the definition, the weights in Darknet's format, and the curves and `plots` of the run into `folder`."""
    save_weights(network, folder / _DARKNET_WEIGHTS)
    network.definition.write(folder / CFG)
    training = folder / "training"
    training.mkdir()
    for pattern in plots:
        for file in run_folder.glob(pattern):
            shutil.copyfile(file, training / file.name)


def _num_people(frames: list[LabelledFrame]) -> int:
    return sum(len(frame.boxes_xyxy) for frame in frames)


if __name__ == "__main__":
    run_stage(main)
