"""TensorRT plans from an engine folder's ONNX: `tensorrt_rtx` ahead of time and without a GPU, `tensorrt` on the GPU.

`python -m export.tensorrt_plan folder=engines/detector` rebuilds the plan on the machine that will run it.
"""

import importlib
import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import onnx
from google.protobuf.message import DecodeError
from pydantic import Field

from domain.atomic import atomic_file
from domain.errors import ArtifactError, InputError
from domain.model_card import EngineFile, ModelCard, read_card, write_card
from domain.settings import Settings
from domain.stage import run_stage
from export.engines.cuda_driver import compute_capability
from export.engines.engine import INPUT_NAME
from export.engines.loading import sha256_of
from export.half_precision import to_half
from export.keyed_arguments import parse_arguments
from export.settings import Precision, Profile

PLAN, ONNX = "model.plan", "model.onnx"
Builder = Literal["tensorrt_rtx", "tensorrt"]


class RebuildArguments(Settings):
    """Command line of this module."""

    folder: Path
    builder: Builder | None = None  # of the card's plan where not given, else tensorrt_rtx
    precision: Precision | None = None  # of the card's plan where not given, else fp16
    compute_capabilities: tuple[str, ...] | None = Field(default=None, min_length=1)  # of the GPU present


def main(argv: Sequence[str] = ()) -> None:
    """Rebuild the plan of an engine folder from its ONNX and note it in the card."""
    arguments = parse_arguments(RebuildArguments, argv)
    folder, card = arguments.folder, read_card(arguments.folder)
    onnx_entry = next((entry for entry in card.engines if entry.file == ONNX), None)
    if onnx_entry is None:
        raise ArtifactError(f"{folder} must hold {ONNX}, its card lists none; export the model again")
    old = next((entry for entry in card.engines if entry.file == PLAN), None)
    here = compute_capability()
    capabilities = arguments.compute_capabilities or ((here,) if here else None)
    if capabilities is None:
        raise InputError('this machine has no NVIDIA GPU to build for; name them, such as compute_capabilities=["8.6"]')
    entry = build_plan(
        folder,
        card,
        builder=arguments.builder or (old.runtime if old and old.runtime != "onnxruntime" else "tensorrt_rtx"),
        precision=arguments.precision or ("fp32" if old and old.precision == "fp32" else "fp16"),
        capabilities=capabilities,
        profile=Profile(**onnx_entry.model_dump(include=set(Profile.model_fields))),
    )
    others = tuple(item for item in card.engines if item.file != PLAN)
    write_card(card.model_copy(update={"engines": (*others, entry)}), folder)
    print(f"{folder / PLAN}: {entry.runtime} {entry.runtime_version} for {', '.join(entry.compute_capabilities)}")


def build_plan(
    folder: Path,
    card: ModelCard,
    *,
    builder: Builder,
    precision: Precision,
    capabilities: Sequence[str],
    profile: Profile,
) -> EngineFile:
    """Build `model.plan` of `folder` from its `model.onnx` and return the card's entry for it.

    Args:
        folder: engine folder.
        card: its card.
        builder: `tensorrt_rtx` builds anywhere for `capabilities`; `tensorrt` for the GPU of this machine.
        precision: "fp16" halves the graph first, see `export.half_precision`.
        capabilities: compute capabilities such as "8.6".
        profile: batch sizes.

    Raises:
        InputError: if the builder is not installed or does not know a compute capability, or `tensorrt` has no GPU.
        ArtifactError: if the ONNX is unusable or the builder refuses it.
    """
    trt = _import(builder)
    started = time.perf_counter()
    graph = _read_onnx(folder / ONNX)
    model = to_half(graph) if precision == "fp16" else graph
    sizes = [(batch, card.input_height_px, card.input_width_px, 3) for batch in profile.model_dump().values()]
    if builder == "tensorrt":
        capabilities = _present_gpu()
    plan = _Compiler(trt, folder / ONNX).compile(model.SerializeToString(), sizes, capabilities)
    with atomic_file(folder / PLAN) as aside:
        aside.write_bytes(plan)
    return EngineFile(
        file=PLAN,
        runtime=builder,
        precision=precision,
        sha256=sha256_of(folder / PLAN),
        **profile.model_dump(),
        runtime_version=str(trt.__version__),
        compute_capabilities=tuple(capabilities),
        build_s=round(time.perf_counter() - started, 2),
    )


class _Compiler:
    """One builder and what it complained about."""

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


def _read_onnx(file: Path) -> onnx.ModelProto:
    try:
        return onnx.load(file)
    except (OSError, DecodeError) as error:
        raise ArtifactError(f"{file} must be a usable ONNX file; export the model again ({error})") from error


if __name__ == "__main__":
    run_stage(main)
