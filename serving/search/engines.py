"""The engines that a search needs, reached and warm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from domain.boxes import suppress_overlaps
from domain.errors import ArtifactError
from evaluation.reranking import k_reciprocal_distances
from serving.database.store import version_of_model
from serving.deployment import Deployment
from serving.matching.match_curve import MatchCurve
from serving.perception.engine_calls import CalledEngine, EngineCalls, reach
from serving.perception.perception import Perception
from serving.search.messages import EngineStatus
from serving.search.metrics import STAGE_SECONDS


@dataclass(frozen=True)
class SearchEngines:
    """Engines that run, and what follows from them; safe to share between threads."""

    perception: Perception
    curve: MatchCurve
    model_version: str  # of the re-ID engine
    status: dict[str, EngineStatus]  # by the engine's name

    @classmethod
    def reach(cls, deployment: Deployment, calls: EngineCalls) -> Self:
        """Those that answer `calls`.

        Raises:
            ArtifactError: if one did not load, or the re-ID engine's calibration cannot be used.
            EnginesAwayError: if nobody answers.
        """
        state = reach(calls.state)
        if state.failure is not None:
            raise ArtifactError(state.failure)
        cards = {card.task: card for card in state.cards}
        perception = Perception(
            CalledEngine(cards["detector"], calls.detect),
            CalledEngine(cards["reid"], calls.embed),
            CalledEngine(cards["attributes"], calls.describe) if "attributes" in cards else None,
            deployment.perception,
        )
        softness = deployment.settings.search.probability_softness
        return cls(
            perception=perception,
            curve=MatchCurve.of_engine(deployment.engine(deployment.reid), perception.match_distance, softness),
            model_version=version_of_model(cards["reid"]),
            status=state.status,
        )

    @STAGE_SECONDS.labels("embed").time()
    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """As `Perception.embed`, timed."""
        return self.perception.embed(crops)


def compile_now() -> None:
    """Compile what a search does beside its engines, so that the first one is not the slow one."""
    some = np.eye(4, dtype=np.float32)
    suppress_overlaps(some, some[0], np.zeros(4, np.int64), iou_threshold=0.5)
    k_reciprocal_distances(some[:1], some[1:])
