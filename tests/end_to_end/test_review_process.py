"""MLflow's pages: no process of another user sees the experiment log, and neither does the page of another server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from domain.errors import InputError
from evaluation.experiments.review import PASSWORD, USER, password_in
from tests.end_to_end.conftest import free_port, server, succeed
from tests.helpers.other_user import NOBODY, readable_by_others
from tests.helpers.project import ROOT
from tests.helpers.sockets import listening_sockets, process_and_children

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LOG = """
from pathlib import Path
from evaluation.experiments.connection import MlflowSettings
from evaluation.experiments.log import training_run

Path("scene.jpg").write_bytes(b"a person")
Path("data/toy/reid").mkdir(parents=True)
data = Path("data/toy/reid")
with training_run("t", params={}, dataset_folder=data, district="toy", settings=MlflowSettings()) as run:
    run.log_figures([Path("scene.jpg")])
    print('run', run.run_id)
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a log with one run, and the number of the run."""
    folder = tmp_path_factory.mktemp("log")
    folder.chmod(0o755)
    (folder / "domain").symlink_to(ROOT / "domain")
    (folder / "evaluation").symlink_to(ROOT / "evaluation")
    (folder / "districts").symlink_to(ROOT / "districts")
    (folder / "params.yaml").write_text(yaml.safe_dump({"mlflow": {"experiment": "dongseon"}}))
    (run,) = re.findall(r"^run (\w+)$", succeed(folder, sys.executable, "-c", LOG), re.MULTILINE)
    return folder, run


@pytest.fixture(scope="module")
def pages(log: tuple[Path, str]) -> Iterator[httpx.Client]:
    """Asks MLflow without a password."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "evaluation.experiments.review", f"port={port}"]
    running = server(log[0], command, f"{address}/health", timeout_s=300, status=None)
    with running, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def test_no_other_user_reads_the_logs_files(log: tuple[Path, str]) -> None:
    readable = {str(file.relative_to(log[0])) for file in readable_by_others(log[0])}
    assert not {name for name in readable if name.startswith("ml") or name.endswith(".jpg")}


def requests(run: str) -> list[dict[str, Any]]:
    create = {"name": "another user's"}
    return [
        {"method": "GET", "url": "/"},
        {"method": "GET", "url": "/health"},
        {"method": "GET", "url": "/version"},
        {"method": "GET", "url": f"/get-artifact?path=training/scene.jpg&run_uuid={run}"},
        {"method": "GET", "url": f"/ajax-api/2.0/mlflow/artifacts/list?run_id={run}"},
        {"method": "GET", "url": "/static-files/../mlflow.db"},
        {"method": "POST", "url": "/api/2.0/mlflow/experiments/create", "json": create},
        {"method": "POST", "url": "/ajax-api/2.0/mlflow/experiments/create", "json": create},
        {"method": "PUT", "url": "/api/2.0/mlflow-artifacts/artifacts/a", "content": b"a"},
        {"method": "POST", "url": "/v1/traces", "content": b""},
        {"method": "OPTIONS", "url": "/api/2.0/mlflow/experiments/create"},
    ]


@pytest.mark.parametrize("password", [None, "", "mlflow", "password1234", "\xe9"])
def test_without_the_password_nothing_is_answered(
    log: tuple[Path, str], pages: httpx.Client, password: str | None
) -> None:
    authentication = None if password is None else (USER, password)
    answers = [pages.request(**each, auth=authentication) for each in requests(log[1])]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Basic realm="MLflow"'}


def test_with_the_password_pictures_are_shown(log: tuple[Path, str], pages: httpx.Client) -> None:
    password = (log[0] / PASSWORD).read_text()
    shown = pages.request(**requests(log[1])[3], auth=(USER, password))
    assert (shown.status_code, shown.content) == (200, b"a person")


@pytest.mark.parametrize("origin", ["http://127.0.0.1:6000", "http://localhost", "null", "https://example.org"])
def test_a_page_of_another_server_does_not_ask_with_the_users_password(
    log: tuple[Path, str], pages: httpx.Client, origin: str
) -> None:
    password = (log[0] / PASSWORD).read_text()
    for each in requests(log[1]):
        assert pages.request(**each, auth=(USER, password), headers={"Origin": origin}).status_code == 403
    listed = pages.get("/api/2.0/mlflow/experiments/search?max_results=9", auth=(USER, password)).text
    assert "another user's" not in json.dumps(listed)


def test_it_listens_on_its_port_alone(pages: httpx.Client) -> None:
    (process,) = (
        each for each in psutil.Process().children(recursive=True) if "evaluation.experiments.review" in each.cmdline()
    )
    listening = [each.address for each in listening_sockets(process_and_children(process.pid))]
    assert listening == [f"127.0.0.1:{pages.base_url.port}"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_does_not_read_the_password(log: tuple[Path, str], pages: httpx.Client) -> None:
    read = ["cat", PASSWORD]
    ended = subprocess.run(
        read, cwd=log[0], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=False
    )
    assert b"Permission denied" in ended.stderr


def test_a_password_that_others_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / PASSWORD
    assert password_in(file) == password_in(file)
    file.chmod(0o644)
    with pytest.raises(InputError, match="only its user may read"):
        password_in(file)


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    (tmp_path / PASSWORD).touch(0o600)
    with pytest.raises(InputError, match="must hold a password"):
        password_in(tmp_path / PASSWORD)
