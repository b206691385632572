"""Points that the experiment log could not take: kept in `checkpoints/`, and sent once it answers."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric

from domain.paths import project_folder
from evaluation.experiments.connection import AWAY, place, reason

_FOLDER = Path("checkpoints")
_AT_ONCE = 1000  # of MLflow
_RETRY_S = 60.0  # a log that does not answer may hold up each request for minutes
_next_try: dict[str, float] = {}


def send(run_id: str, values: Mapping[str, float], step: int) -> None:
    """Add a point to each curve of the run; a log that is away gets it later."""
    now = int(time.time() * 1000)
    points = [Metric(name, float(value), now, step) for name, value in values.items()]
    kept = _read(file := _file(run_id))
    if kept and time.monotonic() < _next_try.get(run_id, 0.0):
        _keep(file, points)
        return
    try:
        _send(run_id, [*kept, *points])
    except AWAY as error:
        _keep(file, points)
        _next_try[run_id] = time.monotonic() + _RETRY_S
        if not kept:
            print(
                f"warning: {place()} does not answer ({reason(error)}): the run goes on, its points are kept in {file}"
            )
    else:
        if kept:
            print(f"{place()} answers again: it has the {len(kept)} points that were kept")
        file.unlink(missing_ok=True)


def end(run_id: str, status: str) -> None:
    """End the run that MLflow has open; a log that is away learns it later."""
    try:
        mlflow.end_run(status)
    except AWAY:
        with _opened(_file(run_id)) as lines:
            lines.write(json.dumps(status) + "\n")
        num = len(_read(_file(run_id)))
        print(f"warning: {place()} misses {num} points of this run; they are sent when a stage next finds it answering")


def send_kept() -> None:
    """Send what was kept of earlier runs; called when the log has just answered."""
    for file in sorted((project_folder(Path.cwd()) / _FOLDER).glob(_file("*").name)):
        points, run_id = _read(file), file.stem.partition("-")[2]
        try:
            _send(run_id, points)
            for status in _statuses(file):
                MlflowClient().set_terminated(run_id, status)
        except AWAY as error:
            print(f"warning: {file} has {len(points)} points that {place()} does not take ({reason(error)})")
        else:
            print(f"{place()} has the {len(points)} points of the run {run_id} that were kept")
            file.unlink()


def _send(run_id: str, points: Sequence[Metric]) -> None:
    client = MlflowClient()
    for first in range(0, len(points), _AT_ONCE):
        client.log_batch(run_id, metrics=points[first : first + _AT_ONCE])


def _file(run_id: str) -> Path:
    return project_folder(Path.cwd()) / _FOLDER / f"unsent-{run_id}.jsonl"


def _keep(file: Path, points: Sequence[Metric]) -> None:
    with _opened(file) as lines:
        lines.writelines(json.dumps([each.key, each.value, each.timestamp, each.step]) + "\n" for each in points)


def _opened(file: Path) -> TextIO:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("a")


def _read(file: Path) -> list[Metric]:
    return [Metric(*row) for row in _rows(file) if isinstance(row, list)]


def _statuses(file: Path) -> list[str]:
    return [row for row in _rows(file) if isinstance(row, str)]


def _rows(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
