"""Runs plans of TensorRT and TensorRT-RTX on an NVIDIA GPU; both runtimes have the same interface."""

import importlib
import importlib.util
import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from domain.errors import ArtifactError
from domain.model_card import EngineFile, ModelCard
from export.engines import cuda_driver
from export.engines.engine import INPUT_NAME


class TensorRtRunner:
    """A plan with its buffers for the profile's largest batch; one batch runs at a time, other callers wait."""

    def __init__(self, file: Path, entry: EngineFile, card: ModelCard) -> None:
        """Open `file` as `card` and its `entry` describe it; raises `ArtifactError` when it does not run here."""
        require_fitting(file, entry, runtime_version(entry.runtime), cuda_driver.compute_capability())
        cuda_driver.enter_device()
        trt = importlib.import_module(entry.runtime)
        self._plan = _deserialize(trt, file)
        self._context = self._plan.create_execution_context()
        self._lock = threading.Lock()
        self._stream = cuda_driver.Stream()
        self.output_shapes: Mapping[str, tuple[int, ...]] = {
            name: tuple(self._plan.get_tensor_shape(name)[1:]) for name in card.output_names
        }
        picture = card.input_height_px * card.input_width_px * 3
        self._input = cuda_driver.DeviceBuffer(entry.max_batch * picture)
        self._outputs = {
            name: cuda_driver.DeviceBuffer(entry.max_batch * int(np.prod(shape)) * np.dtype(np.float32).itemsize)
            for name, shape in self.output_shapes.items()
        }

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs, `float32 [batch, …]` by name, for `images`, `uint8 [batch, height, width, 3]`."""
        outputs = {name: np.empty((len(images), *shape), np.float32) for name, shape in self.output_shapes.items()}
        with self._lock:
            cuda_driver.enter_device()
            self._context.set_input_shape(INPUT_NAME, images.shape)
            self._context.set_tensor_address(INPUT_NAME, self._input.address)
            self._input.upload(images, self._stream)
            for name, buffer in self._outputs.items():
                self._context.set_tensor_address(name, buffer.address)
            if not self._context.execute_async_v3(self._stream.handle):
                raise RuntimeError(f"the plan failed on a batch of {len(images)}")
            for name, array in outputs.items():
                self._outputs[name].download(array, self._stream)
            self._stream.synchronize()
        return outputs


def runtime_version(runtime: str) -> str | None:
    """Version of the installed `tensorrt` or `tensorrt_rtx`; None if it is not installed."""
    if importlib.util.find_spec(runtime) is None:
        return None
    return str(importlib.import_module(runtime).__version__)


def require_fitting(file: Path, entry: EngineFile, installed: str | None, capability: str | None) -> None:
    """Raise `ArtifactError` unless the plan `entry` at `file` runs with this runtime on this GPU.

    Args:
        file: the plan, to be named in the message.
        entry: what the card says of it.
        installed: version of the plan's runtime on this machine, None when it has none.
        capability: compute capability of this machine's GPU, None when it has none.
    """
    built_for = (
        f"{file} was built by {entry.runtime} {entry.runtime_version} for compute capability "
        f"{', '.join(entry.compute_capabilities)}"
    )
    rebuild = f"rebuild it here from its ONNX: python -m export.tensorrt_plan folder={file.parent}"
    if capability is None:
        raise ArtifactError(f"{built_for}; this machine has no NVIDIA GPU; load model.onnx instead")
    if installed is None:
        raise ArtifactError(f"{built_for}; {entry.runtime} is not installed; install it or load model.onnx instead")
    if installed != entry.runtime_version:
        raise ArtifactError(f"{built_for}; this machine has version {installed}; {rebuild}")
    if capability not in entry.compute_capabilities:
        raise ArtifactError(f"{built_for}; this machine's GPU has {capability}; {rebuild}")


def _deserialize(trt: ModuleType, file: Path) -> Any:
    logger = trt.Logger(trt.Logger.ERROR)
    plan = trt.Runtime(logger).deserialize_cuda_engine(file.read_bytes())
    if plan is None:
        raise ArtifactError(f"{file} must be a usable plan; export the model again")
    return plan
