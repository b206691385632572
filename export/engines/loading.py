"""Chooses the engine file of a model that runs on this machine, checks it against the card and opens it."""

import logging
from pathlib import Path
from typing import Literal

from domain.errors import ArtifactError, DongseonError, InputError
from domain.model_card import EngineFile, ModelCard, read_card
from export.engines.cuda_driver import compute_capability
from export.engines.engine import Engine, Runner
from export.engines.files import require_checksum
from export.engines.onnx_runtime import CPU, OnnxRunner, Provider, gpu_provider
from export.engines.plan_building import rebuild_plan
from export.engines.tensorrt_runtime import TensorRtRunner, require_fitting, runtime_version

_log = logging.getLogger(__name__)
Runtime = Literal["auto", "onnxruntime", "tensorrt", "tensorrt_rtx"]
WithoutPlan = Literal["fall_back", "rebuild", "stop"]


def load(
    path: Path | str,
    *,
    runtime: Runtime = "auto",
    threads: int | None = None,
    without_plan: WithoutPlan = "fall_back",
) -> Engine:
    """The engine at `path`: a folder with `card.json`, or one file beside it.

    Of a folder, "auto" opens without a GPU the first ONNX file of the card on the CPU. Where an NVIDIA GPU is present
    it opens the plan that fits it. Where none does, `without_plan` decides, and what was done is logged as a warning
    and said by `engine.notice`. A file, or a runtime asked for by name, is opened or refused, never replaced; a file
    of ONNX runs on the CPU.

    Args:
        path: engine folder such as `engines/detector`, or a file in it such as `engines/detector/model.onnx`.
        runtime: which kind of file of a folder to open.
        threads: of ONNX Runtime on the CPU; None takes all cores this process may use.
        without_plan: on a GPU for which there is no plan: "fall_back" to ONNX Runtime, on the GPU if the installed
            one can, else on the CPU; "rebuild" the plan from its ONNX, which takes seconds to minutes; or "stop".

    Raises:
        ArtifactError: if a file is missing, corrupt, does not fit its card, or was built for another machine.
        InputError: if `threads` is less than one, or a plan to be rebuilt needs a package that is not installed.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1 or None, got {threads}")
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    card = read_card(folder)
    if path.is_dir() and runtime == "auto" and (capability := compute_capability()) is not None:
        return _load_on_gpu(folder, card, capability, threads, without_plan)
    entry = _first(folder, card, "onnxruntime" if runtime == "auto" else runtime) if path.is_dir() else None
    return _open(folder, card, entry or _entry_of(path, card), threads)


def _load_on_gpu(
    folder: Path, card: ModelCard, capability: str, threads: int | None, without_plan: WithoutPlan
) -> Engine:
    plans = [entry for entry in card.engines if entry.runtime != "onnxruntime"]
    misfit: DongseonError = ArtifactError(f"{folder} holds no plan for this machine's GPU ({capability})")
    for entry in plans:
        try:
            require_fitting(folder / entry.file, entry, runtime_version(entry.runtime), capability)
        except ArtifactError as error:
            misfit = error
        else:
            return _open(folder, card, entry, threads)
    if without_plan == "stop":
        raise misfit
    if without_plan == "rebuild":
        _log.warning("building a plan for this machine: %s", misfit)
        card = rebuild_plan(folder, capabilities=[capability])
        return _open(folder, card, card.engines[-1], threads, notice=f"plan built here: {misfit}")
    provider = gpu_provider()
    place = "the CPU" if provider == CPU else "the GPU"
    notice = f"ONNX Runtime on {place} runs instead of a plan: {misfit}"
    _log.warning("%s", notice)
    entries = [entry for entry in card.engines if entry.runtime == "onnxruntime"]
    halves = [entry for entry in entries if entry.precision == "fp16"]
    entry = halves[0] if halves and provider != CPU else _first(folder, card, "onnxruntime")
    return _open(folder, card, entry, threads, provider, notice)


def _open(
    folder: Path, card: ModelCard, entry: EngineFile, threads: int | None, provider: Provider = CPU, notice: str = ""
) -> Engine:
    file = folder / entry.file
    require_checksum(file, entry)
    by_onnx_runtime = entry.runtime == "onnxruntime"
    runner: Runner = OnnxRunner(file, card, threads, provider) if by_onnx_runtime else TensorRtRunner(file, entry, card)
    return Engine(card, entry, runner, notice)


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
