"""The BentoML service BatchedEngines: engines in a process of their own, behind `serving.service`, which starts it.

Nobody else reaches it: BentoML lets it listen on a socket in a folder of the service's user, and on no port.
"""

from pathlib import Path

import bentoml
import numpy as np

from domain.privacy import TELEMETRY_OFF
from serving.deployment import Deployment
from serving.perception.engine_calls import EnginesState, Outputs

_deployment = Deployment.read(Path(__file__).resolve().parent.parent)
_settings = _deployment.settings.engines
_in_batches = bentoml.api(
    batchable=True, max_batch_size=_settings.max_batch_size, max_latency_ms=_settings.max_latency_ms
)


@bentoml.service(
    name="BatchedEngines",
    workers=_settings.workers,
    threads=_settings.threads,
    http={"host": "127.0.0.1"},
    runner_connection={"max_requests": 2**31, "max_age": 1e9},  # to renew it, BentoML cuts off the calls in work
    traffic={"timeout": _deployment.settings.service.timeout_s},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},
    envs=[{"name": "BENTOML_DO_NOT_TRACK", "value": TELEMETRY_OFF["BENTOML_DO_NOT_TRACK"]}],
)
class BatchedEngines:
    """`LoadedEngines` whose calls go into an engine together when they come together.

    The pictures of one call have the card's input size, and so do those of all others.
    """

    def __init__(self) -> None:
        """Load the engines; what is missing is told by `state`."""
        self._engines = _deployment.load_engines(side_by_side=_settings.workers * _settings.threads)

    @bentoml.api
    def state(self) -> EnginesState:
        """Whether the engines run, and which."""
        return self._engines.state()

    @_in_batches
    def detect(self, images: np.ndarray) -> Outputs:
        """What the detector puts out."""
        return self._engines.detect(images)

    @_in_batches
    def embed(self, images: np.ndarray) -> Outputs:
        """What the re-ID engine puts out."""
        return self._engines.embed(images)

    @_in_batches
    def describe(self, images: np.ndarray) -> Outputs:
        """What the attribute engine puts out."""
        return self._engines.describe(images)
