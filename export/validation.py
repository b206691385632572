"""A sample of a district's validation pictures, and the metric of a network's outputs for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from districts.box_files import read_detection_split
from districts.layout import read_attribute_split, read_reid_folder
from domain.detections import postprocess
from domain.embeddings import cosine_distances
from domain.errors import ArtifactError
from domain.images import Resized
from domain.model_card import ModelCard
from evaluation.attributes import score_attributes
from evaluation.detection import score_detections
from evaluation.retrieval import evaluate_retrieval
from export.pictures import resized_batches, stacked

Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ValidationSample:
    """Pictures at a network's input size, and the metric of outputs for them against their labels."""

    names: tuple[str, ...]  # file names, for messages
    images: np.ndarray  # uint8 [batch, height, width, 3] RGB
    metric_name: str
    metric: Callable[[Outputs], float]  # fraction; takes the outputs of a network for all images


def sample_of(card: ModelCard, data: Path, num_images: int, score_threshold: float) -> ValidationSample:
    """Up to `num_images` validation pictures of the district in `data` for `card`'s task.

    Frames and attribute crops are spread evenly over the split. Of the re-ID set whole identities are taken, so that
    there is something to find: of `bounding_box_val`, or where a district has none, of `bounding_box_test`.

    Args:
        card: of the network.
        data: folder of the district.
        num_images: at most so many.
        score_threshold: of boxes that count for a detector's metric.

    Raises:
        InputError: if the district has no such pictures or labels.
        ArtifactError: if the card lacks what its task needs.
    """
    if card.task == "detector":
        return _frames(card, data, num_images, score_threshold)
    return _described(card, data, num_images) if card.task == "attributes" else _identified(card, data, num_images)


def _frames(card: ModelCard, data: Path, num_images: int, score_threshold: float) -> ValidationSample:
    iou_threshold = card.iou_threshold
    if iou_threshold is None:
        raise ArtifactError("the detector's card must have iou_threshold; rerun train_detector")
    frames = read_detection_split(data, "val")
    frames = [frames[index] for index in _spread(len(frames), num_images)]
    pictures = _read([frame.image for frame in frames], card)

    def average_precision(outputs: Outputs) -> float:
        found = [
            postprocess(boxes, scores[:, :1], picture, score_threshold, iou_threshold, nms=card.nms)
            for boxes, scores, picture in zip(outputs["boxes"], outputs["scores"], pictures, strict=True)
        ]
        return score_detections(found, [frame.boxes_xyxy for frame in frames]).ap50_95

    return ValidationSample(
        tuple(frame.image.name for frame in frames), stacked(pictures), "ap50_95", average_precision
    )


def _described(card: ModelCard, data: Path, num_images: int) -> ValidationSample:
    schema = card.attribute_schema
    if schema is None:
        raise ArtifactError("the attribute model's card must have attribute_schema; rerun train_attributes")
    table = read_attribute_split(data, "val", schema)
    chosen = _spread(len(table.images), num_images)
    names = [table.images[index] for index in chosen]
    pictures = _read([data / "attributes" / "images" / name for name in names], card)

    def instance_f1(outputs: Outputs) -> float:
        probabilities = np.concatenate([outputs[name] for name in schema.group_names], axis=1)
        return score_attributes(probabilities, table.labels[chosen], schema).instance_f1

    return ValidationSample(tuple(names), stacked(pictures), "instance_f1", instance_f1)


def _identified(card: ModelCard, data: Path, num_images: int) -> ValidationSample:
    has_val = (data / "reid" / "bounding_box_val").is_dir()
    part = "bounding_box_val" if has_val else "bounding_box_test"
    table = read_reid_folder(data, "bounding_box_val" if has_val else "bounding_box_test")
    people = np.flatnonzero(table.identities > 0)
    chosen = people[np.argsort(table.identities[people], kind="stable")][:num_images]
    names = [table.images[index] for index in chosen]
    pictures = _read([data / "reid" / part / name for name in names], card)
    identities, cameras = table.identities[chosen], table.cameras[chosen]

    def mean_average_precision(outputs: Outputs) -> float:
        distances = cosine_distances(outputs["embeddings"], outputs["embeddings"])
        return evaluate_retrieval(distances, identities, identities, cameras, cameras).mean_average_precision

    return ValidationSample(tuple(names), stacked(pictures), "map", mean_average_precision)


def _spread(available: int, num: int) -> np.ndarray:
    """`num` indices spread evenly over `available` items; all of them if there are fewer."""
    return np.unique(np.linspace(0, available - 1, min(available, num)).round().astype(int))


def _read(files: list[Path], card: ModelCard) -> list[Resized]:
    return next(resized_batches(files, card, max(len(files), 1), "validation pictures"))
