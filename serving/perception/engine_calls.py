"""Calls to the engines of a search, in this process or in the process of `serving.batched_engines`."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import aiohttp
import numpy as np
from bentoml.exceptions import BentoMLException
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from domain.cores import available_cores
from domain.deadline import require_time
from domain.errors import DongseonError
from domain.model_card import ModelCard
from domain.settings import Settings
from export.engines.engine import Engine as OpenedEngine
from serving.perception.perception import Engine, EngineNames, Engines

Outputs = list[dict[str, np.ndarray]]  # one dictionary per picture: output by name
_BUSY_OR_LATE = (503, 504)
_T = TypeVar("_T")


class EnginesAwayError(DongseonError):
    """The engines' process does not answer: it has ended, is starting, or is overloaded."""


class EnginesSettings(Settings):
    """Subsection `serving.engines`."""

    workers: PositiveInt
    threads: PositiveInt
    max_batch_size: int = Field(ge=2)
    max_latency_ms: PositiveInt


class EngineStatus(BaseModel):
    """A running engine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    district: str
    runtime: str
    precision: str
    notice: str  # why ONNX Runtime runs on a machine with a GPU, else empty


class EnginesState(BaseModel):
    """Cards and status of the engines, or why they do not run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failure: str | None  # why no engine runs, else None
    cards: tuple[ModelCard, ...]
    status: dict[str, EngineStatus]  # by the engine's name
    previous: ModelCard | None = None  # of the re-ID engine that was in use before


class EngineCalls(Protocol):
    """Interface of `LoadedEngines` and of BentoML's client for `serving.batched_engines.BatchedEngines`.

    Pictures are `uint8 [batch, height, width, 3]` RGB of the card's input size.
    """

    def state(self) -> EnginesState:
        """Cards and status of the engines."""

    def detect(self, images: np.ndarray) -> Outputs:
        """Outputs of the detector."""

    def embed(self, images: np.ndarray) -> Outputs:
        """Outputs of the re-ID engine."""

    def embed_as_before(self, images: np.ndarray) -> Outputs:
        """Outputs of the re-ID engine that was in use before."""

    def describe(self, images: np.ndarray) -> Outputs:
        """Outputs of the attribute engine."""


class LoadedEngines:
    """The engines of a deployment in this process, loaded and warmed up; safe to share between threads.

    An engine that cannot be loaded is no crash: `state` has the failure, and the service is not ready.

    Args:
        names: names of the engines.
        open_engines: opens the engines, each on the given number of threads.
        side_by_side: number of parallel calls or processes that share the cores.
        open_previous: opens the re-ID engine that was in use before, if there is one.
    """

    def __init__(
        self,
        names: EngineNames,
        open_engines: Callable[[int], Engines],
        side_by_side: int = 1,
        open_previous: Callable[[int], Engine | None] = lambda _: None,
    ) -> None:
        threads = max(1, available_cores() // side_by_side)
        try:
            engines, self._previous = open_engines(threads), open_previous(threads)
        except DongseonError as error:
            self._state = EnginesState(failure=str(error), cards=(), status={})
            return
        self._detector, self._reid, self._attributes = engines
        running = {name: engine for name, engine in zip(names, engines, strict=True) if name and engine is not None}
        for engine in running.values():
            _warm_up(engine)
        if self._previous is not None:
            _warm_up(self._previous)
        self._state = EnginesState(
            failure=None,
            cards=tuple(engine.card for engine in running.values()),
            status={name: _status_of(engine) for name, engine in running.items()},
            previous=self._previous.card if self._previous is not None else None,
        )

    def state(self) -> EnginesState:
        """Cards and status of the engines."""
        return self._state

    def detect(self, images: np.ndarray) -> Outputs:
        """Outputs of the detector."""
        return _by_picture(self._detector(images))

    def embed(self, images: np.ndarray) -> Outputs:
        """Outputs of the re-ID engine."""
        return _by_picture(self._reid(images))

    def embed_as_before(self, images: np.ndarray) -> Outputs:
        """Outputs of the re-ID engine that was in use before."""
        assert self._previous is not None, "callers have no card of a missing engine"
        return _by_picture(self._previous(images))

    def describe(self, images: np.ndarray) -> Outputs:
        """Outputs of the attribute engine."""
        assert self._attributes is not None, "callers have no card of a missing engine"
        return _by_picture(self._attributes(images))


class CalledEngine:
    """An engine for `Perception` that runs behind a call.

    Args:
        card: card of the engine.
        call: runs the engine on pictures.
    """

    def __init__(self, card: ModelCard, call: Callable[[np.ndarray], Outputs]) -> None:
        self.card = card
        self._call = call

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for pictures `uint8 [batch, height, width, 3]` RGB.

        Raises:
            EnginesAwayError: if the engines' process does not answer.
            OverdueError: if the deadline of the request has passed.
        """
        require_time()
        answered = reach(lambda: self._call(images))
        return {name: np.stack([picture[name] for picture in answered]) for name in self.card.output_names}


def reach(call: Callable[[], _T]) -> _T:
    """The result of `call` to the engines.

    Raises:
        EnginesAwayError: if the engines' process does not answer.
    """
    try:
        return call()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise EnginesAwayError(
            "the engines must answer, but their process has ended or is starting; try again"
        ) from error
    except BentoMLException as error:
        if error.error_code not in _BUSY_OR_LATE:
            raise
        raise EnginesAwayError("the engines must answer, but they are overloaded; try again in a moment") from error


def _warm_up(engine: Engine) -> None:
    engine(np.full((1, engine.card.input_height_px, engine.card.input_width_px, 3), 128, np.uint8))


def _by_picture(outputs: dict[str, np.ndarray]) -> Outputs:
    return [dict(zip(outputs, values, strict=True)) for values in zip(*outputs.values(), strict=True)]


def _status_of(engine: Engine) -> EngineStatus:
    assert isinstance(engine, OpenedEngine), "export.engines.load returns these"
    return EngineStatus(
        architecture=engine.card.architecture,
        district=engine.card.district,
        runtime=engine.file.runtime,
        precision=engine.file.precision,
        notice=engine.notice,
    )
