"""The experiment log in MLflow: one run for each training; export and evaluation add their metrics to it.

They find the run by its id in the model card.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import yaml
from filelock import FileLock
from jaxtyping import Float32
from mlflow.data import sources
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature

from domain.model_card import ModelCard
from domain.names import Name
from domain.paths import project_folder
from domain.settings import PARAMS, Settings

_MAX_DIGEST = 36  # MLflow's limit
_MAX_PARAM = 6000


class MlflowSettings(Settings):
    """Section `mlflow`."""

    tracking_uri: str | None = None  # null: MLFLOW_TRACKING_URI, else mlflow.db beside dvc.yaml
    experiment: Name = "dongseon"


@dataclass(frozen=True)
class Provenance:
    """Origin of a model, for its card and the tags of its run."""

    git_revision: str  # ends with "-dirty" if tracked files were changed
    data_hash: str  # DVC's hash of the district's folder; empty outside a pipeline

    @classmethod
    def of(cls, dataset_folder: Path) -> "Provenance":
        """The revision of the working tree and the hash of `dataset_folder` in `dvc.lock`."""
        return cls(_git_revision(), _dvc_hash(dataset_folder))


@dataclass(frozen=True)
class TrainingRun:
    """The open run of a training."""

    run_id: str
    provenance: Provenance

    def log_curves(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each curve, such as `train/loss`."""
        mlflow.log_metrics({name: float(value) for name, value in values.items()}, step=step, run_id=self.run_id)

    def log_figures(self, figures: Sequence[Path], folder: str = "training") -> None:
        """Store pictures or other files in the run."""
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
    _connect(settings)
    provenance = Provenance.of(dataset_folder)
    tags = {
        "git_revision": provenance.git_revision,
        "dvc_data_hash": provenance.data_hash,
        "district": district,
        "dvc_experiment": os.environ.get("DVC_EXP_NAME", ""),
    }
    with _start_or_continue(name, checkpoint_folder) as run_id:
        mlflow.set_tags({key: value for key, value in tags.items() if value})
        mlflow.log_params({key: str(value)[:_MAX_PARAM] for key, value in _flatten(params, ".").items()})
        if PARAMS.is_file():
            mlflow.log_artifact(str(PARAMS), "config")
            mlflow.set_tag("config", yaml.safe_load(PARAMS.read_text()).get("experiment_name", ""))
        source = sources.LocalArtifactDatasetSource(str(dataset_folder))  # type: ignore[attr-defined]  # made at import
        digest = provenance.data_hash[:_MAX_DIGEST] or None
        dataset = MetaDataset(source, name=district, digest=digest)  # type: ignore[abstract]  # mlflow's own use of it
        mlflow.log_input(dataset, context="training")
        yield TrainingRun(run_id, provenance)


@contextmanager
def _start_or_continue(name: str, checkpoint_folder: Path | None) -> Iterator[str]:
    note = checkpoint_folder / "mlflow_run_id" if checkpoint_folder else None
    previous = note.read_text() if note and note.is_file() else None
    if previous and not _has_run(previous):
        previous = None
    with mlflow.start_run(run_id=previous, run_name=None if previous else name, log_system_metrics=True) as run:
        if note:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(run.info.run_id)
        yield run.info.run_id


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
    _connect(settings)
    if not _has_run(card.mlflow_run_id):
        run = card.mlflow_run_id or "(the card names none)"
        print(f"note: no run {run} in {mlflow.get_tracking_uri()}, so these results are in the files only")
        return False
    numbers = {
        f"{prefix}/{key}": float(value)
        for key, value in _flatten(metrics, "/").items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    mlflow.log_metrics(numbers, run_id=card.mlflow_run_id)
    for figure in figures:
        mlflow.log_artifact(str(figure), prefix, run_id=card.mlflow_run_id)
    return True


def _connect(settings: MlflowSettings | None) -> None:
    settings = settings or MlflowSettings.from_params("mlflow")
    address = settings.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    root = project_folder(Path.cwd())
    mlflow.set_tracking_uri(address or f"sqlite:///{root / 'mlflow.db'}")
    # The first connection makes the tables, which MLflow does not guard against another process that does the same.
    with nullcontext() if address else FileLock(root / "mlflow.db.lock", mode=0o600):
        if not address and mlflow.get_experiment_by_name(settings.experiment) is None:
            mlflow.create_experiment(settings.experiment, artifact_location=(root / "mlruns").as_uri())
        mlflow.set_experiment(settings.experiment)


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
    described = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--dirty"], capture_output=True, text=True, check=False
    )
    return described.stdout.strip()


def _dvc_hash(folder: Path) -> str:
    """The hash in `dvc.lock` of `folder` or of the output that contains it."""
    lock = Path("dvc.lock")
    stages = yaml.safe_load(lock.read_text()).get("stages", {}) if lock.is_file() else {}
    outs = {out["path"]: out.get("md5", "") for stage in stages.values() for out in stage.get("outs", ())}
    return next((outs[str(path)] for path in (folder, *folder.parents) if str(path) in outs), "")
