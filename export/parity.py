"""Differences between engines and the torch network they were exported from: `parity.json`.

`python -m export.parity export.model=detector` completes it on a machine that can run the plan.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from domain.atomic import atomic_file
from domain.cores import machine
from domain.errors import ArtifactError
from domain.model_card import EngineFile, ModelCard, read_card
from domain.paths import DATA, ENGINES, MODELS, configured_district
from domain.stage import run_stage
from evaluation.experiments.outcomes import log_engine
from export.engines import load
from export.engines.cuda_driver import compute_capability
from export.engines.engine import Engine
from export.engines.tensorrt_runtime import require_fitting, runtime_version
from export.networks import load_network
from export.onnx_graph import EngineNetwork
from export.settings import ExportSettings, Limits, ParitySettings, Precision
from export.validation import ValidationSample, sample_of

PARITY = "parity.json"
_TORCH_BATCH = 8
_TIMED_RUNS = 7


class OutputDifference(BaseModel):
    """Differences of one output to torch's, over all validation pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    largest: float
    mean: float
    worst_picture: str  # picture with the largest difference


class EngineParity(BaseModel):
    """Differences of one engine file to torch, and its speed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runtime: str
    precision: Precision
    checked: bool
    reason: str = ""  # if it was not checked: why
    outputs: dict[str, OutputDifference] = {}
    metric: float | None = None
    metric_difference: float | None = None
    ms_per_picture: float | None = None  # in batches of `opt_batch`, or of all pictures if there are fewer; median
    ms_alone: float | None = None  # one picture at a time; median


class Parity(BaseModel):
    """Content of `parity.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_images: int
    metric_name: str  # ap50_95, instance_f1 or map, over these few pictures only
    torch_metric: float
    machine: str  # that measured the speed
    engines: dict[str, EngineParity]  # by file name


def main(argv: Sequence[str] = ()) -> None:
    """Compare every engine file of a model that runs on this machine with torch, and rewrite `parity.json`."""
    settings = ExportSettings.from_params("export", argv)
    district = configured_district(argv)
    folder = ENGINES.of(district) / settings.model
    card = read_card(folder)
    sample = sample_of(card, DATA.of(district), settings.parity.images, settings.predict_score_threshold)
    parity = compare(folder, card, load_network(MODELS.of(district) / settings.model, card), sample, settings)
    write_parity(parity, folder)
    log_parity(card, parity, folder)
    require_within_limits(parity, settings.parity, settings.model)


def compare(
    folder: Path, card: ModelCard, network: EngineNetwork, sample: ValidationSample, settings: ExportSettings
) -> Parity:
    """Compare the engines of `card` in `folder` with `network`; those that cannot run here are marked as unchecked."""
    expected = torch_outputs(network, sample.images)
    torch_metric = sample.metric(expected)
    engines = {}
    for entry in card.engines:
        reason = _why_not_here(entry)
        engines[entry.file] = EngineParity(
            runtime=entry.runtime, precision=entry.precision, checked=not reason, reason=reason
        )
        if reason:
            continue
        engine = load(folder / entry.file, threads=settings.threads)
        outputs = engine(sample.images)
        metric = sample.metric(outputs)
        measured = {
            "outputs": output_differences(card, outputs, expected, sample.names),
            "metric": metric,
            "metric_difference": metric - torch_metric,
            "ms_per_picture": ms_per_picture(engine, sample.images[: entry.opt_batch]),
            "ms_alone": ms_per_picture(engine, sample.images[:1]),
        }
        engines[entry.file] = engines[entry.file].model_copy(update=measured)
    return Parity(
        num_images=len(sample.images),
        metric_name=sample.metric_name,
        torch_metric=torch_metric,
        machine=machine(),
        engines=engines,
    )


def ms_per_picture(engine: Engine, images: np.ndarray) -> float:
    """Milliseconds that `engine` takes for one of the images of a batch: the median of some runs after a first one."""
    engine(images)
    runs = []
    for _ in range(_TIMED_RUNS):
        start = perf_counter()
        engine(images)
        runs.append(perf_counter() - start)
    return 1000 * float(np.median(runs)) / len(images)


def torch_outputs(network: EngineNetwork, images: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs of torch for `images`, `uint8 [batch, height, width, 3]`, by name."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), _TORCH_BATCH):
            outputs = network(torch.from_numpy(images[start : start + _TORCH_BATCH]))
            parts.append([output.numpy() for output in outputs])
    columns = zip(*parts, strict=True)
    return {name: np.concatenate(column) for name, column in zip(network.card.output_names, columns, strict=True)}


def output_differences(
    card: ModelCard, outputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], names: Sequence[str]
) -> dict[str, OutputDifference]:
    """Absolute differences of each output; those of boxes, clipped to the picture, as fractions of its size."""
    differences = {}
    for name in card.output_names:
        pair = outputs[name], expected[name]
        if card.task == "detector" and name == "boxes":
            size = np.array([card.input_width_px, card.input_height_px] * 2, np.float32)
            pair = np.clip(pair[0] / size, 0, 1), np.clip(pair[1] / size, 0, 1)
        distance = np.abs(pair[0] - pair[1])
        worst = int(np.unravel_index(distance.argmax(), distance.shape)[0])
        differences[name] = OutputDifference(
            largest=float(distance.max()), mean=float(distance.mean()), worst_picture=names[worst]
        )
    return differences


def require_within_limits(parity: Parity, settings: ParitySettings, model: str) -> None:
    """Raise `ArtifactError` if a checked engine differs more from torch than the limits of its precision allow."""
    for file, engine in parity.engines.items():
        if engine.checked:
            _require_within(engine, settings.limits(engine.precision), f"{file} of {model}", parity.metric_name)


def _require_within(engine: EngineParity, limits: Limits, file: str, metric_name: str) -> None:
    for name, difference in engine.outputs.items():
        if not difference.largest <= limits.output:  # also if it is NaN
            raise ArtifactError(
                f"{file} ({engine.precision}) must be within {limits.output:g} of torch, output {name} differs by "
                f"{difference.largest:.3g} on {difference.worst_picture}; look at the network, or raise "
                f"export.parity.{engine.precision}.output"
            )
    if engine.metric_difference is not None and not abs(engine.metric_difference) <= limits.metric:
        raise ArtifactError(
            f"{file} ({engine.precision}) must keep {metric_name} within {limits.metric:g} of torch, it differs by "
            f"{engine.metric_difference:+.4f}; look at the network, or raise export.parity.{engine.precision}.metric"
        )


def write_parity(parity: Parity, folder: Path) -> None:
    """Write `parity.json` into an engine folder."""
    with atomic_file(folder / PARITY) as aside:
        aside.write_text(parity.model_dump_json(indent=2) + "\n", encoding="utf-8")


def log_parity(card: ModelCard, parity: Parity, folder: Path) -> None:
    """Log the engines in `folder` and their differences to the MLflow run of the model's training."""
    by_kind = {
        f"{engine.runtime}-{engine.precision}": {
            "largest_difference": max(output.largest for output in engine.outputs.values()),
            "metric": engine.metric,
            "metric_difference": engine.metric_difference,
        }
        for engine in parity.engines.values()
        if engine.checked
    }
    log_engine(card, sorted(folder.iterdir()), by_kind)


def _why_not_here(entry: EngineFile) -> str:
    if entry.runtime == "onnxruntime":
        return ""
    try:
        require_fitting(Path(entry.file), entry, runtime_version(entry.runtime), compute_capability())
    except ArtifactError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    run_stage(main)
