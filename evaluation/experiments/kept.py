"""What the experiment log could not take: beginnings, points and ends, kept in `checkpoints/` and sent once it answers.

A file has a line for each: a mapping for the beginning, a list for a point, a text for the end.
"""

import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric

from domain.paths import project_folder
from evaluation.experiments import runs
from evaluation.experiments.beginnings import Beginning
from evaluation.experiments.connection import AWAY, place, reason
from evaluation.experiments.runs import KEPT

_FOLDER = Path("checkpoints")
AT_ONCE = 1000  # of MLflow
_RETRY_S = 60.0  # a log that does not answer may hold up each request for minutes
_next_try: dict[str, float] = {}


def begin(beginning: Beginning, why: str) -> str:
    """Keep the beginning of a run that the log does not take; an id for the run until the log gives it one."""
    run_id = f"{KEPT}{uuid.uuid4().hex}"
    _keep(_file(run_id), [asdict(beginning)])
    print(f"warning: {place()} does not answer ({why}): the run goes on, and is kept in {_file(run_id)}")
    return run_id


def send(run_id: str, values: Mapping[str, float], step: int) -> None:
    """Add a point to each curve of the run; a log that is away gets it later."""
    now = int(time.time() * 1000)
    points = [Metric(name, float(value), now, step) for name, value in values.items()]
    kept, file = _points(_file(run_id)), _file(run_id)
    if run_id.startswith(KEPT) or (kept and time.monotonic() < _next_try.get(run_id, 0.0)):
        _keep(file, map(_row, points))
        return
    try:
        _send(run_id, [*kept, *points])
    except AWAY as error:
        _keep(file, map(_row, points))
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
    """End the run; a log that is away learns it later."""
    try:
        if not run_id.startswith(KEPT):
            runs.end(run_id, status)
            return
    except AWAY:
        pass
    _keep(_file(run_id), [status])
    num = len(_points(_file(run_id)))
    print(f"warning: {place()} misses {num} points of this run; they are sent when a stage next finds it answering")


def send_kept(experiment: str, resumed: str = "") -> None:
    """Send what was kept of earlier runs; called when the log has just answered.

    Args:
        experiment: id of the experiment, for runs that the log does not have.
        resumed: id of the run that goes on now, if one does.
    """
    for file in sorted((project_folder(Path.cwd()) / _FOLDER).glob(_file("*").name)):
        run_id, ends = file.stem.partition("-")[2], [row for row in _rows(file) if isinstance(row, str)]
        if run_id.startswith(KEPT) and not ends and run_id != resumed:
            continue  # its training still runs, or was killed and may go on
        try:
            points = _send_file(file, run_id, ends, experiment)
        except AWAY as error:
            print(f"warning: {file} has what {place()} does not take ({reason(error)})")
        else:
            print(f"{place()} has the {points} points of the run {run_id} that were kept")
            file.unlink()


def _send_file(file: Path, run_id: str, ends: Sequence[str], experiment: str) -> int:
    """Send what `file` has; number of its points."""
    points = _points(file)
    for row in _rows(file):
        if isinstance(row, dict):
            known = runs.find(run_id)  # of an attempt that ended before its end
            beginning = Beginning(**row)
            beginning.tags["kept_as"] = run_id
            run_id = known.info.run_id if known else runs.create(beginning, experiment)
    _send(run_id, points)
    for status in ends:
        runs.end(run_id, status)
    return len(points)


def _send(run_id: str, points: Sequence[Metric]) -> None:
    client = MlflowClient()
    for first in range(0, len(points), AT_ONCE):
        client.log_batch(run_id, metrics=points[first : first + AT_ONCE])


def _file(run_id: str) -> Path:
    return project_folder(Path.cwd()) / _FOLDER / f"unsent-{run_id}.jsonl"


def _keep(file: Path, rows: Iterable[Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def _row(point: Metric) -> list[Any]:
    return [point.key, point.value, point.timestamp, point.step]


def _points(file: Path) -> list[Metric]:
    return [Metric(*row) for row in _rows(file) if isinstance(row, list)]


def _rows(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
