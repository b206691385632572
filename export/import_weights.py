"""Converts weights that were trained elsewhere into an engine folder.

python -m export.import_weights task=detector cfg=FILE weights=FILE out=DIR [names=FILE]
python -m export.import_weights task=reid backbone=osnet_x0_25 weights=FILE out=DIR
python -m export.import_weights task=detector|attributes|reid weights=FILE.onnx out=DIR [attribute_schema=NAME]

An ONNX file has the form of our engines: docs/retrain-a-district.md.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import onnx
from pydantic import Field, PositiveInt, model_validator
from torch import nn

from districts.layout import list_pictures
from domain.atomic import atomic_folder
from domain.errors import InputError
from domain.files import sha256_of
from domain.foreign_files import SMALL_BYTES, read_text
from domain.model_card import EngineFile, ModelCard, Nms, write_card
from domain.schemas import read_schema
from domain.settings import Settings
from domain.stage import run_stage
from export.engines.files import onnx_name
from export.engines.onnx_file import read_onnx
from export.engines.onnx_runtime import OnnxRunner
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
    "attributes": ("attribute_schema",),
    "reid": ("backbone", "height", "width"),
}
_OF_WEIGHTS = ("cfg", "backbone", "height", "width", "precisions", "pictures", "plan")
_NEEDS = {"detector": "cfg", "reid": "backbone"}


class ImportArguments(Settings):
    """Arguments of the command."""

    task: Literal["detector", "attributes", "reid"]
    weights: Path
    out: Path
    cfg: Path | None = None  # detector: Darknet's definition
    names: Path | None = None  # detector: file with one class name per line; without it the first class is person
    score_threshold: float = Field(default=0.25, ge=0, le=1)  # detector: Darknet's own default
    iou_threshold: float = Field(default=0.45, ge=0, le=1)  # detector: Darknet's own default
    nms: Nms = "iou"  # detector; diou for a cfg with nms_kind=diounms
    attribute_schema: str | None = None  # attributes: name of one of the project's schemas, or a .yaml file
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
        given = self.model_fields_set
        if self.is_onnx:
            if strange := [key for key in _OF_WEIGHTS if key in given]:
                raise ValueError(f"{', '.join(strange)} must not be given with an ONNX file, which is taken as it is")
            if self.task == "attributes" and self.attribute_schema is None:
                raise ValueError("task=attributes needs attribute_schema=…")
        elif self.task not in _NEEDS:
            raise ValueError(f"weights for task={self.task} must be an .onnx file, got {self.weights}")
        elif getattr(self, _NEEDS[self.task]) is None:
            raise ValueError(f"task={self.task} needs {_NEEDS[self.task]}=…")
        if "fp32" not in self.precisions:
            raise ValueError(f"precisions must hold fp32, from which the others are made, got {list(self.precisions)}")
        for task, keys in _ONLY_FOR.items():
            strange = [key for key in keys if task != self.task and key in given]
            if strange:
                raise ValueError(f"{', '.join(strange)} must be given with task={task} only, got task={self.task}")
        return self

    @property
    def is_onnx(self) -> bool:
        """Whether the weights are a graph that runs as it is."""
        return self.weights.suffix == ".onnx"


def main(argv: Sequence[str] = ()) -> None:
    """Write the engine folder."""
    arguments = ImportArguments.from_arguments(argv)
    with atomic_folder(arguments.out) as folder:
        card = write_engine(arguments, folder)
    print(f"{arguments.out}: {card.architecture}, {', '.join(entry.file for entry in card.engines)}")


def write_engine(arguments: ImportArguments, folder: Path) -> ModelCard:
    """Read the weights into their network and write the engine into `folder`, which exists; the card.

    Raises:
        InputError: if a file is missing or does not fit the others.
    """
    for file in (arguments.weights, arguments.cfg, arguments.names):
        if file is not None and not file.is_file():
            raise InputError(f"{file} must be a file; it is missing")
    card = _copied(arguments, folder) if arguments.is_onnx else _exported(arguments, folder)
    write_card(card, folder)
    return card


def _exported(arguments: ImportArguments, folder: Path) -> ModelCard:
    network, card = _detector(arguments) if arguments.task == "detector" else _reid(arguments)
    profile = Profile(min_batch=1, opt_batch=min(8, arguments.max_batch), max_batch=arguments.max_batch)
    precisions = arguments.precisions
    if arguments.plan and arguments.plan not in precisions:
        precisions = (*precisions, arguments.plan)
    engines = export_onnx(
        EngineNetwork(network, card),
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
    return card.model_copy(update={"engines": engines})


def _copied(arguments: ImportArguments, folder: Path) -> ModelCard:
    """An ONNX file as it is, after its inputs and outputs were held against a card."""
    schema = read_schema(arguments.attribute_schema) if arguments.attribute_schema else None
    file = folder / onnx_name("fp32")
    shutil.copyfile(arguments.weights, file)
    height_px, width_px, feature = _sizes(arguments.weights)
    names = {"detector": ("boxes", "scores"), "reid": ("embeddings",)}
    is_detector = arguments.task == "detector"
    card = ModelCard(
        task=arguments.task,
        architecture=arguments.weights.stem,
        input_height_px=height_px,
        input_width_px=width_px,
        resize="letterbox" if is_detector else "stretch",
        output_names=schema.group_names if schema is not None else names[arguments.task],
        class_names=(_PERSON,) if is_detector else (),
        score_threshold=arguments.score_threshold if is_detector else None,
        iou_threshold=arguments.iou_threshold if is_detector else None,
        nms=arguments.nms,
        attribute_schema=schema,
        feature=feature if arguments.task == "reid" else None,
        district="",
        weights_sha256=sha256_of(arguments.weights),
        source=arguments.weights.name,
    )
    OnnxRunner(file, card, threads=1)  # refuses a file that does not fit the card
    entry = EngineFile(
        file=file.name,
        runtime="onnxruntime",
        precision="fp32",
        sha256=sha256_of(file),
        min_batch=1,
        opt_batch=min(8, arguments.max_batch),
        max_batch=arguments.max_batch,
    )
    return card.model_copy(update={"engines": (entry,)})


def _sizes(file: Path) -> tuple[int, int, int]:
    """Height and width of the input in pixels, and the last axis of the first output, of an ONNX file."""
    graph = onnx.load_model_from_string(read_onnx(file)).graph
    shapes = [[axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in (*graph.input, *graph.output)]
    if len(graph.input) != 1 or len(graph.output) == 0 or len(shapes[0]) != 4 or 0 in shapes[0][1:]:
        raise InputError(
            f"{file} must have one input, uint8 [batch, height, width, 3] of a fixed size, got {shapes[0]}"
        )
    _, height_px, width_px, _ = shapes[0]
    return height_px, width_px, shapes[1][-1]


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
        weights_sha256=sha256_of(arguments.weights),
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
        weights_sha256=sha256_of(arguments.weights),
        source=arguments.weights.name,
    )


if __name__ == "__main__":
    run_stage(main)
