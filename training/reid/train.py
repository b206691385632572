"""DVC stage `train_reid`: data/<district>/reid -> models/<district>/reid-<backbone>/ (weights.pt, card.json)."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, PositiveInt

from districts.layout import find_pictures, read_reid_folder
from domain.errors import InputError
from domain.model_card import LONGEST_EMBEDDING, ModelCard
from domain.names import Name
from domain.paths import CHECKPOINTS, DATA, configured_district, users_file
from domain.settings import Settings, read_params
from domain.stage import run_stage
from evaluation.experiments.log import training_run
from training.crops.augmentation import CHANNEL_MEAN, CHANNEL_STD, Preparation
from training.crops.data import CropData, CropDataset
from training.crops.lightning_run import CropTrainingSettings, Curves, checkpoint_folder, fit, seed_run, tiny_as_zero
from training.crops.optimization import configure_optimizer
from training.nodes import trains_along
from training.reid.losses import ReidLoss, ReidLossSettings
from training.reid.network import ReidNetwork, build_reid_network, load_pretrained
from training.reid.sampling import IdentityBatches
from training.reid.task import ReidTask, score_held_out
from training.resuming import digest
from training.trained_model import write_trained


class Backbone(Settings):
    """An entry of `reid.backbones`."""

    architecture: str
    weights: Path | None
    stripes: PositiveInt
    share_of_epochs: float = Field(gt=0, le=1)


class ReidSettings(CropTrainingSettings, ReidLossSettings):
    """Section `reid`."""

    backbone: Name
    backbones: dict[Name, Backbone]
    identities_per_batch: PositiveInt = Field(ge=2)
    images_per_identity: PositiveInt = Field(ge=2)

    @property
    def chosen(self) -> Backbone:
        """The backbone to train.

        Raises:
            InputError: if `backbone` is not among `backbones`.
        """
        if self.backbone not in self.backbones:
            raise InputError(f"reid.backbone must be one of {', '.join(self.backbones)}, got {self.backbone}")
        return self.backbones[self.backbone]

    def compared(self) -> dict[str, Any]:
        """The settings that a person compares between trainings, of the backbones those of the chosen one."""
        plain = super().compared()
        return plain | plain.pop("backbones")[plain.pop("backbone")]

    def for_chosen(self) -> "ReidSettings":
        """These settings with the epochs of the chosen backbone."""
        return self.model_copy(update={"max_epochs": max(1, round(self.max_epochs * self.chosen.share_of_epochs))})


def main(argv: Sequence[str] = ()) -> None:
    """Train, write the best network and its card, and log the run."""
    settings = ReidSettings.from_params("reid", argv).for_chosen().on_this_machine()
    district, seed = configured_district(argv), read_params(argv)["seed"]
    model, data_folder = f"reid-{settings.backbone}", DATA.of(district) / "reid"
    if trains_along():
        train_reid(settings, data_folder, seed, CHECKPOINTS.of(district) / model, lambda *_: None)
        return
    checkpoints = checkpoint_folder(district, model, _identity(settings, data_folder, seed))
    with training_run(
        model,
        params=settings.compared() | {"seed": seed},
        dataset_folder=data_folder,
        district=district,
        checkpoint_folder=checkpoints,
    ) as run:
        network, scores = train_reid(settings, data_folder, seed, checkpoints, run.log_curves)
        card = ModelCard(
            task="reid",
            architecture=settings.chosen.architecture,
            input_height_px=settings.input_height_px,
            input_width_px=settings.input_width_px,
            resize="stretch",
            channel_mean=CHANNEL_MEAN,
            channel_std=CHANNEL_STD,
            output_names=("embeddings",),
            stripes=settings.chosen.stripes,
            feature=network.feature,
            match_distance=scores.get("val/match_distance"),
            share_of_epochs=settings.chosen.share_of_epochs,
            district=district,
        )
        write_trained(model, network, card, run)
    shutil.rmtree(checkpoints)


def _identity(settings: ReidSettings, data_folder: Path, seed: int) -> dict[str, Any]:
    """What makes two trainings one: the other backbones do not matter, nor do query and gallery."""
    parts = [data_folder / part for part in ("bounding_box_train", "bounding_box_val")]
    files = [file for part in parts if part.is_dir() for file in find_pictures(part)]
    files += [users_file(weights) for weights in [settings.chosen.weights] if weights]
    backbone = settings.chosen.model_dump(mode="json", exclude={"share_of_epochs"})
    others = settings.model_dump(mode="json", exclude={"backbone", "backbones"})
    return others | {"backbone": backbone, "seed": seed, "data": digest(files, data_folder)}


@tiny_as_zero()
def train_reid(
    settings: ReidSettings, data_folder: Path, seed: int, checkpoints: Path, log_curves: Curves
) -> tuple[ReidNetwork, dict[str, float]]:
    """Train on `bounding_box_train` and validate on `bounding_box_val`, if the district has it.

    Args:
        settings: section `reid`, for the chosen backbone.
        data_folder: `reid/` of a district.
        seed: of initial weights, batches and augmentation.
        checkpoints: folder of the checkpoints, from which a killed training resumes.
        log_curves: takes points of named curves and their epoch.

    Returns:
        the network with the best weights, in eval mode on the CPU, and its validation scores.
    """
    seed_run(seed)
    train, classes = read_training_crops(settings, data_folder)
    network = build_reid_network(
        settings.chosen.architecture,
        int(classes.max()) + 1,
        settings.chosen.stripes,
        cosines=settings.identity_loss == "circle",
    )
    if network.feature > LONGEST_EMBEDDING:
        told = f"embeddings of {network.feature} numbers are evaluated"
        print(f"note: {told}, but the service searches at most {LONGEST_EMBEDDING}")
    if settings.chosen.weights:
        load_pretrained(network, users_file(settings.chosen.weights))
    task = ReidTask(
        network,
        Preparation(settings.augmentation),
        partial(configure_optimizer, settings=settings),
        ReidLoss(settings),
    )

    people_and_pictures = settings.identities_per_batch, settings.images_per_identity
    batches = partial(IdentityBatches, classes, *people_and_pictures, seed)
    val = read_validation_crops(settings, data_folder)
    data = CropData(train, batches, val, settings.validation_batch, settings.hardware.num_workers)
    scores = fit(task, data, settings, monitor="val/map", folder=checkpoints, seed=seed, log_curves=log_curves)
    return network.cpu().to(memory_format=torch.contiguous_format).eval(), scores


def read_training_crops(settings: ReidSettings, data_folder: Path) -> tuple[CropDataset, np.ndarray]:
    """The crops of `bounding_box_train` without junk and distractors, and their identities `[image]`, from 0."""
    table = read_reid_folder(data_folder.parent, "bounding_box_train")
    known = np.flatnonzero(table.identities > 0)
    _, classes = np.unique(table.identities[known], return_inverse=True)
    files = [data_folder / "bounding_box_train" / table.images[index] for index in known]
    return _crops(settings, files, classes), classes


def read_validation_crops(settings: ReidSettings, data_folder: Path) -> CropDataset | None:
    """The crops of `bounding_box_val` with identity and camera, or `None` if the district does not have this folder.

    Raises:
        InputError: if no person is in two cameras with a crop beside the query.
    """
    if not (data_folder / "bounding_box_val").is_dir():
        return None
    table = read_reid_folder(data_folder.parent, "bounding_box_val")
    files = [data_folder / "bounding_box_val" / name for name in table.images]
    # Looks apart, the first validation: people who cannot be validated on are told before hours of training.
    score_held_out(np.ones((len(files), 1), np.float32), table.identities, table.cameras)
    return _crops(settings, files, np.stack([table.identities, table.cameras], axis=1))


def _crops(settings: ReidSettings, files: list[Path], labels: np.ndarray) -> CropDataset:
    return CropDataset(files, labels, *settings.input_size, settings.hardware.cache_in_memory_mib)


if __name__ == "__main__":
    run_stage(main)
