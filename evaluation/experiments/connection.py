"""Where the experiment log is, and what a person reads if it does not answer."""

import logging
import os
import re
import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from filelock import FileLock
from mlflow.exceptions import MlflowException

from domain.errors import InputError
from domain.names import Name
from domain.paths import project_folder
from domain.settings import Settings

AWAY = (MlflowException, OSError)  # what MLflow raises if a server, a disk or a database does not do its part
_LOG, _ARTIFACTS = "mlflow.db", "mlruns"
_PASSWORD = re.compile(r"(?<=//)\S*@")
_NETWORK = re.compile(r"\[Errno -?\d+\] [\w ,]+|[Rr]ead timed out|[Cc]onnection to \S+ timed out")
_PLACES = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}
# MLflow would retry a request for minutes; a training goes on sooner.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
# Messages below are of no use to a reader, as is the one that an environment of uv has no pip.
logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)


class MlflowSettings(Settings):
    """Section `mlflow`."""

    tracking_uri: str | None = None  # null: MLFLOW_TRACKING_URI, else mlflow.db beside dvc.yaml
    experiment: Name = "dongseon"


def connect(settings: MlflowSettings | None) -> None:
    """Let MLflow use the log of `settings`, or of the section `mlflow` of `params.yaml`.

    Raises:
        InputError: if it does not answer, or is no log.
    """
    settings = settings or MlflowSettings.from_params("mlflow")
    address = settings.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    root = project_folder(Path.cwd())
    file = root / _LOG
    whole = "?" not in str(file)  # it would end the path in an address
    mlflow.set_tracking_uri(address or f"sqlite:///{file if whole else os.path.relpath(file)}")
    try:
        # The first connection makes the tables, which MLflow does not guard against another process that does the same.
        with nullcontext() if address else FileLock(root / f"{_LOG}.lock", mode=0o600):
            if not address:
                _follow_a_move(root)
                if mlflow.get_experiment_by_name(settings.experiment) is None:
                    mlflow.create_experiment(settings.experiment, artifact_location=(root / _ARTIFACTS).as_uri())
            mlflow.set_experiment(settings.experiment)
    except AWAY as error:
        raise InputError(away(error)) from error


def away(error: Exception) -> str:
    """What must hold, what came and what to do, in a line without passwords."""
    return (
        f"the experiment log {place()} must answer, got {reason(error)}; start its server, make its folder writable, "
        "or log to another place (MLFLOW_TRACKING_URI, mlflow.tracking_uri)"
    )


def place() -> str:
    """The address of the log, without a password."""
    return _PASSWORD.sub("", mlflow.get_tracking_uri())


def reason(error: Exception) -> str:
    """The first line of what `error`, or the database below it, says, without passwords."""
    said = getattr(error.__cause__, "orig", None) or error
    network = _NETWORK.search(str(said))
    line = network[0] if network else next(iter(str(said).splitlines()), type(said).__name__)
    return _PASSWORD.sub("", line)[:300]


def _follow_a_move(root: Path) -> None:
    """Let the log find the files of its runs after the project was moved, for MLflow notes whole paths."""
    if not (root / _LOG).is_file() or not (root / _ARTIFACTS).is_dir():
        return
    with closing(sqlite3.connect(root / _LOG)) as database, database:
        known = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not _PLACES.keys() <= known:
            return
        noted = [noted for (noted,) in database.execute("SELECT artifact_location FROM experiments") if noted]
        for before in {_project_of(address) for address in noted}:
            if before is not None and not (before / _ARTIFACTS).exists():
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
