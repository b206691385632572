"""Model card: input size, classes, thresholds and origin of a model, written by training and read by later stages.

`card.json` accompanies each weight file and engine, so that no stage repeats these values in its configuration.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from domain.atomic import atomic_file
from domain.attributes import AttributeSchema
from domain.errors import ArtifactError, InputError, place_of, shown
from domain.foreign_files import DESCRIPTION_BYTES, read_text
from domain.names import Name

CARD = "card.json"
_ID_LENGTH = 12
LONGEST_EMBEDDING = 4000  # numbers that the store can search: of a half-precision vector in an index of pgvector
Fraction = float  # 0..1; percent only on screen
Task = Literal["detector", "attributes", "reid"]
Nms = Literal["iou", "diou"]  # measure of overlap in non-maximum suppression


class EngineFile(BaseModel):
    """An exported file of a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Name  # in the card's folder
    runtime: Literal["onnxruntime", "tensorrt", "tensorrt_rtx"]
    precision: Literal["fp32", "fp16", "int8"]
    sha256: str
    min_batch: PositiveInt
    opt_batch: PositiveInt
    max_batch: PositiveInt  # of the profile; the engine splits larger batches
    runtime_version: str = ""  # version of the builder; a plan opens only with the same version
    compute_capabilities: tuple[str, ...] = ()  # GPUs of a plan, such as "8.6"; empty for ONNX
    build_s: NonNegativeFloat = 0.0


class ModelCard(BaseModel):
    """Inputs, outputs, thresholds and origin of a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Task
    architecture: str  # "yolov4-tiny", "osnet_x0_25", "resnet50"
    input_height_px: PositiveInt
    input_width_px: PositiveInt
    resize: Literal["stretch", "letterbox"]  # resizing to that size, see domain.images
    channel_mean: tuple[float, float, float] = (
        0.0,
        0.0,
        0.0,
    )  # RGB, of values in 0..1; applied inside the engine
    channel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    output_names: tuple[str, ...] = Field(min_length=1)

    class_names: tuple[str, ...] = ()  # detector: in the order of the class scores
    score_threshold: Fraction | None = None  # detector: with the best F1 on validation
    iou_threshold: Fraction | None = None  # detector: for non-maximum suppression
    nms: Nms = "iou"  # detector
    attribute_schema: AttributeSchema | None = None  # attributes: groups in the order of output_names
    temperatures: dict[str, PositiveFloat] = {}  # attributes: per group, already applied to the weights
    stripes: PositiveInt = 1  # attributes, re-ID: horizontal parts of the crop with separate features
    feature: PositiveInt | None = None  # re-ID: length of an embedding
    # re-ID: cosine distance that best separates same-person from different-person pairs
    match_distance: NonNegativeFloat | None = None
    share_of_epochs: Fraction = 1.0  # re-ID: part of the epochs of the other backbones that it was trained for

    district: str  # district of the training data
    taken: bool = False  # the district that has the engine did not train it
    weights_sha256: str = ""  # of the weight file, which all engines made from it share
    data_hash: str = ""  # DVC's hash of the training data
    git_revision: str = ""
    mlflow_run_id: str = ""  # run of the training; later stages log to it
    source: str = ""  # origin of weights that were not trained here
    engines: tuple[EngineFile, ...] = ()  # empty in a card of weights

    @property
    def version(self) -> str:
        """The model's one id, such as `osnet_x0_25-3f9a0c5d1e22`: the architecture and the start of `weights_sha256`.

        Embeddings of different versions cannot be compared.

        Raises:
            ArtifactError: if the card has no `weights_sha256`.
        """
        if not self.weights_sha256:
            raise ArtifactError(f"the card of a {self.task} model must have weights_sha256; export the model again")
        return f"{self.architecture}-{self.weights_sha256[:_ID_LENGTH]}"


def version_of_deployment(cards: Iterable[ModelCard], transits: str = "") -> str:
    """One id of all that is learnt and deployed together, such as `7b1d5c0a93fe`, whatever its order.

    Args:
        cards: of the models.
        transits: version of the transit times; empty where none were learnt.
    """
    versions = "\n".join([*sorted(card.version for card in cards), *filter(None, [transits])])
    return hashlib.sha256(versions.encode()).hexdigest()[:_ID_LENGTH]


def require_of_district(district: str, cards: Mapping[str, ModelCard]) -> None:
    """Refuse models, by name, of another district, unless the district takes them from there.

    Raises:
        ArtifactError: names what differs.
    """
    strange = [
        f"{name} ({card.version}) is of {card.district or 'no district'}"
        for name, card in cards.items()
        if card.district != district and not card.taken
    ]
    if strange:
        raise ArtifactError(
            f"the models of {district} must be trained there, or be named by take, but {', '.join(strange)}; "
            "train them, or take them"
        )


def require_searchable(cards: Iterable[ModelCard]) -> None:
    """Refuse re-ID models whose embeddings are longer than the service's store can search.

    Raises:
        ArtifactError: names the model and its length.
    """
    for card in cards:
        if (feature := card.feature or 0) > LONGEST_EMBEDDING:
            raise ArtifactError(
                f"embeddings of a re-ID model that the service uses must have at most {LONGEST_EMBEDDING} numbers, "
                f"those of {card.architecture} have {feature}, {feature // card.stripes} for each of {card.stripes} "
                "stripes; train it with fewer stripes, or choose another by reid.backbone"
            )


def read_card(path: Path) -> ModelCard:
    """Read the card at `path`, a `card.json` or its folder.

    Raises:
        ArtifactError: if it is missing or unusable.
    """
    file = path / CARD if path.is_dir() else path
    try:
        return ModelCard.model_validate_json(read_text(file, DESCRIPTION_BYTES))
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{place_of(first['loc'])}: {first['msg']}, got {shown(first['input'])}"
        raise ArtifactError(f"{file} must be a model card; rerun the stage that wrote it ({reason})") from error
    except InputError as error:
        raise ArtifactError(f"{file} must be a model card; rerun the stage that wrote it ({error})") from error


def write_card(card: ModelCard, folder: Path) -> Path:
    """Write `card.json` atomically into `folder` and return its path."""
    file = folder / CARD
    with atomic_file(file) as aside:
        aside.write_text(card.model_dump_json(indent=2, exclude_defaults=True) + "\n", encoding="utf-8")
    return file
