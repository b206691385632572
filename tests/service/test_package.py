import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from domain.errors import ArtifactError
from domain.privacy import TELEMETRY_OFF
from serving import package
from serving.access.roles import Role
from tests.helpers.deployments import BLUE, FOR_CASE, fill_store, picture, token_of, write_deployment
from tests.helpers.imports import imported_modules
from tests.helpers.project import ROOT

# Run beside the service, on a machine that has nothing but the Bento.
COMMANDS = [
    "serving.accounts",
    "serving.audit",
    "serving.ingest",
    "serving.labels",
    "serving.retention",
    "serving.streams",
    "serving.worker",
]


@pytest.mark.parametrize("entry", ["serving.service", *COMMANDS])
def test_the_bento_holds_all_that_it_imports(tmp_path: Path, entry: str) -> None:
    package._stage_code(tmp_path)
    needed = imported_modules(entry, ROOT)
    assert ROOT / "serving" / "deployment.py" in needed
    assert not [file for file in needed if not (tmp_path / file.relative_to(ROOT)).is_file()]


def test_the_bento_holds_no_training_and_what_its_modules_read(tmp_path: Path) -> None:
    package._stage_code(tmp_path)
    names = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert {"serving/web/page/page.html", "serving/web/page/page.js", "serving/web/page/page.css"} <= names
    assert "domain/schemas/suseong.yaml" in names
    assert not [name for name in names if name.startswith(("tests/", "training/", "conf/")) or name.endswith(".pyc")]


def test_the_bento_can_change_the_schema_and_remove_what_is_old(tmp_path: Path) -> None:
    package._stage_code(tmp_path)
    code = (
        "import serving.retention; from alembic.config import Config; from alembic.script import ScriptDirectory as S; "
        "config = Config(); config.set_main_option('script_location', 'serving.database:migrations'); "
        "print([each.path for each in S.from_config(config).walk_revisions()], S.from_config(config).env_py_location)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    for file in (ROOT / "serving" / "database" / "migrations").rglob("*.py"):
        assert str(tmp_path / file.relative_to(ROOT)) in ended.stdout


def test_requirements_are_pinned_and_without_torch() -> None:
    requirements = package.pinned_requirements(ROOT / "pyproject.toml", ROOT / "requirements.lock")
    assert all("==" in requirement for requirement in requirements)
    assert any(requirement.startswith("psycopg[binary]==") for requirement in requirements)
    assert any(requirement.startswith("alembic==") for requirement in requirements)
    forbidden = ("torch", "mlflow", "dvc", "hydra", "ultralytics", "pytorch")
    assert not [requirement for requirement in requirements if requirement.startswith(forbidden)]


def test_a_lock_that_lacks_a_dependency(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("numpy==2.4.6 \\\n")
    with pytest.raises(ArtifactError, match="must pin aiohttp, a dependency of"):
        package.pinned_requirements(ROOT / "pyproject.toml", tmp_path / "lock")


def test_weights_without_an_engine_are_no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_deployment(tmp_path)
    card = tmp_path / "engines" / "detector" / "card.json"
    content = json.loads(card.read_text())
    del content["engines"]
    card.write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match="must be an engine, its card lists no file"):
        package.main()
    assert not (tmp_path / "bento").exists()


def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "bentofile.yaml").write_text("service: nowhere:Service\n")
    with pytest.raises(ArtifactError, match="bentoml build must end with a Bento"):
        package._build(tmp_path / "source", tmp_path / "home")


@contextmanager
def served(bento: Path, clean: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    unset = {"PYTHONPATH", *TELEMETRY_OFF}  # as in the shell of somebody who knows nothing of all this
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"BENTOML_HOME": str(clean / "home"), "HOME": str(clean / "home"), "__BENTOML_DEBUG_USAGE": "True"}
    log = clean.parent / "service.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", str(bento), "--port", str(port)],
            cwd=clean,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _await(process, f"http://127.0.0.1:{port}/livez", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _await(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    for _ in range(240):
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(address, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail(f"the service did not answer in two minutes:\n{log.read_text()}")


@pytest.mark.slow
def test_the_bento_is_served_from_a_clean_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, clean = tmp_path / "project", tmp_path / "clean"
    deployment = write_deployment(project)
    (clean / "home").mkdir(parents=True)
    monkeypatch.chdir(project)
    package.main()
    assert f"bentoml serve {project / 'bento'}" in capsys.readouterr().out
    assert sorted(path.name for path in project.iterdir()) == ["bento", "engines", "params.yaml"]
    photo = BytesIO()
    Image.fromarray(picture(BLUE, seed=50)).save(photo, "JPEG")
    with served(project / "bento", clean) as address:
        assert httpx.get(f"{address}/readyz", timeout=20).status_code == 503
        headers = {"Authorization": f"Bearer {token_of(deployment, 'reviewer', Role.REVIEWER)}"}
        status = httpx.get(f"{address}/v1/status", headers=headers, timeout=20).json()
        assert "rerun serving.track" in status["reason"]
        fill_store(deployment)
        assert httpx.get(f"{address}/readyz", timeout=20).status_code == 200
        search = partial(httpx.post, f"{address}/v1/search", data=FOR_CASE, headers=headers, timeout=20)
        found = search(files={"photo": photo.getvalue()})
        assert found.status_code == 200, found.text
        assert found.json()["sightings"][0]["tracklet_id"] in {3, 6, 9, 12}
        page = httpx.get(f"{address}/", headers=headers, timeout=20)
        assert (page.status_code, "사람 찾기" in page.text) == (200, True)
        text = search(files={"photo": ("a.jpg", b"I am a text file")})
        assert (text.status_code, "photo must be a picture" in text.text) == (400, True)
    for command, said in (
        (["serving.retention"], r"removed \d+ tracklets"),
        (["serving.accounts", "list"], r"reviewer\treviewer"),
        (["serving.audit", "verify"], r"\d+ records, none changed"),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", *command], cwd=project / "bento" / "src", capture_output=True, text=True, check=False
        )
        assert re.match(said, ended.stdout), ended.stderr
    assert "tracking payload" not in (tmp_path / "service.log").read_text().lower()  # what BentoML would have sent
    assert not list(clean.rglob("onnxruntime.db"))  # where ONNX Runtime keeps what it would send
