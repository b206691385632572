"""Descriptions of runs and models in Markdown: their figures, the change against the run before, and the data."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from evaluation.experiments.pages import HEADLINES
from evaluation.experiments.runs import differing, set_tags


def describe(run_id: str) -> None:
    """Write the description of a run, and of its model, from what the log has of it."""
    client = MlflowClient()
    run = client.get_run(run_id)
    text = description(run, _before(client, run))
    set_tags(run_id, {MLFLOW_RUN_NOTE: text})
    for model in run.outputs.model_outputs if run.outputs else ():
        client.set_logged_model_tags(model.model_id, {MLFLOW_RUN_NOTE: text})


def description(run: Run, before: Run | None) -> str:
    """Figures of `run` in percent beside those of `before`, then what differs, data and code."""
    rows = [_row(run.data.metrics, before, name, title) for name, title in HEADLINES.items()]
    shown = [row for row in rows if row]
    parts = []
    if shown:
        head = ["| percent | this run | 95 % interval | run before | change |", "|---|--:|---|--:|--:|"]
        parts.append("\n".join([*head, *shown]))
    if before is not None:
        parts.append(_against(run, before))
    parts += [_data(run), _code(run.data.tags)]
    return "\n\n".join(part for part in parts if part)


def _row(metrics: Mapping[str, float], before: Run | None, name: str, title: str) -> str:
    if name not in metrics:
        return ""
    value, past = metrics[name], before.data.metrics.get(name) if before else None
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    interval = "–" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
    change = ["–", "–"] if past is None else [f"{100 * past:.1f}", f"{100 * (value - past):+.1f}"]
    return f"| {title} | {100 * value:.1f} | {interval} | {change[0]} | {change[1]} |"


def _against(run: Run, before: Run) -> str:
    link = f"[{before.info.run_name}](#/experiments/{before.info.experiment_id}/runs/{before.info.run_id})"
    when = f"{datetime.fromtimestamp(before.info.start_time / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    past, now = before.data.params, run.data.params
    changed = sorted(differing(past, now) | differing(now, past))  # a pipeline has what differs from the first one
    settings = ", ".join(f"`{key}` {past.get(key, '–')} → {now.get(key, '–')}" for key in changed)
    said = f"Run before: {link} of {when}; " + (
        f"changed since: {settings}." if settings else "its settings are equal."
    )
    if run.data.tags.get("dvc_data_hash") != before.data.tags.get("dvc_data_hash"):
        said += " **It had other data**, so the change is not of the model alone."
    return said


def _data(run: Run) -> str:
    told = []
    for used in run.inputs.dataset_inputs if run.inputs else ():
        data, use = used.dataset, ", ".join(tag.value for tag in used.tags)
        facts = ", ".join(f"{key} {value}" for key, value in json.loads(data.profile or "{}").items())
        told.append(f"Data for {use}: `{data.name}`, hash `{data.digest}`: {facts}.")
    return "\n\n".join(told)


def _code(tags: Mapping[str, str]) -> str:
    named = {"config": "configuration", "git_revision": "commit", "dvc_experiment": "DVC experiment"}
    return ", ".join(f"{title} `{tags[tag]}`" for tag, title in named.items() if tags.get(tag)).capitalize()


def _before(client: MlflowClient, run: Run) -> Run | None:
    """The last earlier run of the same kind, model and district that has figures; None if there is none."""
    tags = {key: run.data.tags[key] for key in ("kind", "model", "district") if key in run.data.tags}
    where = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
    where += f" and attributes.start_time < {run.info.start_time}"
    earlier = client.search_runs(
        [run.info.experiment_id], where, max_results=20, order_by=["attributes.start_time DESC"]
    )
    return next((other for other in earlier if HEADLINES.keys() & other.data.metrics.keys()), None)
