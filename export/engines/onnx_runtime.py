"""Runs ONNX files with ONNX Runtime, on the CPU or with a GPU provider."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from domain.cores import available_cores
from domain.errors import ArtifactError
from domain.model_card import ModelCard
from export.engines.engine import INPUT_NAME
from export.engines.onnx_file import read_onnx

Provider = Literal["CPUExecutionProvider", "CUDAExecutionProvider"]
CPU: Provider = "CPUExecutionProvider"
# ONNX Runtime's errors have no common base class below Exception.
_CANNOT_OPEN = (
    failures.EPFail,
    failures.EngineError,
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoModel,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
    UnicodeDecodeError,  # a name in the file, also within a message of ONNX Runtime, is not UTF-8
)


class OnnxRunner:
    """An ONNX Runtime session; its `run` is safe from several threads."""

    def __init__(self, file: Path, card: ModelCard, threads: int | None, provider: Provider = CPU) -> None:
        """Open `file` and hold it against `card`; raises `ArtifactError` when one of them is wrong."""
        self._session = _open(file, threads, provider)
        self._output_names = list(card.output_names)
        try:
            _require_input(file, self._session, card)
            shapes = {output.name: tuple(output.shape[1:]) for output in self._session.get_outputs()}
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{file} must have names in UTF-8; export the model again ({error.reason})") from error
        if set(shapes) != set(card.output_names):
            raise ArtifactError(
                f"{file} does not fit its card: outputs must be {', '.join(card.output_names)}, "
                f"got {', '.join(shapes)}; export the model again"
            )
        self.output_shapes: Mapping[str, tuple[int, ...]] = {name: shapes[name] for name in card.output_names}

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs, `float32 [batch, …]` by name, for `images`, `uint8 [batch, height, width, 3]`."""
        outputs = self._session.run(self._output_names, {INPUT_NAME: images})
        return dict(zip(self._output_names, outputs, strict=True))


def gpu_provider() -> Provider:
    """The GPU provider of the installed ONNX Runtime; the CPU provider if it has none."""
    return "CUDAExecutionProvider" if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else CPU


def _open(file: Path, threads: int | None, provider: Provider) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    content = read_onnx(file)
    if provider != CPU:
        onnxruntime.preload_dlls()  # CUDA and cuDNN of the packages beside onnxruntime-gpu, else those of the system
    try:
        session = onnxruntime.InferenceSession(content, options, providers=list(dict.fromkeys((provider, CPU))))
    except _CANNOT_OPEN as error:
        reason = str(error).strip().splitlines()[0]
        raise ArtifactError(f"{file} must be a usable ONNX file; export the model again ({reason})") from error
    if session.get_providers()[0] != provider:  # ONNX Runtime falls back to the CPU without an error
        raise ArtifactError(
            f"{file} must run by {provider}, which does not start on this machine; install what it needs, or take "
            "onnxruntime in place of onnxruntime-gpu"
        )
    return session


def _require_input(file: Path, session: onnxruntime.InferenceSession, card: ModelCard) -> None:
    wanted = (INPUT_NAME, "tensor(uint8)", [card.input_height_px, card.input_width_px, 3])
    got = [(entry.name, entry.type, entry.shape[1:]) for entry in session.get_inputs()]
    if got != [wanted]:
        raise ArtifactError(f"{file} does not fit its card: inputs must be {[wanted]}, got {got}; export it again")
