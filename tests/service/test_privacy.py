import os
import subprocess
import sys
from pathlib import Path

import pytest

from domain.privacy import TELEMETRY_OFF
from serving import package
from serving.access.roles import Role
from tests.helpers.deployments import fill_store, token_of, write_deployment

ASK_THE_PACKAGE = {
    "mlflow": "from mlflow.telemetry.utils import is_telemetry_disabled as is_off; assert is_off()",
    "bentoml": "from bentoml._internal.utils.analytics.usage_stats import do_not_track as is_off; assert is_off()",
    "dvc": "from dvc.analytics import is_enabled; assert not is_enabled()",
    "ultralytics": "from ultralytics.utils.events import Events; assert not Events().enabled",
}


@pytest.mark.parametrize("name", ASK_THE_PACKAGE)
def test_the_package_itself_says_that_telemetry_is_off(name: str, tmp_path: object) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in TELEMETRY_OFF}
    environment["YOLO_CONFIG_DIR"] = str(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", f"import domain; {ASK_THE_PACKAGE[name]}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


SERVE = """
import os, sys

asked, environments = [], {}

def watch(event, arguments):
    if event == "import" and arguments[0] in ("onnxruntime", "fastapi"):
        environments.setdefault(arguments[0], dict(os.environ))
    elif event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        asked.append(str(arguments[1] if event != "socket.getaddrinfo" else arguments[0]))

sys.addaudithook(watch)
from serving import service
from domain.privacy import TELEMETRY_OFF
from starlette.testclient import TestClient

running = service.PersonSearch.inner()
with TestClient(service.PersonSearch.to_asgi()) as client:
    assert client.get("/v1/openapi.json").status_code in (200, 401, 403)
    form = {"attributes": '{"bag": "backpack"}', "case": "1", "reason": "a child is missing"}
    answer = client.post("/v1/search", data=form, headers={"Authorization": f"Bearer {sys.argv[1]}"})
    assert answer.status_code == 200, answer.text
running.close()
assert environments.keys() == {"onnxruntime", "fastapi"}, environments.keys()
for package, environment in environments.items():
    assert TELEMETRY_OFF.items() <= environment.items(), package
here = ("127.0.0.1", "localhost", ".s.PGSQL")
far = [address for address in asked if not any(name in address for name in here)]
assert not far, far
assert not service._api._native_telemetry.enabled()
"""


def test_the_service_switches_telemetry_off_before_it_loads_what_has_one_and_asks_no_other_host(tmp_path: Path) -> None:
    deployment = write_deployment(tmp_path / "service")
    package._stage_code(deployment.root)
    fill_store(deployment)
    environment = {key: value for key, value in os.environ.items() if key not in TELEMETRY_OFF} | {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",  # as on a machine that is watched by OpenTelemetry
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://192.0.2.7:4318",
        "HOME": str(tmp_path),
    }
    command = [sys.executable, "-c", SERVE, token_of(deployment, "reviewer", Role.REVIEWER)]
    ended = subprocess.run(command, cwd=deployment.root, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:] + ended.stdout[-3000:]
    assert not list(tmp_path.rglob("onnxruntime.db"))  # where ONNX Runtime keeps what it would send


def test_what_a_person_set_on_purpose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from domain.privacy import switch_telemetry_off

    monkeypatch.setenv("DO_NOT_TRACK", "false")
    switch_telemetry_off()
    assert os.environ["DO_NOT_TRACK"] == "false"
