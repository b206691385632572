"""As many epochs as fit into a training's time: its first steps are timed, on a copy, before it begins."""

import copy
import json
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import torch
from pytorch_lightning import Callback, Trainer

from domain.atomic import atomic_file
from domain.errors import InputError
from training.crops.data import CropData
from training.crops.task import CropTask
from training.settings import TrainingSettings

_WARM_UP, _TIMED = 3, 9  # steps: the first ones allocate
_NOTE = "epochs.json"
_Settings = TypeVar("_Settings", bound=TrainingSettings)


def with_epochs_that_fit(
    settings: _Settings, task: CropTask, data: CropData, minutes: float, validate_every_epochs: int, folder: Path
) -> _Settings:
    """`settings` with as many epochs as fit into `minutes`, at least one and at most `max_epochs`; says how many.

    A training that goes on keeps the number that it began with, by a note in `folder`: its learning rate depends on it.

    Args:
        settings: of the run, on one device.
        task: is left as it is.
        data: training and validation crops.
        minutes: of training and validation, after pictures were read.
        validate_every_epochs: validations take a part of the time.
        folder: of the checkpoints.

    Raises:
        InputError: if the training has several devices, whose pace one of them does not tell.
    """
    if settings.hardware.devices > 1:
        raise InputError(f"minutes must be null with several devices, got {minutes:g} with {settings.hardware.devices}")
    note = folder / _NOTE
    if note.is_file():
        return settings.model_copy(update={"max_epochs": int(json.loads(note.read_text())["max_epochs"])})
    step_s, validation_s = _paces(settings, task, data)
    epoch_s = step_s * data.num_steps + validation_s / validate_every_epochs
    fitting = int((60 * minutes - validation_s) / epoch_s)  # the best weights are validated once more
    epochs = max(1, min(settings.max_epochs, fitting))
    print(
        f"{minutes:g} min: {epochs} epochs of about {epoch_s:.0f} s" + _said(fitting, settings.max_epochs), flush=True
    )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(note) as aside:
        aside.write_text(json.dumps({"max_epochs": epochs}))
    return settings.model_copy(update={"max_epochs": epochs})


def _said(fitting: int, most: int) -> str:
    if fitting < 1:
        return "; not even one fits, but one is trained"
    return f", which is max_epochs; {fitting} would fit" if fitting > most else ""


def _paces(settings: TrainingSettings, task: CropTask, data: CropData) -> tuple[float, float]:
    """Seconds of a training step, and of one validation, which is its pictures' way through the network."""
    timed, hardware = _TimedSteps(), settings.hardware
    trial = copy.deepcopy(task)
    trainer = Trainer(
        accelerator=hardware.accelerator,
        devices=1,
        precision=hardware.chosen_precision,
        accumulate_grad_batches=hardware.accumulate_batches,
        max_epochs=_WARM_UP + _TIMED,  # of data sets that have one batch
        limit_train_batches=_WARM_UP + _TIMED,
        limit_val_batches=0,
        callbacks=[timed],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(trial, datamodule=data)
    return timed.step_s, _validation_s(trial.to(trainer.strategy.root_device), data)


@torch.inference_mode()
def _validation_s(task: CropTask, data: CropData) -> float:
    loaders = data.val_dataloader()
    if not loaders:
        return 0.0
    task.eval()
    images = next(iter(loaders[0])).images.to(task.device)
    began = perf_counter()
    task.network(task.prepare(images))
    _finish(task.device)
    return (perf_counter() - began) * len(loaders[0])


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


class _TimedSteps(Callback):
    """Measures the mean time of the steps after the first ones, and ends the training."""

    def __init__(self) -> None:
        self._seen, self._began, self.step_s = 0, 0.0, 0.0

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Count the step."""
        self._seen += 1
        _finish(trainer.strategy.root_device)
        if self._seen == _WARM_UP:
            self._began = perf_counter()
        elif self._seen == _WARM_UP + _TIMED:
            self.step_s = (perf_counter() - self._began) / _TIMED
            trainer.should_stop = True
