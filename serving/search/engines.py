"""Engines of a search: connection, match curve and model version."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from domain.boxes import suppress_overlaps
from domain.errors import ArtifactError
from domain.match_calibration import read_calibration
from domain.model_card import ModelCard, version_of_deployment
from evaluation.reranking import k_reciprocal_distances
from serving.matching.match_curve import MatchCurve
from serving.matching.transits import Transits
from serving.perception.engine_calls import CalledEngine, EngineCalls, EngineStatus, Outputs, reach
from serving.perception.perception import Perception, PerceptionSettings
from serving.search.metrics import STAGE_SECONDS

Embed = Callable[[np.ndarray], Outputs]


@dataclass(frozen=True)
class SearchEngines:
    """Running engines with what was learnt besides and their versions; threads may share it."""

    perception: Perception
    curve: MatchCurve
    transits: Transits
    model_version: str  # of the re-ID engine: sightings without an embedding by it are not searched by appearance
    deployment_version: str  # of all engines and transit times together
    status: dict[str, EngineStatus]  # engine name -> status
    previous: "SearchEngines | None" = None  # with the re-ID engine that was in use before, and the same others

    @classmethod
    def reach(
        cls,
        calls: EngineCalls,
        settings: PerceptionSettings,
        reid: Path,
        probability_softness: float,
        transits: Transits,
        previous_reid: Path | None = None,
    ) -> Self:
        """Connects to the engines that answer `calls`.

        Args:
            calls: calls of the engines.
            settings: settings of perception.
            reid: folder of the re-ID engine, with its calibration.
            probability_softness: softness of the match curve if the re-ID engine has no calibration.
            transits: what place and time tell.
            previous_reid: folder of the re-ID engine that was in use before, if it runs too.

        Raises:
            ArtifactError: if an engine did not load, or the calibration of the re-ID engine is invalid.
            EnginesAwayError: if the engines do not answer.
        """
        state = reach(calls.state)
        if state.failure is not None:
            raise ArtifactError(state.failure)
        cards = {card.task: card for card in state.cards}

        def with_reid(card: ModelCard, embed: Embed, folder: Path, previous: Self | None) -> Self:
            perception = Perception(
                CalledEngine(cards["detector"], calls.detect),
                CalledEngine(card, embed),
                CalledEngine(cards["attributes"], calls.describe) if "attributes" in cards else None,
                settings,
            )
            curve = MatchCurve.of_calibration(read_calibration(folder), perception.match_distance, probability_softness)
            others = [each for task, each in cards.items() if task != "reid"]
            version = version_of_deployment([card, *others], transits.version)
            return cls(perception, curve, transits, card.version, version, state.status, previous)

        before: Self | None = None
        if state.previous is not None and previous_reid is not None:
            before = with_reid(state.previous, calls.embed_as_before, previous_reid, None)
        return with_reid(cards["reid"], calls.embed, reid, before)

    @STAGE_SECONDS.labels("embed").time()
    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """`Perception.embed` with its time measured."""
        return self.perception.embed(crops)


def compile_now() -> None:
    """Compile the functions that a search needs besides its engines, so that the first search is not slow."""
    some = np.eye(4, dtype=np.float32)
    suppress_overlaps(some, some[0], np.zeros(4, np.int64), iou_threshold=0.5)
    k_reciprocal_distances(some[:1], some[1:])
