"""The MLflow log after the pipeline: what a reviewer looks for is there, in the store and in the browser."""

import re
from base64 import b64encode
from pathlib import Path

import mlflow
import pytest

from evaluation.experiments.review import PASSWORD, USER
from tests.end_to_end.conftest import free_port, server
from tests.helpers.browser import Browser

pytestmark = pytest.mark.slow
TRAININGS = ["train_detector", "train_attributes", "train_reid-osnet", "train_reid-resnet50"]


@pytest.fixture(scope="session")
def runs(smoke: Path) -> dict[str, mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{smoke / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dongseon")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.kind != 'machine'")
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def test_one_run_of_the_pipeline_holds_all_others_and_the_report(
    smoke: Path, runs: dict[str, mlflow.entities.Run]
) -> None:
    (pipeline,) = (run for run in runs.values() if "mlflow.parentRunId" not in run.data.tags)
    assert pipeline.info.run_name == "demo smoke"
    assert {name for name, run in runs.items() if run is not pipeline} == {*TRAININGS, "track"}
    assert {run.data.tags.get("mlflow.parentRunId") for run in runs.values()} == {None, pipeline.info.run_id}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert {"test/ap50", "test/instance_f1", "test/plain/map", "tracking/rank1"} <= pipeline.data.metrics.keys()
    client = mlflow.MlflowClient(f"sqlite:///{smoke / 'mlflow.db'}")
    assert [file.path for file in client.list_artifacts(pipeline.info.run_id, "report")] == ["report/report.html"]


@pytest.mark.parametrize("training", TRAININGS)
def test_a_training_is_one_run_with_all_that_came_later(
    smoke: Path, runs: dict[str, mlflow.entities.Run], training: str
) -> None:
    run = runs[training]
    assert run.info.status == "FINISHED"
    assert run.data.params
    assert {"git_revision", "dvc_data_hash", "district", "config"} <= run.data.tags.keys()
    assert any(name.startswith("train/") for name in run.data.metrics)
    assert any(name.startswith("test/") for name in run.data.metrics)
    assert any(name.startswith("parity/") for name in run.data.metrics)
    assert run.inputs.dataset_inputs
    assert run.outputs.model_outputs
    client = mlflow.MlflowClient(f"sqlite:///{smoke / 'mlflow.db'}")
    assert client.list_artifacts(run.info.run_id, "test")
    engines = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "engines")}
    assert {"card.json", "model.onnx", "parity.json"} <= engines
    assert not any(name.startswith("system/") for name in run.data.metrics)
    assert len(run.data.params) < 35
    assert not run.data.tags["git_revision"].endswith("-dirty")  # -S changes settings, which the run keeps
    assert "| percent | this run |" in run.data.tags["mlflow.note.content"]


def test_models_carry_their_signature(smoke: Path, runs: dict[str, mlflow.entities.Run]) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{smoke / 'mlflow.db'}")
    model = client.get_logged_model(runs["train_reid-osnet"].outputs.model_outputs[0].model_id)
    mlflow.set_tracking_uri(f"sqlite:///{smoke / 'mlflow.db'}")
    try:
        signature = mlflow.models.get_model_info(f"models:/{model.model_id}").signature
    finally:
        mlflow.set_tracking_uri("")  # it is in the environment too, so other tests' stages would log here
    assert signature is not None


def test_the_page_lists_the_trainings(smoke: Path, chromium: str) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = ["make", "--assume-old=setup", "mlflow", f"MLFLOW_PORT={port}"]
    with server(smoke, command, f"{address}/health", status=401), Browser(chromium) as browser:
        credential = b64encode(f"{USER}:{(smoke / PASSWORD).read_text()}".encode()).decode()
        browser.tell("Network.setExtraHTTPHeaders", headers={"Authorization": f"Basic {credential}"})
        (page,) = re.findall(r"http://\S+", (smoke / "server.log").read_text())
        assert page.startswith(f"{address}/#/experiments/1/runs?")
        browser.tell("Page.navigate", url=page)
        browser.wait_for("document.body?.innerText.includes('demo smoke')", timeout_s=60)
        shown = browser.evaluate("document.body.innerText")
        assert "test/ap50" in shown  # our columns
        assert "Evaluation runs" not in shown  # in the menu for agents
