"""TensorRT plans from an engine folder's ONNX: `tensorrt_rtx` ahead of time, `tensorrt` on the GPU that runs them."""

import importlib
import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from domain.atomic import atomic_file
from domain.errors import ArtifactError, InputError
from domain.files import sha256_of
from domain.model_card import EngineFile, ModelCard, read_card, write_card
from export.engines.cuda_driver import compute_capability
from export.engines.engine import INPUT_NAME
from export.engines.files import onnx_name, require_checksum
from export.engines.onnx_file import read_onnx

PLAN = "model.plan"
Builder = Literal["tensorrt_rtx", "tensorrt"]
PlanPrecision = Literal["fp32", "fp16"]


def rebuild_plan(
    folder: Path,
    *,
    builder: Builder | None = None,
    precision: PlanPrecision | None = None,
    capabilities: Sequence[str] | None = None,
) -> ModelCard:
    """Rebuild the plan of an engine folder from its ONNX, enter it in `card.json` and return the card.

    Args:
        folder: engine folder.
        builder: of the plan that the card lists where not given, else the one that is installed, `tensorrt` first.
        precision: of that plan where not given, else fp16.
        capabilities: such as "8.6"; of the GPU present where not given.

    Raises:
        InputError: if there is neither a GPU nor `capabilities`, or the builder is missing.
        ArtifactError: if the folder has no ONNX file of that precision, or the builder refuses it.
    """
    card = read_card(folder)
    old = next((entry for entry in card.engines if entry.file == PLAN), None)
    here = compute_capability()
    capabilities = capabilities or ((here,) if here else None)
    if capabilities is None:
        raise InputError('this machine has no NVIDIA GPU to build for; name them, such as compute_capabilities=["8.6"]')
    precision = precision or ("fp32" if old and old.precision == "fp32" else "fp16")
    if builder is None:
        builder = "tensorrt" if importlib.util.find_spec("tensorrt") else "tensorrt_rtx"
        builder = old.runtime if old and old.runtime != "onnxruntime" else builder
    entry = build_plan(folder, card, _source(folder, card, precision), builder=builder, capabilities=capabilities)
    others = tuple(item for item in card.engines if item.file != PLAN)
    card = card.model_copy(update={"engines": (*others, entry)})
    write_card(card, folder)
    return card


def build_plan(
    folder: Path,
    card: ModelCard,
    source: EngineFile,
    *,
    builder: Builder,
    capabilities: Sequence[str],
) -> EngineFile:
    """Build `model.plan` of `folder` from one of its ONNX files and return the card's entry for it.

    Args:
        folder: engine folder.
        card: its card.
        source: the ONNX file, whose precision and profile the plan gets; plans are typed as their graphs are.
        builder: `tensorrt_rtx` builds anywhere for `capabilities`; `tensorrt` for the GPU of this machine.
        capabilities: compute capabilities such as "8.6".

    Raises:
        InputError: if the builder is not installed or does not know a compute capability, or `tensorrt` has no GPU.
        ArtifactError: if the ONNX is unusable or the builder refuses it.
    """
    trt = _import(builder)
    started = time.perf_counter()
    file = folder / source.file
    require_checksum(file, source)
    batches = source.min_batch, source.opt_batch, source.max_batch
    sizes = [(batch, card.input_height_px, card.input_width_px, 3) for batch in batches]
    if builder == "tensorrt":
        capabilities = _present_gpu()
    plan = _Compiler(trt, file).compile(read_onnx(file), sizes, capabilities)
    with atomic_file(folder / PLAN) as aside:
        aside.write_bytes(plan)
    return source.model_copy(
        update={
            "file": PLAN,
            "runtime": builder,
            "sha256": sha256_of(folder / PLAN),
            "runtime_version": str(trt.__version__),
            "compute_capabilities": tuple(capabilities),
            "build_s": round(time.perf_counter() - started, 2),
        }
    )


def _source(folder: Path, card: ModelCard, precision: str) -> EngineFile:
    """The ONNX file of `precision`."""
    for entry in card.engines:
        if entry.file == onnx_name(precision):
            return entry
    listed = ", ".join(entry.file for entry in card.engines) or "none"
    raise ArtifactError(
        f"{folder} must hold {onnx_name(precision)} for a plan in {precision}, its card lists {listed}; export the "
        f"model again with {precision} among export.precisions"
    )


class _Compiler:
    """A TensorRT builder with its last error."""

    def __init__(self, trt: ModuleType, source: Path) -> None:
        """A builder of `trt`, `tensorrt` or `tensorrt_rtx`; `source` is named in messages."""
        self._trt: Any = trt
        self._source = source
        self._logger = _collecting_logger(trt)
        self._builder = self._trt.Builder(self._logger)

    def compile(self, model: bytes, sizes: Sequence[tuple[int, ...]], capabilities: Sequence[str]) -> bytes:
        """The plan of an ONNX `model` with the input's smallest, usual and largest shape."""
        trt = self._trt
        network = self._builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, self._logger)
        if not parser.parse(model):
            problems = "; ".join(str(parser.get_error(index).desc()) for index in range(parser.num_errors))
            raise ArtifactError(f"{self._source} must be an ONNX file that {trt.__name__} reads: {problems}")
        config = self._builder.create_builder_config()
        if hasattr(config, "num_compute_capabilities"):
            config.num_compute_capabilities = len(capabilities)
            for index, capability in enumerate(capabilities):
                config.set_compute_capability(_named_capability(trt, capability), index)
        profile = self._builder.create_optimization_profile()
        profile.set_shape(INPUT_NAME, *sizes)
        config.add_optimization_profile(profile)
        plan = self._builder.build_serialized_network(network, config)
        if plan is None:
            raise ArtifactError(f"{trt.__name__} could not build {self._source}: {self._logger.problem}")
        return bytes(plan)


def _collecting_logger(trt: Any) -> Any:
    class CollectingLogger(trt.ILogger):
        """Keeps the last error instead of printing it."""

        def __init__(self) -> None:
            super().__init__()
            self.problem = "no reason given"

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.problem = message.strip().splitlines()[0]

    return CollectingLogger()


def _import(builder: Builder) -> ModuleType:
    if importlib.util.find_spec(builder) is None:
        package = builder.replace("_", "-")
        raise InputError(f"the builder {builder} must be installed ({package}); or set export.plan.builder=none")
    return importlib.import_module(builder)


def _present_gpu() -> tuple[str, ...]:
    here = compute_capability()
    if here is None:
        raise InputError("the builder tensorrt needs an NVIDIA GPU, this machine has none; take tensorrt_rtx")
    return (here,)


def _named_capability(trt: Any, capability: str) -> Any:
    known = trt.ComputeCapability.__members__
    name = f"SM{capability.replace('.', '')}"
    if name not in known:
        numbers = ", ".join(f"{key[2:-1]}.{key[-1]}" for key in known if key.startswith("SM"))
        raise InputError(f"compute capability must be one of {numbers} for {trt.__name__}, got {capability!r}")
    return known[name]
