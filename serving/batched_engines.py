"""The BentoML service BatchedEngines: engines in a process of their own, started and called by `serving.service`.

No other client can call it: it listens on a socket in a folder of the service's user, and on no port.
"""

import gc
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
    runner_connection={"max_requests": 2**31, "max_age": 1e9},  # a renewal would cut off the calls in work
    traffic={"timeout": _deployment.settings.service.timeout_s},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},
    envs=[{"name": "BENTOML_DO_NOT_TRACK", "value": TELEMETRY_OFF["BENTOML_DO_NOT_TRACK"]}],
)
class BatchedEngines:
    """`LoadedEngines` with simultaneous calls in one batch.

    Images have the input size of the engine's card, so images of different calls fit into one array.
    """

    def __init__(self) -> None:
        """Load the engines; `state` reports a failure."""
        self._engines = _deployment.load_engines(side_by_side=_settings.workers * _settings.threads)
        gc.freeze()  # as in serving.service

    @bentoml.api
    def state(self) -> EnginesState:
        """The running engines, or why they do not run."""
        return self._engines.state()

    @_in_batches
    def detect(self, images: np.ndarray) -> Outputs:
        """Outputs of the detector."""
        return self._engines.detect(images)

    @_in_batches
    def embed(self, images: np.ndarray) -> Outputs:
        """Outputs of the re-ID engine."""
        return self._engines.embed(images)

    @_in_batches
    def embed_as_before(self, images: np.ndarray) -> Outputs:
        """Outputs of the re-ID engine that was in use before."""
        return self._engines.embed_as_before(images)

    @_in_batches
    def describe(self, images: np.ndarray) -> Outputs:
        """Outputs of the attribute engine."""
        return self._engines.describe(images)
