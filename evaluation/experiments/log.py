"""The experiment log in MLflow: one run for each training; export and evaluation add their metrics to it.

They find the run by its id in the model card.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import yaml
from jaxtyping import Float32
from mlflow.data import sources
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature

from domain.errors import InputError
from domain.model_card import ModelCard
from domain.settings import PARAMS
from evaluation.experiments.connection import AWAY, MlflowSettings, away, connect, place, reason
from evaluation.experiments.kept import end, send, send_kept

UNKNOWN_REVISION = "unknown"
_MAX_DIGEST = 36  # MLflow's limit
_MAX_PARAM = 6000


@dataclass(frozen=True)
class Provenance:
    """Origin of a model, for its card and the tags of its run."""

    git_revision: str  # ends with "-dirty" if tracked files were changed; "unknown" without git
    data_hash: str  # DVC's hash of the district's folder; empty outside a pipeline

    @classmethod
    def of(cls, dataset_folder: Path) -> "Provenance":
        """The revision of the working tree and the hash of `dataset_folder` in `dvc.lock`."""
        return cls(_git_revision(), _dvc_hash(dataset_folder))


@dataclass(frozen=True)
class TrainingRun:
    """The open run of a training, which a log that is away does not stop: its checkpoints and results are files."""

    run_id: str
    provenance: Provenance

    def log_curves(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each curve, such as `train/loss`."""
        send(self.run_id, values, step)

    def log_figures(self, figures: Sequence[Path], folder: str = "training") -> None:
        """Store pictures or other files in the run."""
        with _may_be_away(f"{len(figures)} figures"):
            for figure in figures:
                mlflow.log_artifact(str(figure), folder, run_id=self.run_id)

    def log_model(self, network: Any, input_example: Float32[np.ndarray, "batch 3 height width"], name: str) -> None:
        """Store the trained torch `network` in the run, with a signature.

        Args:
            network: torch module in eval mode on the CPU that returns one tensor; MLflow serves no others.
            input_example: pictures; batch at least 2, as a trace with 1 fixes the axis.
            name: name of the model, such as `reid-osnet`.
        """
        import torch  # here, as evaluation needs no torch

        with torch.inference_mode():
            output = network(torch.from_numpy(input_example)).numpy()
        with _may_be_away(f"the model {name}"):
            mlflow.pytorch.log_model(
                network,
                name=name,
                input_example=input_example,  # MLflow traces the network with it
                signature=infer_signature(input_example, output),
                pip_requirements=[
                    f"torch=={torch.__version__.partition('+')[0]}"
                ],  # otherwise MLflow imports the model to infer them
            )


@contextmanager
def training_run(
    name: str,
    *,
    params: Mapping[str, Any],
    dataset_folder: Path,
    district: str,
    checkpoint_folder: Path | None = None,
    settings: MlflowSettings | None = None,
) -> Iterator[TrainingRun]:
    """An MLflow run around one training: parameters, tags, data set and machine load are logged.

    Args:
        name: name of the run, such as `train_reid-osnet`.
        params: nested settings; logged with dotted names.
        dataset_folder: folder in `data/<district>` with the training data.
        district: name of the district.
        checkpoint_folder: folder of the checkpoints; a resumed training continues the run that is noted there.
        settings: address of the log; default: section `mlflow` of `params.yaml`.
    """
    connect(settings)
    provenance = Provenance.of(dataset_folder)
    tags = {
        "git_revision": provenance.git_revision,
        "dvc_data_hash": provenance.data_hash,
        "district": district,
        "dvc_experiment": os.environ.get("DVC_EXP_NAME", ""),
    }
    status = "FAILED"
    try:
        run_id = _start_or_continue(name, checkpoint_folder)
        send_kept()
        mlflow.set_tags({key: value for key, value in tags.items() if value})
        _log_params(run_id, params)
        if PARAMS.is_file():
            mlflow.log_artifact(str(PARAMS), "config")
            mlflow.set_tag("config", yaml.safe_load(PARAMS.read_text()).get("experiment_name", ""))
        source = sources.LocalArtifactDatasetSource(str(dataset_folder))  # type: ignore[attr-defined]  # made at import
        digest = provenance.data_hash[:_MAX_DIGEST] or None
        dataset = MetaDataset(source, name=district, digest=digest)  # type: ignore[abstract]  # mlflow's own use of it
        mlflow.log_input(dataset, context="training")
    except AWAY as error:
        with suppress(*AWAY):
            mlflow.end_run(status)
        raise InputError(away(error)) from error
    try:
        yield TrainingRun(run_id, provenance)
        status = "FINISHED"
    finally:
        end(run_id, status)


def _start_or_continue(name: str, checkpoint_folder: Path | None) -> str:
    note = checkpoint_folder / "mlflow_run_id" if checkpoint_folder else None
    previous = note.read_text() if note and note.is_file() else None
    if previous and not _has_run(previous):
        previous = None
    run = mlflow.start_run(run_id=previous, run_name=None if previous else name, log_system_metrics=True)
    if note:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(run.info.run_id)
    return str(run.info.run_id)


def _log_params(run_id: str, params: Mapping[str, Any]) -> None:
    """Log `params`; those of a continued run stay as they were, and what differs now becomes a tag."""
    values = {key: str(value)[:_MAX_PARAM] for key, value in _flatten(params, ".").items()}
    before = mlflow.get_run(run_id).data.params
    mlflow.log_params({key: value for key, value in values.items() if key not in before})
    changed = {key: value for key, value in values.items() if before.get(key, value) != value}
    if changed:
        mlflow.set_tags({f"resumed.{key}": value for key, value in changed.items()})


@contextmanager
def _may_be_away(what: str) -> Iterator[None]:
    """Go on if the log does not take `what`, and say so."""
    try:
        yield
    except AWAY as error:
        print(f"warning: {place()} does not have {what}: {reason(error)}")


def log_results(
    card: ModelCard,
    prefix: str,
    metrics: Mapping[str, Any],
    figures: Sequence[Path] = (),
    settings: MlflowSettings | None = None,
) -> bool:
    """Add results to the run of the model's training; False if the log does not have that run.

    Args:
        card: card of the model.
        prefix: prefix of the metrics' names and folder of the figures, such as `test`.
        metrics: nested; numbers are logged as `prefix/outer/inner`, other values are skipped.
        figures: pictures or other files.
        settings: address of the log; default: section `mlflow` of `params.yaml`.
    """
    try:
        connect(settings)
    except InputError as error:
        print(f"warning: these results are in the files only: {error}")
        return False
    send_kept()
    if not _has_run(card.mlflow_run_id):
        run = card.mlflow_run_id or "(the card names none)"
        print(f"note: no run {run} in {place()}, so these results are in the files only")
        return False
    numbers = {
        f"{prefix}/{key}": float(value)
        for key, value in _flatten(metrics, "/").items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    with _may_be_away(f"these results, which are in the files ({prefix})"):
        mlflow.log_metrics(numbers, run_id=card.mlflow_run_id)
        for figure in figures:
            mlflow.log_artifact(str(figure), prefix, run_id=card.mlflow_run_id)
    return True


def _has_run(run_id: str) -> bool:
    if not run_id:
        return False
    try:
        mlflow.get_run(run_id)
    except MlflowException:
        return False
    return True


def _flatten(tree: Mapping[str, Any], separator: str, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, separator, f"{prefix}{key}{separator}")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _git_revision() -> str:
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=False)
        if described.returncode == 0:
            return described.stdout.strip()
        why = next(iter(described.stderr.splitlines()), "git failed")
    except OSError as error:
        why = f"git cannot be run ({error.strerror})"
    print(f"note: the model's card names no git revision: {why}")
    return UNKNOWN_REVISION


def _dvc_hash(folder: Path) -> str:
    """The hash in `dvc.lock` of `folder` or of the output that contains it."""
    lock = Path("dvc.lock")
    stages = yaml.safe_load(lock.read_text()).get("stages", {}) if lock.is_file() else {}
    outs = {out["path"]: out.get("md5", "") for stage in stages.values() for out in stage.get("outs", ())}
    return next((outs[str(path)] for path in (folder, *folder.parents) if str(path) in outs), "")
