"""DVC stage `train_attributes`: data/<district>/attributes -> models/<district>/attributes/ (weights, card)."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.utils.data import BatchSampler

from districts.layout import Split, read_attribute_split, read_district
from domain.attributes import AttributeSchema
from domain.model_card import ModelCard
from domain.paths import CHECKPOINTS, DATA, configured_district, users_file
from domain.schemas import read_schema
from domain.settings import read_params
from domain.stage import run_stage
from evaluation.experiments.log import training_run
from training.attributes.losses import RareLabels, build_loss
from training.attributes.network import AttributeNetwork, build_attribute_network, group_probabilities
from training.attributes.operating_point import fit_temperatures
from training.attributes.task import AttributeTask
from training.crops.augmentation import CHANNEL_MEAN, CHANNEL_STD, Preparation
from training.crops.backbone import load_pretrained
from training.crops.data import CropData, CropDataset, shuffled_batches
from training.crops.lightning_run import CropTrainingSettings, Curves, checkpoint_folder, fit, seed_run, tiny_as_zero
from training.crops.optimization import configure_optimizer
from training.nodes import trains_along
from training.resuming import digest
from training.single_output import SingleOutput
from training.trained_model import write_trained

MODEL = "attributes"


class AttributeSettings(CropTrainingSettings):
    """Section `attributes`."""

    architecture: str
    weights: Path | None
    stripes: PositiveInt
    schema_name: str | None = Field(alias="schema")
    batch: PositiveInt
    rare_labels: RareLabels


def main(argv: Sequence[str] = ()) -> None:
    """Train, write the best network and its card, and log the run."""
    settings = AttributeSettings.from_params("attributes", argv).on_this_machine()
    district, seed = configured_district(argv), read_params(argv)["seed"]
    folder = DATA.of(district)
    schema = choose_schema(settings, folder)
    if trains_along():
        train_attributes(settings, folder, schema, seed, CHECKPOINTS.of(district) / MODEL, lambda *_: None)
        return
    plain = settings.model_dump(mode="json", by_alias=True) | {"seed": seed}
    checkpoints = checkpoint_folder(district, MODEL, plain | _identity(settings, folder, schema))
    with training_run(
        MODEL,
        params=settings.compared() | {"seed": seed},
        dataset_folder=folder / "attributes",
        district=district,
        checkpoint_folder=checkpoints,
    ) as run:
        network, temperatures = train_attributes(settings, folder, schema, seed, checkpoints, run.log_curves)
        card = ModelCard(
            task="attributes",
            architecture=settings.architecture,
            input_height_px=settings.input_height_px,
            input_width_px=settings.input_width_px,
            resize="stretch",
            channel_mean=CHANNEL_MEAN,
            channel_std=CHANNEL_STD,
            output_names=schema.group_names,
            attribute_schema=schema,
            temperatures=temperatures,
            stripes=settings.stripes,
            district=district,
        )
        write_trained(MODEL, network, card, run, logged=SingleOutput(network, group_probabilities))
    shutil.rmtree(checkpoints)


def _identity(settings: AttributeSettings, folder: Path, schema: AttributeSchema) -> dict[str, Any]:
    """What makes two trainings one beside the settings: schema, labels and pictures, and the weights to start from."""
    splits: tuple[Split, ...] = ("train", "val")
    files = {folder / "attributes" / f"{split}.csv" for split in splits}
    files |= {
        folder / "attributes" / "images" / name
        for split in splits
        for name in read_attribute_split(folder, split, schema).images
    }
    files |= {users_file(weights) for weights in [settings.weights] if weights}
    return {"schema": schema.model_dump(mode="json"), "data": digest(files, folder)}


def choose_schema(settings: AttributeSettings, folder: Path) -> AttributeSchema:
    """The schema of the settings, else the district's in `folder`.

    Raises:
        InputError: if there is no such schema.
    """
    if settings.schema_name:
        name = settings.schema_name
        return read_schema(users_file(Path(name)) if Path(name).suffix in {".yaml", ".yml"} else name)
    name = read_district(folder).attribute_schema
    return read_schema(folder / name if Path(name).suffix in {".yaml", ".yml"} else name)


@tiny_as_zero()
def train_attributes(
    settings: AttributeSettings,
    folder: Path,
    schema: AttributeSchema,
    seed: int,
    checkpoints: Path,
    log_curves: Curves,
) -> tuple[AttributeNetwork, dict[str, float]]:
    """Train on the split `train` of the district in `folder`, validate and calibrate on `val`.

    Args:
        settings: section `attributes`.
        folder: of the district.
        schema: groups to learn; other columns of the labels are ignored.
        seed: of initial weights, batches and augmentation.
        checkpoints: folder of the checkpoints, from which a killed training resumes.
        log_curves: takes points of named curves and their epoch.

    Returns:
        the network with the best weights, in eval mode on the CPU, and the temperatures already in its heads.
    """
    seed_run(seed)
    train, labels = _read_crops(settings, folder, "train", schema)
    val, _ = _read_crops(settings, folder, "val", schema)
    network = build_attribute_network(settings.architecture, schema, settings.stripes)
    if settings.weights:
        load_pretrained(network, users_file(settings.weights))
    task = AttributeTask(
        network,
        Preparation(settings.augmentation),
        partial(configure_optimizer, settings=settings),
        build_loss(settings.rare_labels, schema, labels),
        schema,
    )
    batches = partial(shuffled_batches, train, settings.batch, seed)
    data = CropData(train, batches, val, settings.validation_batch, settings.hardware.num_workers)
    fit(task, data, settings, monitor="val/instance_f1", folder=checkpoints, seed=seed, log_curves=log_curves)
    network.cpu().to(memory_format=torch.contiguous_format).eval()
    temperatures = fit_temperatures(*_predict(task, val, settings.validation_batch))
    network.cool(temperatures)
    return network, temperatures


@torch.inference_mode()
def _predict(task: AttributeTask, crops: CropDataset, batch_size: int) -> tuple[dict[str, Tensor], Tensor]:
    """Logits of each group `[image, label]`, and labels `[image, group]`."""
    task.eval()
    batches = [crops[indices] for indices in BatchSampler(range(len(crops)), batch_size, drop_last=False)]
    logits = [task.network(task.prepare(batch.images)) for batch in batches]
    by_group = {name: torch.cat([part[name] for part in logits]) for name in logits[0]}
    return by_group, torch.cat([batch.labels for batch in batches])


def _read_crops(
    settings: AttributeSettings, folder: Path, split: Split, schema: AttributeSchema
) -> tuple[CropDataset, np.ndarray]:
    table = read_attribute_split(folder, split, schema)
    files = [folder / "attributes" / "images" / name for name in table.images]
    return CropDataset(files, table.labels, *settings.input_size, settings.hardware.cache_in_memory_mib), table.labels


if __name__ == "__main__":
    run_stage(main)
