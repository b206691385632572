"""The engines that a search needs, loaded and warm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from evaluation.reranking import k_reciprocal_distances
from export.engines.engine import Engine as LoadedEngine
from export.engines.onnx_runtime import available_cores
from serving.database.store import version_of_model
from serving.searching.answers import EngineStatus
from serving.searching.fusion import MatchCurve
from serving.searching.search_metrics import STAGE_SECONDS
from serving.service_settings import Deployment
from serving.tracking.perception import Engine, Perception


@dataclass(frozen=True)
class SearchEngines:
    """Engines that run, and what follows from them; safe to share between threads."""

    perception: Perception
    curve: MatchCurve
    model_version: str  # of the re-ID engine
    status: dict[str, EngineStatus]  # by the engine's name

    @classmethod
    def start(cls, deployment: Deployment) -> Self:
        """Load and warm up those of `deployment`.

        Raises:
            ArtifactError: if one is missing, unusable, or for another task.
        """
        searches = deployment.settings.service.threads  # side by side, they share the cores
        engines = deployment.open_engines(threads=max(1, available_cores() // searches))
        perception = Perception(*engines, deployment.perception)
        _warm_up(perception)
        softness = deployment.settings.search.probability_softness
        names = deployment.detector, deployment.reid, deployment.attributes
        return cls(
            perception=perception,
            curve=MatchCurve.of_engine(deployment.engine(deployment.reid), perception.match_distance, softness),
            model_version=version_of_model(engines.reid.card),
            status={
                name: _status_of(engine)
                for name, engine in zip(names, engines, strict=True)
                if name is not None and engine is not None
            },
        )

    @STAGE_SECONDS.labels("embed").time()
    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """As `Perception.embed`, timed."""
        return self.perception.embed(crops)


def _warm_up(perception: Perception) -> None:
    """Compile and allocate now, so that the first search is not the slow one."""
    grey = np.full((64, 32, 3), 128, np.uint8)
    perception.detect([grey])
    perception.attributes([grey])
    embedding = perception.embed([grey])
    k_reciprocal_distances(embedding, np.repeat(embedding, 3, axis=0))


def _status_of(engine: Engine) -> EngineStatus:
    assert isinstance(engine, LoadedEngine), "export.engines.load gives these"
    return EngineStatus(
        architecture=engine.card.architecture,
        district=engine.card.district,
        runtime=engine.file.runtime,
        precision=engine.file.precision,
        notice=engine.notice,
    )
