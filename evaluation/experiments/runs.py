"""Runs of the log: how they begin and end below the run of their pipeline, how they are named, and found again."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from evaluation.experiments.beginnings import Beginning, as_params, flatten
from evaluation.experiments.connection import lock

KEPT = "kept-"  # begins the id of a run that the log did not take at its start
CONFIG, CHANGES = "config/params.yaml", "config/changes.diff"
_OF_PIPELINE = ("pipeline", "district", "config", "git_revision", "dvc_data_hash", "dvc_experiment")
_NAMED = 3  # settings in a name


def create(beginning: Beginning, experiment: str) -> str:
    """Create the run below that of its pipeline, which is created if it is the first of it; its id."""
    client, tags = MlflowClient(), beginning.tags
    parent = pipeline_of(beginning, experiment)
    first = _first(client, experiment, _some(tags, "kind", "model", "district", "config"), oldest=True)
    name = named(beginning.title, differing(first.data.params, beginning.params) if first else {})
    return _create(client, beginning, experiment, name, beginning.params, {MLFLOW_PARENT_RUN_ID: parent})


def again_or_new(beginning: Beginning, experiment: str) -> Run:
    """The run of the same evaluation in this pipeline, else a new one; it runs."""
    client = MlflowClient()
    found = _first(client, experiment, _some(beginning.tags, "kind", "model", "model_version", "pipeline"))
    if found is None:
        return client.get_run(create(beginning, experiment))
    resume(found, beginning.params)
    return found


def resume(run: Run, params: Mapping[str, str]) -> None:
    """Let the run go on; its settings stay as they were, and what differs now becomes a tag."""
    client, run_id, before = MlflowClient(), run.info.run_id, run.data.params
    for each in (run_id, run.data.tags.get(MLFLOW_PARENT_RUN_ID)):
        if each:
            client.update_run(each, status="RUNNING")
    new = {key: value for key, value in params.items() if key not in before}
    changed = {key: value for key, value in params.items() if before.get(key, value) != value}
    client.log_batch(run_id, params=[Param(key, value) for key, value in new.items()])
    set_tags(run_id, {f"resumed.{key}": value for key, value in changed.items()})


def create_machine_load(run_id: str) -> str:
    """A run below `run_id` for the load of the machine; its id."""
    tags = {MLFLOW_PARENT_RUN_ID: run_id, "kind": "machine"}
    experiment = MlflowClient().get_run(run_id).info.experiment_id
    return str(
        MlflowClient().create_run(experiment, tags=resolve_tags(tags), run_name="load of the machine").info.run_id
    )


def pipeline_of(beginning: Beginning, experiment: str) -> str:
    """The id of the run of the pipeline that a run belongs to, which is created if there is none; it runs again."""
    client, tags = MlflowClient(), _some(beginning.tags, *_OF_PIPELINE) | {"kind": "pipeline"}
    with lock():  # two stages may begin together
        found = _first(client, experiment, _some(tags, "kind", "pipeline"))
        if found is not None:
            client.update_run(found.info.run_id, status="RUNNING")
            client.log_inputs(found.info.run_id, [beginning.entity()])
            return str(found.info.run_id)
        first = _first(client, experiment, _some(tags, "kind", "district", "config"), oldest=True)
        changed = _changed_settings(first, beginning) if first else {}
        name = named(f"{tags['district']} {tags.get('config', '')}".strip(), changed)
        return _create(client, replace(beginning, tags=tags), experiment, name, as_params(changed), {})


def end(run_id: str, status: str) -> None:
    """End the run, and its pipeline's until another run of it begins."""
    client = MlflowClient()
    client.set_terminated(run_id, status)
    parent = client.get_run(run_id).data.tags.get(MLFLOW_PARENT_RUN_ID)
    if parent:
        client.set_terminated(parent, status)


def find(run_id: str) -> Run | None:
    """The run of this id, or the one that was kept under it; None if the log has none."""
    if not run_id:
        return None
    client = MlflowClient()
    try:
        if not run_id.startswith(KEPT):
            return client.get_run(run_id)
        everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
        return next(iter(client.search_runs(everywhere, f"tags.kept_as = '{run_id}'", max_results=1)), None)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What has another value in `now` than in `before`, or none there.

    Example:
        >>> differing({"lr": "0.1", "batch": "8"}, {"lr": "0.2", "batch": "8"})
        {'lr': '0.2'}
    """
    return {key: value for key, value in now.items() if before.get(key) != value}


def named(title: str, settings: Mapping[str, Any]) -> str:
    """`title` with the first of the settings that make the run another one than the first of its kind.

    Example:
        >>> named("train_reid-osnet", {"reid.lr": 0.01, "reid.max_epochs": 4})
        'train_reid-osnet lr=0.01 max_epochs=4'
    """
    shown = [f"{key.rpartition('.')[2]}={value}" for key, value in settings.items()][:_NAMED]
    more = [f"+{len(settings) - _NAMED} more"] if len(settings) > _NAMED else []
    return " ".join([title, *shown, *more])


def _create(
    client: MlflowClient,
    beginning: Beginning,
    experiment: str,
    name: str,
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> str:
    all_tags = resolve_tags(beginning.tags | dict(tags))
    run_id = str(client.create_run(experiment, beginning.start_ms, all_tags, name).info.run_id)
    client.log_batch(run_id, params=[Param(key, value) for key, value in params.items()])
    client.log_inputs(run_id, [beginning.entity()])
    for text, file in ((beginning.settings, CONFIG), (beginning.changes, CHANGES)):
        if text:
            client.log_text(run_id, text, file)
    return run_id


def _some(tags: Mapping[str, str], *keys: str) -> dict[str, str]:
    return {key: tags[key] for key in keys if key in tags}


def _first(client: MlflowClient, experiment: str, tags: Mapping[str, str], *, oldest: bool = False) -> Run | None:
    where = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
    order = [f"attributes.start_time {'ASC' if oldest else 'DESC'}"]
    return next(iter(client.search_runs([experiment], where, max_results=1, order_by=order)), None)


def _changed_settings(first: Run, beginning: Beginning) -> dict[str, Any]:
    """What makes a pipeline another one than the first of its district and configuration."""
    try:
        with TemporaryDirectory() as folder:
            file = MlflowClient().download_artifacts(first.info.run_id, CONFIG, folder)
            before = Path(file).read_text(encoding="utf-8")
    except (MlflowException, OSError):  # nothing to compare with
        return {}
    settings = [flatten(yaml.safe_load(text) or {}, ".") for text in (before, beginning.settings)]
    origins = [
        {key: tags.get(tag, "")[:7] for key, tag in (("data", "dvc_data_hash"), ("commit", "git_revision"))}
        for tags in (first.data.tags, beginning.tags)
    ]
    return differing(settings[0], settings[1]) | differing(origins[0], origins[1])


def set_tags(run_id: str, tags: Mapping[str, str]) -> None:
    """Add tags to a run, or change them."""
    MlflowClient().log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
