"""Serves MLflow's pages of the experiment log to their user: `python -m evaluation.experiments.review [port=5000]`.

MLflow hands its log, with pictures of people, to every process of the machine. Here each request needs a password: the
content of `mlflow.password` beside the log, which is created once and which only its user can read. Trainings need
none, for they write to the log's files.
"""

import os
import secrets
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from mlflow.server.constants import (
    ARTIFACT_ROOT_ENV_VAR,
    ARTIFACTS_DESTINATION_ENV_VAR,
    BACKEND_STORE_URI_ENV_VAR,
    SERVE_ARTIFACTS_ENV_VAR,
)
from pydantic import Field
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.errors import InputError
from domain.settings import Settings
from domain.stage import run_stage
from evaluation.experiments.connection import MlflowSettings, connect_locally
from evaluation.experiments.pages import address_of_runs

PASSWORD = Path("mlflow.password")
USER = "mlflow"
_HOST = "127.0.0.1"
_OPEN = 0o077  # what others may do


class ReviewSettings(Settings):
    """Arguments of the command."""

    port: int = Field(default=5000, ge=1, le=65535)


class PasswordGate:
    """Passes on requests with `USER` and the password (HTTP Basic), unless a page of another origin sent them.

    MLflow accepts pages of every port of this machine, which may be another user's.
    """

    def __init__(self, app: ASGIApp, password: str) -> None:
        self._app, self._expected = app, b"Basic " + b64encode(f"{USER}:{password}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await (self._refusal(Headers(scope=scope)) or self._app)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})  # MLflow has none

    def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        if not secrets.compare_digest(headers.get("authorization", "").encode(), self._expected):
            said = f"the experiment log needs the user {USER} and the password in {PASSWORD}"
            return PlainTextResponse(said, 401, {"WWW-Authenticate": 'Basic realm="MLflow"'})
        if headers.get("origin", own := f"http://{headers.get('host')}") != own:
            return PlainTextResponse(f"requests must come from the pages of {own}", 403)
        return None


def password_in(file: Path) -> str:
    """The password in `file`, which is created, with a new one, if it does not exist.

    Raises:
        InputError: if other users can read it, or it is empty.
    """
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secrets.token_urlsafe(24))
    except FileExistsError:
        pass
    if file.stat().st_mode & _OPEN:
        raise InputError(f"only its user may read {file.resolve()}; remove it, and the next start creates another")
    if not (password := file.read_text().strip()):
        raise InputError(f"{file.resolve()} must hold a password; remove it, and the next start creates one")
    return password


def main(argv: Sequence[str] = ()) -> None:
    """Serve the log of this folder, `mlflow.db`, until the process ends.

    Raises:
        InputError: if an argument is wrong, or the log or the password's file cannot be used.
    """
    port, password = ReviewSettings.from_arguments(argv).port, password_in(PASSWORD)
    os.environ |= {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # one reader needs no consumers of jobs
        BACKEND_STORE_URI_ENV_VAR: "sqlite:///mlflow.db",
        ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        ARTIFACTS_DESTINATION_ENV_VAR: "mlartifacts",
        SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    experiment = connect_locally(MlflowSettings.from_params("mlflow").experiment)
    from mlflow.server.fastapi_app import app  # here, for its import reads the environment

    app.add_middleware(PasswordGate, password=password)  # the outermost
    pages = f"http://{_HOST}:{port}/{address_of_runs(experiment)}"
    print(f"{pages}\nuser {USER}, password in {PASSWORD.resolve()}", flush=True)
    uvicorn.run(app, host=_HOST, port=port, access_log=False, log_level="warning")


if __name__ == "__main__":
    run_stage(main)
