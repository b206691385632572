"""Which of a model's engine files runs here, and whether it is the one its card describes."""

import hashlib
import logging
from pathlib import Path
from typing import Literal

from domain.errors import ArtifactError, InputError
from domain.model_card import EngineFile, ModelCard, read_card
from export.engines.cuda_driver import compute_capability
from export.engines.engine import Engine, Runner
from export.engines.onnx_runtime import OnnxRunner
from export.engines.tensorrt_runtime import TensorRtRunner, require_fitting, runtime_version

_log = logging.getLogger(__name__)
Runtime = Literal["auto", "onnxruntime", "tensorrt", "tensorrt_rtx"]


def load(path: Path | str, *, runtime: Runtime = "auto", threads: int | None = None) -> Engine:
    """The engine at `path`: a folder with `card.json`, or one file beside it.

    Of a folder, "auto" opens the plan where an NVIDIA GPU is present and the plan fits it; where there is a GPU and it
    does not fit, that is logged as a warning and ONNX Runtime runs on the CPU instead; `engine.file` says what runs.
    A file, or a runtime asked for by name, is opened or refused, never replaced.

    Args:
        path: engine folder such as `engines/detector`, or a file in it such as `engines/detector/model.onnx`.
        runtime: which kind of file of a folder to open.
        threads: of ONNX Runtime on the CPU; None takes all cores this process may use.

    Raises:
        ArtifactError: if a file is missing, corrupt, does not fit its card, or was built for another machine.
        InputError: if `threads` is less than one.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1 or None, got {threads}")
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    card = read_card(folder)
    entry = _choose(folder, card, runtime) if path.is_dir() else _entry_of(path, card)
    file = folder / entry.file
    require_checksum(file, entry)
    runs_on_cpu = entry.runtime == "onnxruntime"
    runner: Runner = OnnxRunner(file, card, threads) if runs_on_cpu else TensorRtRunner(file, entry, card)
    return Engine(card, entry, runner)


def onnx_name(precision: str) -> str:
    """Name of the ONNX file of that precision in an engine folder."""
    return "model.onnx" if precision == "fp32" else f"model.{precision}.onnx"


def sha256_of(file: Path) -> str:
    """Checksum of `file` in hexadecimal.

    Raises:
        ArtifactError: if it cannot be read.
    """
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{file} must be a readable file; export the model again ({error.strerror})") from error


def require_checksum(file: Path, entry: EngineFile) -> None:
    """Raise `ArtifactError` unless `file` is there and is the one that the card's `entry` describes."""
    got = sha256_of(file)
    if got != entry.sha256:
        raise ArtifactError(
            f"{file} does not fit its card: sha256 must begin with {entry.sha256[:12]}, got {got[:12]}; "
            "export the model again"
        )


def _choose(folder: Path, card: ModelCard, runtime: Runtime) -> EngineFile:
    if runtime != "auto":
        return _first(folder, card, runtime)
    capability = compute_capability()
    plans = [entry for entry in card.engines if entry.runtime != "onnxruntime"]
    for entry in plans if capability is not None else ():
        try:
            require_fitting(folder / entry.file, entry, runtime_version(entry.runtime), capability)
        except ArtifactError as error:
            _log.warning("ONNX Runtime on the CPU runs instead of a plan: %s", error)
        else:
            return entry
    return _first(folder, card, "onnxruntime")


def _first(folder: Path, card: ModelCard, runtime: str) -> EngineFile:
    for entry in card.engines:
        if entry.runtime == runtime:
            return entry
    listed = ", ".join(entry.runtime for entry in card.engines) or "none"
    raise ArtifactError(f"{folder} must hold an engine for {runtime}, its card lists {listed}; export the model again")


def _entry_of(file: Path, card: ModelCard) -> EngineFile:
    for entry in card.engines:
        if entry.file == file.name:
            return entry
    listed = ", ".join(entry.file for entry in card.engines) or "none"
    raise ArtifactError(f"{file} must be an engine of the card beside it, which lists {listed}; export the model again")
