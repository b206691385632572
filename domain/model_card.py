"""The model card: what every stage must know of a model, written once by training and read everywhere else.

`card.json` lies next to each weight file and engine and goes along with it, so no stage repeats these numbers in its
own configuration.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from domain.atomic import atomic_file
from domain.attributes import AttributeSchema
from domain.errors import ArtifactError

CARD = "card.json"
Fraction = float  # 0..1; percent only on screen
Nms = Literal["iou", "diou"]  # what overlap means in non-maximum suppression


class EngineFile(BaseModel):
    """One exported file of a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str  # name beside the card
    runtime: Literal["onnxruntime", "tensorrt", "tensorrt_rtx"]
    precision: Literal["fp32", "fp16", "int8"]
    sha256: str
    min_batch: PositiveInt
    opt_batch: PositiveInt
    max_batch: PositiveInt  # of the profile; larger batches are split by the engine
    runtime_version: str = ""  # of the builder: a plan opens with this version only
    compute_capabilities: tuple[str, ...] = ()  # GPUs a plan was built for, such as "8.6"; empty for ONNX
    build_s: NonNegativeFloat = 0.0


class ModelCard(BaseModel):
    """What a model takes, gives, and where it comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Literal["detector", "attributes", "reid"]
    architecture: str  # "yolov4-tiny", "osnet_x0_25", "resnet50"
    input_height_px: PositiveInt
    input_width_px: PositiveInt
    resize: Literal["stretch", "letterbox"]  # how a picture comes to that size, see domain.images
    channel_mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # RGB, of values scaled to 0..1; inside the engine
    channel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    output_names: tuple[str, ...] = Field(min_length=1)

    class_names: tuple[str, ...] = ()  # detector: in the order of its class scores
    score_threshold: Fraction | None = None  # detector: of best F1 on validation
    iou_threshold: Fraction | None = None  # detector: of non-maximum suppression
    nms: Nms = "iou"  # detector
    attribute_schema: AttributeSchema | None = None  # attributes: groups in the order of output_names
    temperatures: dict[str, PositiveFloat] = {}  # attributes: of each group, already inside the weights
    stripes: PositiveInt = 1  # attributes, re-ID: parts of the crop, top to bottom, with features of their own
    feature: PositiveInt | None = None  # re-ID: length of an embedding
    match_distance: NonNegativeFloat | None = None  # re-ID: cosine distance that parts same from different people best

    district: str  # whose data trained it
    data_hash: str = ""  # DVC's hash of that data
    git_revision: str = ""
    mlflow_run_id: str = ""  # of the training, into which later stages write
    source: str = ""  # where the weights come from, if not from training here
    engines: tuple[EngineFile, ...] = ()  # empty beside weights


def read_card(path: Path) -> ModelCard:
    """The card at `path`, a `card.json` or the folder that holds one.

    Raises:
        ArtifactError: if it is missing or unusable.
    """
    file = path / CARD if path.is_dir() else path
    try:
        return ModelCard.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"{file} is not a usable model card; rerun the stage that wrote it ({error})") from error


def write_card(card: ModelCard, folder: Path) -> Path:
    """Write `card.json` into `folder`, whole or not at all, and return its path."""
    file = folder / CARD
    with atomic_file(file) as aside:
        aside.write_text(card.model_dump_json(indent=2, exclude_defaults=True) + "\n", encoding="utf-8")
    return file
