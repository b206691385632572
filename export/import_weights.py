"""Converts weights that were trained elsewhere into an engine folder.

python -m export.import_weights task=detector cfg=FILE weights=FILE out=DIR [names=FILE]
python -m export.import_weights task=reid backbone=osnet_x0_25 weights=FILE out=DIR
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, PositiveInt, model_validator
from torch import nn

from districts.layout import list_pictures
from domain.atomic import atomic_folder
from domain.errors import InputError
from domain.files import sha256_of
from domain.foreign_files import SMALL_BYTES, read_text
from domain.model_card import ModelCard, Nms, write_card
from domain.settings import Settings
from domain.stage import run_stage
from export.engines.plan_building import PlanPrecision, build_plan
from export.onnx_graph import EngineNetwork, export_onnx
from export.pictures import resized_batches, stacked
from export.settings import Precision, Profile
from training.crops.augmentation import CHANNEL_MEAN, CHANNEL_STD
from training.detector.darknet import load_weights
from training.detector.network import DarknetNetwork, build_yolov4
from training.reid.network import build_reid_network, load_pretrained

_PERSON = "person"
_CALIBRATION_IMAGES = 64  # at most
_ONLY_FOR = {
    "detector": ("cfg", "names", "score_threshold", "iou_threshold", "nms"),
    "reid": ("backbone", "height", "width"),
}


class ImportArguments(Settings):
    """Arguments of the command."""

    task: Literal["detector", "reid"]
    weights: Path
    out: Path
    cfg: Path | None = None  # detector: Darknet's definition
    names: Path | None = None  # detector: file with one class name per line; without it the first class is person
    score_threshold: float = Field(default=0.25, ge=0, le=1)  # detector: Darknet's own default
    iou_threshold: float = Field(default=0.45, ge=0, le=1)  # detector: Darknet's own default
    nms: Nms = "iou"  # detector; diou for a cfg with nms_kind=diounms
    backbone: str | None = None  # reid: torchreid's name of the architecture
    height: PositiveInt = 256  # reid: input in pixels
    width: PositiveInt = 128
    max_batch: PositiveInt = 32
    precisions: tuple[Precision, ...] = ("fp32",)  # of the ONNX files; a CPU runs the first
    pictures: Path | None = None  # folder of pictures from which int8 takes its ranges
    plan: PlanPrecision | None = None  # also a TensorRT-RTX plan of that precision
    compute_capabilities: tuple[str, ...] = ("8.0", "8.6", "8.9", "12.0")  # of the plan

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        if "fp32" not in self.precisions:
            raise ValueError(f"precisions must hold fp32, from which the others are made, got {list(self.precisions)}")
        needed = "cfg" if self.task == "detector" else "backbone"
        if getattr(self, needed) is None:
            raise ValueError(f"task={self.task} needs {needed}=…")
        for task, keys in _ONLY_FOR.items():
            strange = [key for key in keys if task != self.task and key in self.model_fields_set]
            if strange:
                raise ValueError(f"{', '.join(strange)} must be given with task={task} only, got task={self.task}")
        return self


def main(argv: Sequence[str] = ()) -> None:
    """Read the weights into their network and write the engine folder."""
    arguments = ImportArguments.from_arguments(argv)
    for file in (arguments.weights, arguments.cfg, arguments.names):
        if file is not None and not file.is_file():
            raise InputError(f"{file} must be a file; it is missing")
    network, card = _detector(arguments) if arguments.task == "detector" else _reid(arguments)
    profile = Profile(min_batch=1, opt_batch=min(8, arguments.max_batch), max_batch=arguments.max_batch)
    with atomic_folder(arguments.out) as folder:
        wrapped = EngineNetwork(network, card)
        precisions = arguments.precisions
        if arguments.plan and arguments.plan not in precisions:
            precisions = (*precisions, arguments.plan)
        engines = export_onnx(
            wrapped,
            folder,
            profile,
            sha256_of(arguments.weights),
            precisions=precisions,
            calibration_images=_calibration_images(arguments.pictures, card) if "int8" in precisions else None,
        )
        if arguments.plan:
            source = engines[precisions.index(arguments.plan)]
            capabilities = arguments.compute_capabilities
            engines = (*engines, build_plan(folder, card, source, builder="tensorrt_rtx", capabilities=capabilities))
        write_card(card.model_copy(update={"engines": engines}), folder)
    print(f"{arguments.out}: {card.architecture}, {', '.join(entry.file for entry in engines)}")


def _calibration_images(folder: Path | None, card: ModelCard) -> np.ndarray:
    if folder is None:
        raise InputError("int8 needs pictures like those it will see, from which to take ranges: pictures=<folder>")
    files = list_pictures(folder)
    files = files[:: -(-len(files) // _CALIBRATION_IMAGES)]
    return stacked(next(resized_batches(files, card, len(files), "pictures for int8")))


def _detector(arguments: ImportArguments) -> tuple[nn.Module, ModelCard]:
    assert arguments.cfg is not None  # checked with the arguments
    network = build_yolov4(arguments.cfg)
    loaded = load_weights(network, arguments.weights)
    if loaded.file_classes != network.num_classes:
        classes = "an unknown number of" if loaded.file_classes is None else loaded.file_classes
        raise InputError(
            f"{arguments.weights} must hold the whole network of {arguments.cfg} with its {network.num_classes} "
            f"classes, got one of {classes} classes"
        )
    net = network.definition.net
    return network, ModelCard(
        task="detector",
        architecture=arguments.cfg.stem,
        input_height_px=net.integer("height"),
        input_width_px=net.integer("width"),
        resize="letterbox" if net.integer("letter_box", default=0) else "stretch",
        output_names=("boxes", "scores"),
        class_names=_class_names(arguments.names, network),
        score_threshold=arguments.score_threshold,
        iou_threshold=arguments.iou_threshold,
        nms=arguments.nms,
        district="",
        source=arguments.weights.name,
    )


def _class_names(names: Path | None, network: DarknetNetwork) -> tuple[str, ...]:
    if names is None:
        return (_PERSON, *(f"class_{number}" for number in range(1, network.num_classes)))
    lines = tuple(line.strip() for line in read_text(names, SMALL_BYTES).splitlines() if line.strip())
    if len(lines) != network.num_classes:
        raise InputError(f"{names} must name {network.num_classes} classes, one a line, got {len(lines)}")
    return lines


def _reid(arguments: ImportArguments) -> tuple[nn.Module, ModelCard]:
    assert arguments.backbone is not None  # checked with the arguments
    network = build_reid_network(arguments.backbone, num_identities=1)
    load_pretrained(network, arguments.weights)
    return network, ModelCard(
        task="reid",
        architecture=arguments.backbone,
        input_height_px=arguments.height,
        input_width_px=arguments.width,
        resize="stretch",
        channel_mean=CHANNEL_MEAN,
        channel_std=CHANNEL_STD,
        output_names=("embeddings",),
        feature=network.feature,
        district="",
        source=arguments.weights.name,
    )


if __name__ == "__main__":
    run_stage(main)
