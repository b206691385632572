"""Calls to the engines of a search, which run in this process or in that of `serving.batched_engines`."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import aiohttp
import numpy as np
from bentoml.exceptions import BentoMLException
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from domain.deadline import require_time
from domain.errors import DongseonError
from domain.model_card import ModelCard
from domain.settings import Settings
from export.engines.engine import Engine as OpenedEngine
from export.engines.onnx_runtime import available_cores
from serving.perception.perception import Engine, EngineNames, Engines

Outputs = list[dict[str, np.ndarray]]  # a picture, by name
_BUSY_OR_LATE = (503, 504)
_T = TypeVar("_T")


class EnginesAwayError(DongseonError):
    """The engines' process does not answer now: it ended, starts anew, or has more to do than it can."""


class EnginesSettings(Settings):
    """How `serving.batched_engines` calls engines; `conf/serving/deployment.yaml` says what each value means."""

    workers: PositiveInt
    threads: PositiveInt
    max_batch_size: int = Field(ge=2)
    max_latency_ms: PositiveInt


class EngineStatus(BaseModel):
    """An engine that runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    district: str
    runtime: str
    precision: str
    notice: str  # why ONNX Runtime runs on a machine with a GPU; else empty


class EnginesState(BaseModel):
    """Whether the engines run, and which."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failure: str | None  # why none runs
    cards: tuple[ModelCard, ...]
    status: dict[str, EngineStatus]  # by the engine's name


class EngineCalls(Protocol):
    """What can be asked: `LoadedEngines`, or BentoML's client of `serving.batched_engines.BatchedEngines`.

    Pictures are `uint8 [batch, height, width, 3]` RGB of the card's input size.
    """

    def state(self) -> EnginesState:
        """Whether the engines run, and which."""

    def detect(self, images: np.ndarray) -> Outputs:
        """What the detector puts out."""

    def embed(self, images: np.ndarray) -> Outputs:
        """What the re-ID engine puts out."""

    def describe(self, images: np.ndarray) -> Outputs:
        """What the attribute engine puts out."""


class LoadedEngines:
    """The engines of a deployment in this process, loaded and warmed up; safe to share between threads.

    One that does not load is a reason not to be ready, not a crash: `state` tells it.

    Args:
        names: of the engines.
        open_engines: opens them, each on the given number of threads.
        side_by_side: calls, or processes, that share the cores.
    """

    def __init__(self, names: EngineNames, open_engines: Callable[[int], Engines], side_by_side: int = 1) -> None:
        try:
            engines = open_engines(max(1, available_cores() // side_by_side))
        except DongseonError as error:
            self._state = EnginesState(failure=str(error), cards=(), status={})
            return
        self._detector, self._reid, self._attributes = engines
        running = {name: each for name, each in zip(names, engines, strict=True) if name and each is not None}
        for engine in running.values():
            engine(np.full((1, engine.card.input_height_px, engine.card.input_width_px, 3), 128, np.uint8))
        self._state = EnginesState(
            failure=None,
            cards=tuple(engine.card for engine in running.values()),
            status={name: _status_of(engine) for name, engine in running.items()},
        )

    def state(self) -> EnginesState:
        """Whether the engines run, and which."""
        return self._state

    def detect(self, images: np.ndarray) -> Outputs:
        """What the detector puts out."""
        return _by_picture(self._detector(images))

    def embed(self, images: np.ndarray) -> Outputs:
        """What the re-ID engine puts out."""
        return _by_picture(self._reid(images))

    def describe(self, images: np.ndarray) -> Outputs:
        """What the attribute engine puts out."""
        assert self._attributes is not None, "who has no card of an engine cannot call it"
        return _by_picture(self._attributes(images))


class CalledEngine:
    """An engine for `Perception` that is reached by a call."""

    def __init__(self, card: ModelCard, call: Callable[[np.ndarray], Outputs]) -> None:
        """Reach the engine of `card` by `call`."""
        self.card = card
        self._call = call

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name of `uint8 [batch, height, width, 3]` RGB.

        Raises:
            EnginesAwayError: if the engines' process does not answer.
            OverdueError: if nobody waits for the answer any more.
        """
        require_time()
        answered = reach(lambda: self._call(images))
        return {name: np.stack([picture[name] for picture in answered]) for name in self.card.output_names}


def reach(call: Callable[[], _T]) -> _T:
    """The value of `call` to the engines.

    Raises:
        EnginesAwayError: if their process does not answer.
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


def _by_picture(outputs: dict[str, np.ndarray]) -> Outputs:
    return [dict(zip(outputs, values, strict=True)) for values in zip(*outputs.values(), strict=True)]


def _status_of(engine: Engine) -> EngineStatus:
    assert isinstance(engine, OpenedEngine), "export.engines.load gives these"
    return EngineStatus(
        architecture=engine.card.architecture,
        district=engine.card.district,
        runtime=engine.file.runtime,
        precision=engine.file.precision,
        notice=engine.notice,
    )
