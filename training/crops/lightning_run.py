"""One training by Lightning: resumable after a kill, best weights at the end, curves to the experiment log."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, PositiveInt
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar

from training.allocator import keep_freed_memory
from training.crops.augmentation import AugmentationSettings
from training.crops.data import CropData
from training.crops.task import CropTask
from training.settings import TrainingSettings

CHECKPOINTS = Path("checkpoints")  # checkpoints/<model>: what a killed training goes on from; gone when it ends well
Curves = Callable[[Mapping[str, float], int], None]
logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)  # below it stand advertisements


class CropTrainingSettings(TrainingSettings):
    """Keys that the sections `attributes` and `reid` share."""

    validate_every_epochs: PositiveInt
    validation_batch: PositiveInt
    ema_decay: float | None = Field(gt=0, lt=1)
    augmentation: AugmentationSettings


def checkpoint_folder(model: str, identity: Mapping[str, Any]) -> Path:
    """`checkpoints/<model>`, emptied first if it was left by a run of other settings or data.

    Args:
        model: such as `reid-osnet`.
        identity: settings, seed and data hash; plain values.
    """
    folder = CHECKPOINTS / model
    note, text = folder / "settings.json", json.dumps(identity, indent=2, sort_keys=True, default=str)
    if folder.is_dir() and not (note.is_file() and note.read_text() == text):
        print(f"{folder} is of other settings or data: starting anew")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(text)
    return folder


def fit(
    task: CropTask,
    data: CropData,
    settings: CropTrainingSettings,
    *,
    monitor: str,
    folder: Path,
    seed: int,
    log_curves: Curves,
) -> dict[str, float]:
    """Train `task` and leave in it the weights that validate best (the last ones without validation data).

    Args:
        task: with its optimiser configured.
        data: what to train and validate on.
        settings: of the run.
        monitor: the validation score to be highest, such as `val/map`.
        folder: where checkpoints lie; a `last.ckpt` in it is gone on from.
        seed: of what is drawn at random while training.
        log_curves: takes points of named curves and their epoch (from 1); picklable if there are several devices.

    Returns:
        the validation scores of these weights; empty without validation data.
    """
    best = ModelCheckpoint(
        folder,
        "best",
        monitor,
        mode="max",
        enable_version_counter=False,
        save_on_train_epoch_end=False,
    )
    last = ModelCheckpoint(folder, "last", every_n_epochs=1, enable_version_counter=False, save_on_train_epoch_end=True)
    averaging = [EMAWeightAveraging(decay=settings.ema_decay)] if settings.ema_decay else []
    devices = settings.hardware.devices
    keep_freed_memory()
    trainer = _trainer(settings, folder, devices, [*averaging, best, last, StepSeeds(seed), CurveLog(log_curves)])
    resumed = folder / "last.ckpt"
    trainer.fit(task, datamodule=data, ckpt_path=str(resumed) if resumed.is_file() else None)
    kept = folder / "best.ckpt"
    state = torch.load(kept if kept.is_file() else resumed, map_location="cpu", weights_only=True)["state_dict"]
    task.load_state_dict(state)
    if not data.val_dataloader():
        return {}
    checking = _trainer(settings, folder, 1, [])
    return dict(checking.validate(task, datamodule=data, verbose=False)[0])


def seed_run(seed: int) -> None:
    """Seed every generator a training draws from."""
    seed_everything(seed, workers=True, verbose=False)


def validation_interval(max_epochs: int, at_most: int) -> int:
    """Epochs between validations: the largest divisor of `max_epochs` up to `at_most`, so the last is validated.

    Example:
        >>> validation_interval(18, at_most=5), validation_interval(1, at_most=5)
        (3, 1)
    """
    return next(interval for interval in range(min(at_most, max_epochs), 0, -1) if max_epochs % interval == 0)


class StepSeeds(Callback):
    """What a step draws depends on the seed and its place alone: a resumed run draws what it would have drawn."""

    def __init__(self, seed: int) -> None:
        """`seed` is the run's."""
        self._seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Each process draws its own numbers."""
        place = self._seed, trainer.current_epoch, batch_idx, trainer.global_rank
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))


class CurveLog(Callback):
    """Hands each epoch's training means and each validation's scores to the experiment log."""

    def __init__(self, log_curves: Curves) -> None:
        """Where the points go, with their epoch."""
        self._log_curves = log_curves

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training means and the learning rate."""
        self._log(trainer, "train/", {"train/lr": trainer.optimizers[0].param_groups[0]["lr"]})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation scores."""
        self._log(trainer, "val/", {})

    def _log(self, trainer: Trainer, prefix: str, more: dict[str, float]) -> None:
        if trainer.is_global_zero:
            values = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
            self._log_curves(values | more, trainer.current_epoch + 1)


def _trainer(settings: CropTrainingSettings, folder: Path, devices: int, callbacks: list[Callback]) -> Trainer:
    hardware = settings.hardware
    return Trainer(
        accelerator=hardware.accelerator,
        devices=devices,
        strategy="ddp_spawn" if devices > 1 else "auto",  # only training is done by all, the stage itself by one
        precision=hardware.precision,
        accumulate_grad_batches=hardware.accumulate_batches,
        max_epochs=settings.max_epochs,
        check_val_every_n_epoch=validation_interval(settings.max_epochs, settings.validate_every_epochs),
        callbacks=[*callbacks, TQDMProgressBar()],
        default_root_dir=folder,
        logger=False,  # the callback above writes the curves
        enable_checkpointing=bool(callbacks),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the samplers share batches among processes themselves
    )
