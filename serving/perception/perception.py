"""Perception: pictures -> people, their embeddings and attributes, computed by engines in batches.

Input sizes, the method of resizing and thresholds come from the engines' cards.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from domain.attributes import AttributeSchema
from domain.boxes import Detections
from domain.detections import postprocess
from domain.embeddings import unit_length
from domain.errors import ArtifactError
from domain.images import Picture, resize_for
from domain.model_card import ModelCard
from domain.settings import Settings
from domain.tracklets import Tracklet
from export.engines import WithoutPlan, load

_PERSON = "person"


class PerceptionSettings(Settings):
    """Subsection `perception` of the section `tracking`."""

    detector_batch: PositiveInt
    crop_batch: PositiveInt
    weak_score_fraction: float = Field(gt=0, le=1)
    strong_score: float = Field(gt=0, lt=1)
    iou_threshold: float = Field(gt=0, le=1)
    match_distance: PositiveFloat
    without_plan: WithoutPlan


class Engine(Protocol):
    """An opened engine, as `export.engines.load` returns it."""

    card: ModelCard

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for pictures `uint8 [batch, height, width, 3]` RGB."""


def open_engine(path: Path, task: str, without_plan: WithoutPlan, threads: int | None = None) -> Engine:
    """Open the engine at `path` for `task`; for `without_plan` and `threads` see `export.engines.load`.

    Raises:
        ArtifactError: if the engine is missing, unusable, or for another task.
    """
    if not path.exists():
        raise ArtifactError(f"{path} must be an engine for the task {task}; it is missing, export the model first")
    engine: Engine = load(path, threads=threads, without_plan=without_plan)
    if engine.card.task != task:
        raise ArtifactError(f"{path} must be an engine for the task {task}, its card says {engine.card.task}")
    return engine


class EngineNames(NamedTuple):
    """Name of the engine for each task; `attributes` is None where people are not described."""

    detector: str
    reid: str
    attributes: str | None


class Engines(NamedTuple):
    """The engines of `Perception`; without an attribute engine `attributes` is None."""

    detector: Engine
    reid: Engine
    attributes: Engine | None


def open_engines(
    detector: Path, reid: Path, attributes: Path | None, without_plan: WithoutPlan, threads: int | None = None
) -> Engines:
    """Open the engine of each task; see `open_engine`.

    Raises:
        ArtifactError: if an engine is missing, unusable, or for another task.
    """
    return Engines(
        open_engine(detector, "detector", without_plan, threads),
        open_engine(reid, "reid", without_plan, threads),
        open_engine(attributes, "attributes", without_plan, threads) if attributes is not None else None,
    )


class Perception:
    """Detects, embeds and describes people in lists of pictures.

    Args:
        detector: detector engine.
        reid: re-ID engine.
        attributes: attribute engine; without it people have no attributes.
        settings: batch sizes, and thresholds for engines whose cards have none.
        previous_reid: re-ID engine that was in use before; None without one. While its successor is rolled out,
            tracklets get an embedding by it, too.

    Raises:
        ArtifactError: if the detector has no class `person`.
    """

    def __init__(
        self,
        detector: Engine,
        reid: Engine,
        attributes: Engine | None,
        settings: PerceptionSettings,
        previous_reid: Engine | None = None,
    ) -> None:
        """Take the engines; nothing runs yet."""
        self._detector, self._reid, self._attributes, self._previous_reid = detector, reid, attributes, previous_reid
        self._settings = settings
        self._person = _person_class(detector.card)
        self.strong_score = detector.card.score_threshold or settings.strong_score
        self.match_distance = reid.card.match_distance or settings.match_distance

    @property
    def describes(self) -> bool:
        """Whether people get attributes."""
        return self._attributes is not None

    @property
    def attributes_version(self) -> str:
        """`ModelCard.version` of the attribute engine; empty without one."""
        return self._attributes.card.version if self._attributes is not None else ""

    @property
    def previous_version(self) -> str:
        """`ModelCard.version` of the re-ID engine that was in use before; empty without one."""
        return self._previous_reid.card.version if self._previous_reid is not None else ""

    @property
    def attribute_schema(self) -> AttributeSchema | None:
        """Groups and labels of the attributes; None without an attribute engine."""
        return self._attributes.card.attribute_schema if self._attributes is not None else None

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """People in each picture, including weak detections, best score first; boxes in pixels of that picture.

        Args:
            images: `uint8 [height, width, 3]` RGB, sizes may differ.
        """
        weakest = self.strong_score * self._settings.weak_score_fraction
        overlap = self._detector.card.iou_threshold or self._settings.iou_threshold
        detections = []
        for batch in _batches(images, self._settings.detector_batch):
            resized = [resize_for(self._detector.card, image) for image in batch]
            outputs = self._detector(np.stack([picture.image for picture in resized]))
            scores = outputs["scores"][:, :, self._person : self._person + 1]
            detections += [
                postprocess(outputs["boxes"][i], scores[i], picture, weakest, overlap, nms=self._detector.card.nms)
                for i, picture in enumerate(resized)
            ]
        return detections

    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings of unit length, `float32 [crop, feature]`, of crops `uint8 [height, width, 3]` RGB."""
        return self._embed(self._reid, crops)

    def embed_as_before(self, crops: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Embeddings, as those of `embed`, of the re-ID engine that was in use before, by its version; none without."""
        previous = self._previous_reid
        return {self.previous_version: self._embed(previous, crops)} if previous is not None else {}

    def embed_people(self, crops_of: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Embedding of unit length of each person, `float32 [feature]`: the mean of those of their crops."""
        if not crops_of:
            return []
        embeddings = self.embed([crop for crops in crops_of for crop in crops])
        return [unit_length(part.mean(axis=0)) for part in np.split(embeddings, _ends(crops_of))]

    def reid_input(self, crop: Picture) -> Picture:
        """`crop` at the input size of the re-ID engine; its embedding is that of `crop`, its memory is bounded."""
        return resize_for(self._reid.card, crop).image

    def attributes(self, crops: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Probabilities by group, `float32 [crop, label]`, of crops `uint8 [height, width, 3]` RGB."""
        engine = self._attributes
        if engine is None:
            return {}
        parts = [self._run(engine, batch) for batch in _batches(crops, self._settings.crop_batch)]
        return {name: np.concatenate([part[name] for part in parts]) for name in engine.card.output_names if parts}

    def described(self, tracklets: Sequence[Tracklet]) -> list[Tracklet]:
        """Copies of `tracklets` with the mean attribute probabilities of their crops."""
        if self.attribute_schema is None:
            return list(tracklets)
        attributes = self.describe([tracklet.crops for tracklet in tracklets])
        return [replace(one, attributes=each) for one, each in zip(tracklets, attributes, strict=True)]

    def describe(self, crops_of: Sequence[Sequence[np.ndarray]]) -> list[dict[str, dict[str, float]]]:
        """Group -> label -> mean probability of the crops of each person; empty without an attribute engine."""
        schema = self.attribute_schema
        if schema is None or not crops_of:
            return [{} for _ in crops_of]
        probabilities = self.attributes([crop for crops in crops_of for crop in crops])
        means = {
            group.name: [part.mean(axis=0) for part in np.split(probabilities[group.name], _ends(crops_of))]
            for group in schema.groups
        }
        return [
            {
                group.name: dict(zip(group.label_names, means[group.name][i].astype(float).tolist(), strict=True))
                for group in schema.groups
            }
            for i in range(len(crops_of))
        ]

    def _embed(self, engine: Engine, crops: Sequence[np.ndarray]) -> np.ndarray:
        parts = [self._run(engine, batch)["embeddings"] for batch in _batches(crops, self._settings.crop_batch)]
        feature = parts[0].shape[1] if parts else engine.card.feature or 0
        return np.concatenate([np.empty((0, feature), np.float32), *parts])

    def _run(self, engine: Engine, crops: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        return engine(np.stack([resize_for(engine.card, crop).image for crop in crops]))


def _person_class(card: ModelCard) -> int:
    if _PERSON in card.class_names:
        return card.class_names.index(_PERSON)
    if len(card.class_names) == 1:
        return 0
    raise ArtifactError(f"the detector's card must list the class person, got {', '.join(card.class_names) or 'none'}")


def _ends(crops_of: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Where the crops of each person but the last end among those of all."""
    return np.cumsum([len(crops) for crops in crops_of])[:-1]


def _batches(items: Sequence[np.ndarray], size: int) -> Iterator[Sequence[np.ndarray]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
