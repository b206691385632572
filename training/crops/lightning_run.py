"""A training by Lightning: resumes after a kill, keeps the best weights, and logs its curves to MLflow."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.utilities.exceptions import SIGTERMException

from domain.paths import CHECKPOINTS
from training.allocator import keep_freed_memory
from training.crops.augmentation import AugmentationSettings
from training.crops.data import CropData
from training.crops.precision import with_precision_chosen
from training.crops.task import CropTask
from training.crops.time_limit import with_epochs_that_fit
from training.nodes import first_says, is_launched, num_nodes, part, trains_along
from training.progress import Estimate, say, shows_bars
from training.resuming import claim
from training.settings import TrainingSettings
from training.stopping import StopRequest, stopped
from training.weights import UNREADABLE

_LAST = "last.ckpt"
Curves = Callable[[Mapping[str, float], int], None]
# Messages below WARNING are advertisements.
logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
for _expected in (
    r"Checkpoint directory .* exists and is not empty",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    r"You're resuming from a checkpoint that ended before the epoch ended",  # `CropData` leaves out what was trained on
):
    warnings.filterwarnings("ignore", _expected)


class CropTrainingSettings(TrainingSettings):
    """Keys that the sections `attributes` and `reid` share."""

    validate_every_epochs: PositiveInt
    validation_batch: PositiveInt
    ema_decay: float | None = Field(gt=0, lt=1)
    minutes: PositiveFloat | None
    augmentation: AugmentationSettings

    def compared(self) -> dict[str, Any]:
        """The settings that a person compares between trainings; plain and flat."""
        plain = super().compared()
        return plain | plain.pop("augmentation")

    def on_this_machine(self) -> Self:
        """These settings with the precision that `auto` chooses here."""
        return self.model_copy(update={"hardware": with_precision_chosen(self.hardware)})


def checkpoint_folder(district: str, model: str, identity: Mapping[str, Any]) -> Path:
    """`checkpoints/<district>/<model>`, with those of this training or none; those of others are moved aside.

    A killed training resumes from it; at the end of a training it is removed.

    Args:
        district: name.
        model: name, such as `reid-osnet`.
        identity: settings, seed and digest of the run's data; plain values.
    """
    folder = CHECKPOINTS.of(district) / model
    claim(folder, identity, epochs_done)
    return folder


def epochs_done(folder: Path) -> int | None:
    """Whole epochs in the last checkpoint in `folder`; None if there is none that can be read."""
    try:
        return _progress(folder / _LAST)[0]
    except UNREADABLE:
        return None


def _progress(checkpoint: Path) -> tuple[int, int]:
    """Whole epochs, and batches of the last one that was begun."""
    loop = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["loops"]["fit_loop"]
    return loop["epoch_progress"]["current"]["processed"], loop["epoch_loop.batch_progress"]["current"]["ready"]


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
    """Train `task` and load the weights with the best validation score into it (the last ones without validation).

    Args:
        task: the task to train, changed in place.
        data: training and validation crops.
        settings: of the run.
        monitor: name of the validation score, higher is better, such as `val/map`.
        folder: of the checkpoints; training resumes from `last.ckpt` in it, if there is one.
        seed: of the random numbers drawn in training steps.
        log_curves: takes points of named curves and their epoch, from 1; picklable if there are several devices.

    Returns:
        the validation scores of these weights; empty without validation, and in a process that trains along.
    """
    keep_freed_memory()  # before the pace is measured
    if settings.minutes is not None:
        every = settings.validate_every_epochs
        settings = with_epochs_that_fit(settings, task, data, settings.minutes, every, folder)
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
    resumed = folder / _LAST
    own = [StepSeeds(seed), Schedule(), Pace(data.num_train), CurveLog(log_curves), Stop(resumed)]
    # Without torchrun, processes for the training alone, not the stage.
    strategy = "ddp" if is_launched() else "ddp_spawn" if devices > 1 else "auto"
    nodes = num_nodes(settings.hardware)
    trainer = _trainer(settings, folder, devices, [*averaging, best, last, *own], nodes=nodes, strategy=strategy)
    validator = _trainer(settings, folder, 1, [], nodes=1, strategy="auto")
    begun = first_says(lambda: _progress(resumed) if resumed.is_file() else None)
    if begun is not None:
        data.begun = begun[0], begun[1]
    try:
        trainer.fit(task, datamodule=data, ckpt_path=str(resumed) if begun is not None else None)
        part()
        if trains_along():
            return {}
        best_file = folder / "best.ckpt"
        checkpoint = torch.load(best_file if best_file.is_file() else resumed, map_location="cpu", weights_only=True)
        task.load_state_dict(checkpoint["state_dict"])
        scores = validator.validate(task, datamodule=data, verbose=False) if data.val_dataloader() else [{}]
    except SIGTERMException as asked:  # its exit status would be 0
        raise stopped(folder) from asked
    if validator.received_sigterm:  # in its last batch
        raise stopped(folder)
    return dict(scores[0])


def seed_run(seed: int) -> None:
    """Seed all random generators of a training."""
    seed_everything(seed, workers=True, verbose=False)


@contextmanager
def tiny_as_zero() -> Iterator[None]:
    """Numbers below 1e-38 count as 0 in this process.

    Weight decay brings weights of unused channels to there, and processors take many times as long over such numbers.
    Threads take this over as they start, so it is to come before all that computes.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def validation_interval(max_epochs: int, at_most: int) -> int:
    """Epochs between validations: the largest divisor of `max_epochs` up to `at_most`, so the last is validated.

    Example:
        >>> validation_interval(18, at_most=5), validation_interval(1, at_most=5)
        (3, 1)
    """
    return next(interval for interval in range(min(at_most, max_epochs), 0, -1) if max_epochs % interval == 0)


class Pace(Callback):
    """Says how large the training is, with `num_pictures`, and after some batches how long it takes."""

    def __init__(self, num_pictures: int) -> None:
        self._num_pictures = num_pictures

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say the size; the number of batches is that of this process."""
        epochs = (trainer.max_epochs or 0) - trainer.current_epoch
        self._estimate = Estimate(self._num_pictures, int(trainer.num_training_batches), epochs)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Count the batch."""
        self._estimate.after_batch()


class StepSeeds(Callback):
    """Reseeds before each step from (seed, epoch, batch, rank), so a resumed run repeats the same random numbers."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Reseed torch's generator; each process has random numbers of its own."""
        place = self._seed, trainer.current_epoch, batch_idx, trainer.global_rank
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))


class Schedule(Callback):
    """Lets the learning rate of a resumed run follow the schedule of its settings, which may have other epochs.

    Lightning would restore the schedule of the checkpoint, whose cosine rises again after the epochs it was made for.
    """

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep Lightning from restoring the schedule."""
        checkpoint["lr_schedulers"] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the state of a new schedule after the steps that are done; for the same epochs it is the same."""
        if not trainer.global_step:
            return
        assert isinstance(pl_module, CropTask)
        configured: Any = pl_module.configure_optimizers()
        optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")  # of the real optimiser
            for _ in range(trainer.global_step):
                schedule.step()
        trainer.lr_scheduler_configs[0].scheduler.load_state_dict(schedule.state_dict())
        for group, other in zip(trainer.optimizers[0].param_groups, optimizer.param_groups, strict=True):
            group["lr"] = other["lr"]


class Stop(Callback):
    """Ends a training on SIGTERM with a checkpoint within the epoch, after its last batch with that of the epoch.

    Lightning, which would break off a validation and keep whole epochs only, learns of it from here. Several devices
    are left to Lightning, for each process is at a batch of its own.

    Args:
        file: of the checkpoint.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._request, self._handling = file, StopRequest(), ExitStack()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the place of Lightning's handler."""
        if trainer.world_size == 1:
            self._handling.enter_context(self._request)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the checkpoint and end, unless the epoch's own follows."""
        if self._request.is_there and batch_idx + 1 < trainer.num_training_batches:
            trainer.save_checkpoint(self._file)
            raise SIGTERMException

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End after the checkpoint of the epoch before."""
        if self._request.is_there:
            raise SIGTERMException

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End after the last epoch's."""
        self._handling.close()
        if self._request.is_there:
            raise SIGTERMException

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave SIGTERM to others."""
        self._handling.close()


class CurveLog(Callback):
    """Logs each epoch's training means and each validation's scores.

    Args:
        log_curves: takes points of named curves and their epoch, from 1.
    """

    def __init__(self, log_curves: Curves) -> None:
        self._log_curves, self._began, self._done = log_curves, 0.0, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the time."""
        self._began, self._done = perf_counter(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log training means and the learning rate."""
        self._log(trainer, "train/", {"train/lr": trainer.optimizers[0].param_groups[0]["lr"]})
        if trainer.is_global_zero and trainer.max_epochs:
            epoch = trainer.current_epoch + 1
            epoch_s = (perf_counter() - self._began) / (epoch - self._done)
            values = {name: float(value) for name, value in trainer.callback_metrics.items()}
            say(epoch, trainer.max_epochs, values, epoch_s * (trainer.max_epochs - epoch))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log validation scores."""
        self._log(trainer, "val/", {})

    def _log(self, trainer: Trainer, prefix: str, more: dict[str, float]) -> None:
        if trainer.is_global_zero:
            values = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
            self._log_curves(values | more, trainer.current_epoch + 1)


def _trainer(
    settings: CropTrainingSettings, folder: Path, devices: int, callbacks: list[Callback], *, nodes: int, strategy: str
) -> Trainer:
    hardware = settings.hardware
    return Trainer(
        accelerator=hardware.accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=strategy,
        precision=hardware.chosen_precision,
        accumulate_grad_batches=hardware.accumulate_batches,
        max_epochs=settings.max_epochs,
        check_val_every_n_epoch=validation_interval(settings.max_epochs, settings.validate_every_epochs),
        callbacks=[*callbacks, *([TQDMProgressBar()] if shows_bars() else [])],
        enable_progress_bar=shows_bars(),
        default_root_dir=folder,
        logger=False,  # `CurveLog` logs the curves
        enable_checkpointing=bool(callbacks),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # our samplers divide batches among processes themselves
    )
