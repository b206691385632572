"""Outcomes of the stages after training in the experiment log: engines, figures and the report.

Figures on a model's own district are in the run of its training, which is found by its id in the model card. Figures
on other data, and those of tracking, are runs of their own.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from domain.model_card import CARD, ModelCard
from domain.paths import DATA
from evaluation.experiments import kept, runs
from evaluation.experiments.beginnings import Beginning, begin_run, flatten
from evaluation.experiments.connection import connect, may_be_away, place
from evaluation.experiments.datasets import DistrictData
from evaluation.experiments.description import describe
from evaluation.experiments.pages import HEADLINES
from evaluation.experiments.provenance import Provenance

_TRACKING = "tracking"
_DATA_OF = {"detector": "detection", "attributes": "attributes", _TRACKING: "videos"}  # else re-ID's


def log_engine(card: ModelCard, files: Sequence[Path], parity: Mapping[str, Any]) -> bool:
    """Add exported files and their differences to torch to the run of the training.

    Args:
        card: card of the model.
        files: the engines, their card and whatever else lies beside them.
        parity: nested numbers; logged as `parity/outer/inner`.

    Returns:
        False if the log does not answer, or has no run of the training.
    """
    with may_be_away("the engines, which are in the files"):
        kept.send_kept(connect())
        run = runs.find(card.mlflow_run_id)
        if run is None:
            named = card.mlflow_run_id or "(the card names none)"
            print(f"note: no run {named} in {place()}, so the engines and their parity are in the files only")
            return False
        runs.set_tags(run.info.run_id, {"model_version": card.version})
        _log_numbers(run, "parity", parity)
        _log_files(run, files, "engines")
        return True
    return False


def log_evaluation(
    name: str,
    card: ModelCard,
    district: str,
    metrics: Mapping[str, Any],
    figures: Sequence[Path] = (),
    engine: Sequence[Path] = (),
) -> bool:
    """Add test figures to the run of the model's training; figures on other data become a run of their own.

    Args:
        name: of the evaluated model, or `tracking`.
        card: of the model; of tracking: of its re-ID model.
        district: whose test data was used.
        metrics: nested; numbers are logged as `test/outer/inner`, or `tracking/…`.
        figures: pictures or other files.
        engine: files of an imported model, whose run is that of its evaluation.

    Returns:
        False if the log does not answer.
    """
    with may_be_away("these results, which are in the files"):
        experiment = connect()
        kept.send_kept(experiment)
        prefix = _prefix(name)
        beginning, data = _beginning_of_evaluation(name, card, district)
        trained = runs.find(card.mlflow_run_id)
        if trained is not None and name != _TRACKING and _is_own(card, beginning):
            run = trained
            MlflowClient().log_inputs(run.info.run_id, [beginning.entity()])
        else:
            run = runs.again_or_new(beginning, experiment)
            MlflowClient().log_text(run.info.run_id, card.model_dump_json(indent=2, exclude_defaults=True), CARD)
        _log_numbers(run, prefix, metrics, data)
        _log_files(run, figures, prefix)
        _log_files(run, engine, "engines")
        describe(run.info.run_id)
        pipeline = runs.pipeline_of(beginning, experiment)
        _log_headlines(pipeline, name, metrics, beginning.settings)
        describe(pipeline)
        for ended in {pipeline, run.info.run_id}:
            MlflowClient().set_terminated(ended)
        return True
    return False


def log_report(district: str, metrics: Mapping[str, Mapping[str, Any]], files: Sequence[Path]) -> bool:
    """Complete the run of the pipeline: the figures of all its stages, also of those that DVC did not run again.

    Args:
        district: name.
        metrics: of each evaluation stage, by name.
        files: the report, the models' cards.

    Returns:
        False if the log does not answer.
    """
    with may_be_away("the report, which is in the files"):
        experiment = connect()
        kept.send_kept(experiment)
        provenance = Provenance.of(DATA.of(district))
        data = DistrictData(DATA.of(district), "", provenance.data_hash, "report")
        beginning = begin_run("report", "report", district, provenance, data)
        pipeline = runs.pipeline_of(beginning, experiment)
        for name, values in metrics.items():
            _log_headlines(pipeline, name, values, beginning.settings)
        _log_files(MlflowClient().get_run(pipeline), files, "report")
        describe(pipeline)
        MlflowClient().set_terminated(pipeline)
        return True
    return False


def _beginning_of_evaluation(name: str, card: ModelCard, district: str) -> tuple[Beginning, DistrictData]:
    folder = DATA.of(district) / _DATA_OF.get(name, "reid")
    provenance = Provenance.of(folder)
    data = DistrictData(folder.parent, folder.name, provenance.data_hash, "evaluation")
    title = "track" if name == _TRACKING else f"evaluate_{name}"
    if card.district not in ("", district):
        title += f" of {card.district}"
    kind = _TRACKING if name == _TRACKING else "evaluation"
    return begin_run(kind, title, district, provenance, data, model=name, model_version=card.version), data


def _is_own(card: ModelCard, evaluated: Beginning) -> bool:
    """Whether a model was evaluated on the data of its training's district; without hashes the name decides."""
    hashes = {card.data_hash, evaluated.tags.get("dvc_data_hash", "")} - {""}
    return card.district == evaluated.tags["district"] and len(hashes) <= 1


def _prefix(name: str) -> str:
    return _TRACKING if name == _TRACKING else "test"


def _log_numbers(run: Run, prefix: str, metrics: Mapping[str, Any], data: DistrictData | None = None) -> None:
    """Log the numbers among `metrics`, which the pages of the run's model show with their data."""
    models = run.outputs.model_outputs if run.outputs else []
    now = int(time.time() * 1000)
    points = [
        Metric(
            f"{prefix}/{key}",
            float(value),
            now,
            0,
            model_id=models[0].model_id if models else None,
            dataset_name=data.name if data else None,
            dataset_digest=data.digest if data else None,
        )
        for key, value in flatten(metrics, "/").items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    for first in range(0, len(points), kept.AT_ONCE):
        MlflowClient().log_batch(run.info.run_id, points[first : first + kept.AT_ONCE])


def _log_headlines(pipeline: str, name: str, metrics: Mapping[str, Any], settings: str) -> None:
    """Log the main figures to the run of the pipeline; of several backbones those of the deployed one."""
    deployed = (yaml.safe_load(settings) or {}).get("reid", {}).get("backbone")
    if name.startswith("reid-") and name != f"reid-{deployed}":
        return
    shown = {f"{headline}{end}" for headline in HEADLINES for end in ("", "_low", "_high")}
    prefix = _prefix(name)
    figures = {key: value for key, value in flatten(metrics, "/").items() if f"{prefix}/{key}" in shown}
    _log_numbers(MlflowClient().get_run(pipeline), prefix, figures)


def _log_files(run: Run, files: Sequence[Path], folder: str) -> None:
    for file in files:
        MlflowClient().log_artifact(run.info.run_id, str(file), folder)
