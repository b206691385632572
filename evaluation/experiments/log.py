"""Trainings in the experiment log: a run for each, below the run of its pipeline; `outcomes` adds what comes later."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from jaxtyping import Float32
from mlflow import MlflowClient
from mlflow.models import infer_signature
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from evaluation.experiments import kept, runs
from evaluation.experiments.beginnings import Beginning, begin_run
from evaluation.experiments.connection import AWAY, AwayError, MlflowSettings, connect, may_be_away, reason
from evaluation.experiments.datasets import DistrictData
from evaluation.experiments.provenance import Provenance
from evaluation.experiments.runs import KEPT


@dataclass(frozen=True)
class TrainingRun:
    """The open run of a training, which a log that is away does not stop: its checkpoints and results are files."""

    run_id: str
    provenance: Provenance

    def log_curves(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each curve, such as `train/loss`."""
        kept.send(self.run_id, values, step)

    def log_figures(self, figures: Sequence[Path], folder: str = "training") -> None:
        """Store pictures or other files in the run."""
        with may_be_away(f"{len(figures)} figures"):
            self._require_begun()
            for figure in figures:
                MlflowClient().log_artifact(self.run_id, str(figure), folder)

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
        with may_be_away(f"the model {name}"):
            self._require_begun()
            with mlflow.start_run(self.run_id):
                mlflow.pytorch.log_model(
                    network,
                    name=name,
                    input_example=input_example,  # MLflow traces the network with it
                    signature=infer_signature(input_example, output),
                    pip_requirements=[
                        f"torch=={torch.__version__.partition('+')[0]}"
                    ],  # otherwise MLflow imports the model to infer them
                )

    def _require_begun(self) -> None:
        if self.run_id.startswith(KEPT):
            raise AwayError("it did not answer when the run began")


@contextmanager
def training_run(
    model: str,
    *,
    params: Mapping[str, Any],
    dataset_folder: Path,
    district: str,
    checkpoint_folder: Path | None = None,
    settings: MlflowSettings | None = None,
) -> Iterator[TrainingRun]:
    """A run around one training, below the run of its pipeline: settings, data set and machine load are logged.

    The training goes on if the log is away; what it did not take is sent later, except pictures and the network.

    Args:
        model: name of the model, such as `reid-osnet`.
        params: the settings that a person compares.
        dataset_folder: folder in `data/<district>` with the training data.
        district: name of the district.
        checkpoint_folder: folder of the checkpoints; a resumed training continues the run that is noted there.
        settings: address of the log; default: section `mlflow` of `params.yaml`.
    """
    provenance = Provenance.of(dataset_folder)
    data = DistrictData(dataset_folder.parent, dataset_folder.name, provenance.data_hash, "training")
    beginning = begin_run("training", f"train_{model}", district, provenance, data, params, model=model)
    note = checkpoint_folder / "mlflow_run_id" if checkpoint_folder else None
    run_id = _begin(beginning, note.read_text() if note and note.is_file() else "", settings)
    if note:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(run_id)
    status = "FAILED"
    try:
        with _machine_load(run_id):
            yield TrainingRun(run_id, provenance)
        status = "FINISHED"
    finally:
        kept.end(run_id, status)


def _begin(beginning: Beginning, previous: str, settings: MlflowSettings | None) -> str:
    """The id of the run that begins, or goes on as `previous`."""
    try:
        experiment = connect(settings)
        kept.send_kept(experiment, previous)
        run = runs.find(previous)
        if run is None:
            return runs.create(beginning, experiment)
        runs.resume(run, beginning.params)
        return str(run.info.run_id)
    except AWAY as error:
        return previous or kept.begin(beginning, reason(error))


@contextmanager
def _machine_load(run_id: str) -> Iterator[None]:
    """Log the load of the machine in a run of its own below `run_id`: among our figures it would come first."""
    monitor, client = None, MlflowClient()
    if not run_id.startswith(KEPT):
        with may_be_away("the load of the machine"):
            load = runs.create_machine_load(run_id)
            monitor = SystemMetricsMonitor(load)
            monitor.start()
    try:
        yield
    finally:
        if monitor is not None:
            monitor.finish()
            with may_be_away("the end of the load of the machine"):
                client.set_terminated(load)
