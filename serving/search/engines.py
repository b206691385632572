"""Engines of a search: connection, match curve and model version."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from domain.boxes import suppress_overlaps
from domain.errors import ArtifactError
from domain.match_calibration import read_calibration
from domain.model_card import version_of_deployment
from evaluation.reranking import k_reciprocal_distances
from serving.matching.match_curve import MatchCurve
from serving.matching.transits import Transits
from serving.perception.engine_calls import CalledEngine, EngineCalls, EngineStatus, reach
from serving.perception.perception import Perception, PerceptionSettings
from serving.search.metrics import STAGE_SECONDS


@dataclass(frozen=True)
class SearchEngines:
    """Running engines with what was learnt besides and their versions; threads may share it."""

    perception: Perception
    curve: MatchCurve
    transits: Transits
    model_version: str  # of the re-ID engine: sightings without an embedding by it are not searched by appearance
    deployment_version: str  # of all engines and transit times together
    status: dict[str, EngineStatus]  # engine name -> status

    @classmethod
    def reach(
        cls,
        calls: EngineCalls,
        settings: PerceptionSettings,
        reid: Path,
        probability_softness: float,
        transits: Transits,
    ) -> Self:
        """Connects to the engines that answer `calls`.

        Args:
            calls: calls of the engines.
            settings: settings of perception.
            reid: folder of the re-ID engine, with its calibration.
            probability_softness: softness of the match curve if the re-ID engine has no calibration.
            transits: what place and time tell.

        Raises:
            ArtifactError: if an engine did not load, or the calibration of the re-ID engine is invalid.
            EnginesAwayError: if the engines do not answer.
        """
        state = reach(calls.state)
        if state.failure is not None:
            raise ArtifactError(state.failure)
        cards = {card.task: card for card in state.cards}
        perception = Perception(
            CalledEngine(cards["detector"], calls.detect),
            CalledEngine(cards["reid"], calls.embed),
            CalledEngine(cards["attributes"], calls.describe) if "attributes" in cards else None,
            settings,
        )
        return cls(
            perception=perception,
            curve=MatchCurve.of_calibration(read_calibration(reid), perception.match_distance, probability_softness),
            transits=transits,
            model_version=cards["reid"].version,
            deployment_version=version_of_deployment(state.cards, transits.version),
            status=state.status,
        )

    @STAGE_SECONDS.labels("embed").time()
    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """`Perception.embed` with its time measured."""
        return self.perception.embed(crops)


def compile_now() -> None:
    """Compile the functions that a search needs besides its engines, so that the first search is not slow."""
    some = np.eye(4, dtype=np.float32)
    suppress_overlaps(some, some[0], np.zeros(4, np.int64), iou_threshold=0.5)
    k_reciprocal_distances(some[:1], some[1:])
