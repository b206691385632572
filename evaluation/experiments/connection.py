"""Where the experiment log is, and what a person reads if it does not answer."""

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from filelock import FileLock
from mlflow.exceptions import MlflowException

from domain.errors import InputError
from domain.names import Name
from domain.paths import project_folder
from domain.settings import Settings
from evaluation.experiments.pages import TAGS

_LOG, _ARTIFACTS = "mlflow.db", "mlruns"
_PASSWORD = re.compile(r"(?<=//)\S*@")
_NETWORK = re.compile(r"\[Errno -?\d+\] [\w ,]+|[Rr]ead timed out|[Cc]onnection to \S+ timed out")
_PLACES = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}
# MLflow would retry a request for minutes; a training goes on sooner.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Messages below are of no use to a reader, as is the one that an environment of uv has no pip.
logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)


class AwayError(InputError):
    """The experiment log does not answer, or is no log."""


# What is raised if a server, a disk or a database does not do its part.
AWAY = (MlflowException, OSError, AwayError)


class MlflowSettings(Settings):
    """Section `mlflow`."""

    tracking_uri: str | None = None  # null: MLFLOW_TRACKING_URI, else mlflow.db beside dvc.yaml
    experiment: Name = "dongseon"


def connect(settings: MlflowSettings | None = None) -> str:
    """Let MLflow use the log of `settings`, or of the section `mlflow` of `params.yaml`; the id of the experiment.

    Raises:
        AwayError: if it does not answer, or is no log.
    """
    settings = settings or MlflowSettings.from_params("mlflow")
    address = settings.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        return connect_locally(settings.experiment)
    mlflow.set_tracking_uri(address)
    try:
        return _choose_experiment(settings.experiment, None)
    except AWAY as error:
        raise AwayError(_away(error)) from error


def connect_locally(experiment: str) -> str:
    """Let MLflow use the log beside `dvc.yaml`, which is created if there is none; the id of `experiment` in it.

    Raises:
        AwayError: if it does not answer, or is no log.
    """
    root = project_folder(Path.cwd())
    file = root / _LOG
    whole = "?" not in str(file)  # it would end the path in an address
    mlflow.set_tracking_uri(f"sqlite:///{file if whole else os.path.relpath(file)}")
    try:
        # The first connection makes the tables, which MLflow does not guard against another process that does the same.
        with lock():
            _follow_the_project(root)
            return _choose_experiment(experiment, (root / _ARTIFACTS).as_uri())
    except AWAY as error:
        raise AwayError(_away(error)) from error


def _choose_experiment(name: str, artifacts: str | None) -> str:
    """Let runs go to the experiment `name`, whose pages show trainings; its id."""
    if mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=artifacts)
    experiment = mlflow.set_experiment(name)
    missing = {tag: value for tag, value in TAGS.items() if experiment.tags.get(tag) != value}
    if missing:
        mlflow.set_experiment_tags(missing)
    return str(experiment.experiment_id)


@contextmanager
def may_be_away(what: str) -> Iterator[None]:
    """Go on if the log does not take `what`, and say so."""
    try:
        yield
    except AWAY as error:
        print(f"warning: {place()} does not have {what}: {reason(error)}")


def _away(error: Exception) -> str:
    """What must hold, what came and what to do, in a line without passwords."""
    return (
        f"the experiment log {place()} must answer, got {reason(error)}; start its server, make its folder writable, "
        "or log to another place (MLFLOW_TRACKING_URI, mlflow.tracking_uri)"
    )


def lock() -> FileLock:
    """Keeps other stages of the project from what only one may do at a time."""
    return FileLock(project_folder(Path.cwd()) / f"{_LOG}.lock", mode=0o600)


def place() -> str:
    """The address of the log, without a password."""
    return _PASSWORD.sub("", mlflow.get_tracking_uri())


def reason(error: Exception) -> str:
    """The first line of what `error`, or the database below it, says, without passwords."""
    said = getattr(error.__cause__, "orig", None) or error
    network = _NETWORK.search(str(said))
    line = network[0] if network else next(iter(str(said).splitlines()), type(said).__name__)
    return _PASSWORD.sub("", line)[:300]


def _follow_the_project(root: Path) -> None:
    """Let the log note the files beside it, for MLflow notes whole paths, which a moved or copied project leaves."""
    if not (root / _LOG).is_file() or not (root / _ARTIFACTS).is_dir():
        return
    with closing(sqlite3.connect(root / _LOG)) as database, database:
        known = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not _PLACES.keys() <= known:
            return
        noted = [noted for (noted,) in database.execute("SELECT artifact_location FROM experiments") if noted]
        for before in {_project_of(address) for address in noted}:
            if before is not None and before != root:
                _rename(database, (before / _ARTIFACTS).as_uri(), (root / _ARTIFACTS).as_uri())


def _project_of(address: str) -> Path | None:
    """The project in whose `mlruns` a `file:` address lies."""
    path = Path(unquote(urlsplit(address).path))
    if urlsplit(address).scheme != "file" or _ARTIFACTS not in path.parts:
        return None
    return Path(*path.parts[: path.parts.index(_ARTIFACTS)])


def _rename(database: sqlite3.Connection, before: str, now: str) -> None:
    for table, column in _PLACES.items():
        database.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            (now, len(before) + 1, before, len(before) + 1, f"{before}/"),
        )
