"""Runs as a reviewer finds them: below their pipeline, named by what differs, described, each with its data."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
import yaml
from mlflow.entities import Run

from domain.model_card import EngineFile, ModelCard
from evaluation.experiments.connection import connect
from evaluation.experiments.description import description
from evaluation.experiments.log import training_run
from evaluation.experiments.outcomes import log_engine, log_evaluation, log_report
from evaluation.experiments.provenance import Provenance
from evaluation.experiments.results import keep_results

pytestmark = pytest.mark.slow
SCORES = {"plain": {"map": 0.4, "map_low": 0.35, "map_high": 0.45, "rank1": 0.5}, "per_query": [0.1], "num_query": 2}
BETTER = {"plain": {"map": 0.5, "map_low": 0.44, "map_high": 0.56, "rank1": 0.5}}
WORSE = {"plain": {"map": 0.03, "rank1": 0.02}}


def write_district(name: str, source: str) -> None:
    folder = Path("data", name, "reid")
    for part, pictures in {
        "bounding_box_train": ["0001_c1s1_000001_00.jpg", "0001_c2s1_000001_00.jpg", "0002_c1s1_000001_00.jpg"],
        "query": ["0003_c1s1_000001_00.jpg", "-1_c1s1_000001_00.jpg", "0000_c1s1_000002_00.jpg"],
    }.items():
        (folder / part).mkdir(parents=True)
        for picture in pictures:
            (folder / part / picture).touch()
    district = {
        "name": name,
        "time_zone": "Asia/Seoul",
        "attribute_schema": "suseong",
        "source": source,
        "licence": "none",
        "cameras": [],
    }
    (folder.parent / "district.yaml").write_text(yaml.safe_dump(district))


def write_params(district: str, lr: float, experiment: str = "demo") -> None:
    params = {
        "experiment_name": experiment,
        "district": {"name": district},
        "reid": {"backbone": "osnet", "lr": lr},
        "mlflow": {"tracking_uri": None, "experiment": "dongseon"},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))


def card_of(district: str, run_id: str) -> ModelCard:
    engine = EngineFile(
        file="model.onnx",
        runtime="onnxruntime",
        precision="fp32",
        sha256="ab" * 32,
        min_batch=1,
        opt_batch=1,
        max_batch=1,
    )
    return ModelCard(
        task="reid", architecture="none", input_height_px=2, input_width_px=2, resize="stretch",
        output_names=("embeddings",), district=district, weights_sha256="cd" * 32, mlflow_run_id=run_id,
        engines=(engine,),
    )  # fmt: skip


def train(district: str, lr: float) -> str:
    with training_run(
        "reid-osnet", params={"lr": lr, "epochs": 3, "weights": None}, dataset_folder=Path("data", district, "reid"),
        district=district,
    ) as run:  # fmt: skip
        run.log_curves({"train/loss": 1.0}, 1)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)).eval()
        run.log_model(network, np.zeros((2, 3, 2, 2), np.float32), "reid-osnet")
    return run.run_id


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Ids of the runs of two trainings with other settings, and of what came after them on two districts."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.delenv("MLFLOW_TRACKING_URI", raising=False)
        patched.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")
        write_district("town", "rendered")
        write_district("port", "a camera set, see https://example.org/port (2019).")
        write_params("town", 0.1)
        ids = {"first": train("town", 0.1)}
        plot = folder / "cmc.png"
        plot.touch()
        assert log_engine(card_of("town", ids["first"]), [plot], {"onnxruntime-fp32": {"metric": 0.4}})
        assert log_evaluation("reid-osnet", card_of("town", ids["first"]), "town", SCORES, [plot])
        write_params("town", 0.2)
        ids["second"] = train("town", 0.2)
        second = card_of("town", ids["second"])
        assert log_evaluation("reid-osnet", second, "town", BETTER)
        assert log_evaluation("reid-resnet50", second.model_copy(update={"mlflow_run_id": ""}), "town", WORSE)
        imported = second.model_copy(update={"mlflow_run_id": "", "district": "", "source": "zoo.pth", "taken": True})
        for place in ("engines/town/reid-zoo/model.onnx", "plots/town/reid-zoo/cmc.png"):
            (folder / place).parent.mkdir(parents=True)
            (folder / place).touch()
        keep_results("town", "reid-zoo", imported, WORSE)
        assert log_evaluation("tracking", second, "town", {"rank1": 0.75, "idf1": 0.6})
        write_params("port", 0.2)
        assert log_evaluation("reid-osnet", second, "port", WORSE)
        assert log_evaluation("reid-osnet", second, "port", WORSE)  # once more is no run more
        write_params("town", 0.2)
        report = folder / "report.html"
        report.touch()
        assert log_report("town", {"reid-osnet": BETTER, "tracking": {"rank1": 0.75}}, [report])
        yield ids
        mlflow.set_tracking_uri("")


@pytest.fixture(scope="module")
def runs(log: dict[str, str]) -> dict[str, Run]:
    """All runs but the load of machines, by name."""
    found = mlflow.MlflowClient().search_runs([connect()], "tags.kind != 'machine'")
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def test_runs_are_named_by_what_differs_and_lie_below_their_pipeline(runs: dict[str, Run]) -> None:
    parents = {name: run.data.tags.get("mlflow.parentRunId") for name, run in runs.items()}
    names = {run.info.run_id: name for name, run in runs.items()}
    assert {name: parent and names[parent] for name, parent in parents.items()} == {
        "town demo": None,
        "train_reid-osnet": "town demo",
        "town demo lr=0.2": None,
        "train_reid-osnet lr=0.2": "town demo lr=0.2",
        "evaluate_reid-resnet50": "town demo lr=0.2",
        "evaluate_reid-zoo": "town demo lr=0.2",
        "track": "town demo lr=0.2",
        "port demo": None,
        "evaluate_reid-osnet of town": "port demo",
    }
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_figures_on_another_district_leave_those_of_the_training_as_they_were(
    runs: dict[str, Run], log: dict[str, str]
) -> None:
    history = mlflow.MlflowClient().get_metric_history(log["second"], "test/plain/map")
    assert [point.value for point in history] == [0.5]
    elsewhere = runs["evaluate_reid-osnet of town"]
    assert elsewhere.data.metrics == {"test/plain/map": 0.03, "test/plain/rank1": 0.02}
    (used,) = elsewhere.inputs.dataset_inputs
    assert (used.dataset.name, used.tags[0].value) == ("port/reid test", "evaluation")
    assert json.loads(used.dataset.source)["url"] == "https://example.org/port"
    assert [file.path for file in mlflow.MlflowClient().list_artifacts(elsewhere.info.run_id)] == [
        "card.json",
        "config",
    ]


def test_figures_of_a_run_have_no_load_of_the_machine_among_them(runs: dict[str, Run], log: dict[str, str]) -> None:
    assert {name.split("/")[0] for name in runs["train_reid-osnet"].data.metrics} == {"train", "test", "parity"}
    below = f"tags.kind = 'machine' and tags.`mlflow.parentRunId` = '{log['first']}'"
    (load,) = mlflow.MlflowClient().search_runs([connect()], below)
    assert load.data.metrics
    assert all(name.startswith("system/") for name in load.data.metrics)
    assert load.info.status == "FINISHED"


def test_parameters_are_flat_and_without_what_is_not_set(runs: dict[str, Run]) -> None:
    assert runs["train_reid-osnet"].data.params == {"lr": "0.1", "epochs": "3"}
    assert runs["town demo lr=0.2"].data.params == {"reid.lr": "0.2"}


def test_a_pipeline_has_the_figures_of_the_deployed_models_and_the_report(runs: dict[str, Run]) -> None:
    run = runs["town demo lr=0.2"]
    assert run.data.metrics == {
        "test/plain/map": 0.5, "test/plain/map_low": 0.44, "test/plain/map_high": 0.56, "test/plain/rank1": 0.5,
        "tracking/rank1": 0.75, "tracking/idf1": 0.6,
    }  # fmt: skip
    (report,) = mlflow.MlflowClient().list_artifacts(run.info.run_id, "report")
    assert report.path == "report/report.html"


def test_a_data_set_has_its_counts_and_where_it_comes_from(runs: dict[str, Run]) -> None:
    used = runs["train_reid-osnet"].inputs.dataset_inputs
    assert {(data.dataset.name, data.tags[0].value) for data in used} == {
        ("town/reid", "training"),
        ("town/reid test", "evaluation"),
    }
    assert {data.dataset.digest[:8] for data in used} == {"unknown-"}  # no pipeline of DVC made it
    assert json.loads(used[0].dataset.profile) == {
        "bounding_box_train pictures": 3,
        "query pictures": 3,
        "people": 3,
        "source": "rendered",
        "licence": "none",
    }


def test_a_description_says_figures_interval_change_and_data(runs: dict[str, Run]) -> None:
    said = runs["train_reid-osnet lr=0.2"].data.tags["mlflow.note.content"]
    assert "| re-ID mAP | 50.0 | 44.0 to 56.0 | 40.0 | +10.0 |" in said
    assert "| re-ID Rank-1 | 50.0 | – | 50.0 | +0.0 |" in said
    assert "[train_reid-osnet](#/experiments/1/runs/" in said
    assert "`lr` 0.1 → 0.2" in said
    assert "Data for training: `town/reid`" in said
    assert "bounding_box_train pictures 3, people 3" in said
    back = description(runs["town demo"], runs["town demo lr=0.2"])
    assert "changed since: `reid.lr` 0.2 → –." in back
    assert "run before" not in runs["train_reid-osnet"].data.tags["mlflow.note.content"].split("\n")[-1]


def test_a_model_shows_its_description_and_the_data_of_its_figures(log: dict[str, str]) -> None:
    client = mlflow.MlflowClient()
    (output,) = client.get_run(log["second"]).outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert "re-ID mAP" in model.tags["mlflow.note.content"]
    assert {(metric.key, metric.dataset_name) for metric in model.metrics} >= {("test/plain/map", "town/reid test")}


def test_engines_and_plots_are_files_of_the_training(log: dict[str, str]) -> None:
    client = mlflow.MlflowClient()
    assert client.get_run(log["first"]).data.tags["model_version"] == card_of("town", log["first"]).version
    for folder in ("engines", "test"):
        (file,) = client.list_artifacts(log["first"], folder)
        assert file.path == f"{folder}/cmc.png"


def test_the_engine_of_an_imported_model_is_a_file_of_its_evaluation(runs: dict[str, Run]) -> None:
    (engine,) = mlflow.MlflowClient().list_artifacts(runs["evaluate_reid-zoo"].info.run_id, "engines")
    assert engine.path == "engines/model.onnx"


def test_changed_settings_alone_are_no_change_of_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@localhost"]
    for name in ("params.yaml", "dvc.lock", "code.py"):
        Path(name).write_text("{}\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True)
    Path("params.yaml").write_text("{a: 1}\n")
    Path("dvc.lock").write_text("stages: {}\n")
    clean = Provenance.of(Path("data/town/reid"))
    assert len(clean.git_revision) == 40
    assert not clean.changes
    Path("code.py").write_text("x = 1\n")
    dirty = Provenance.of(Path("data/town/reid"))
    assert dirty.git_revision == f"{clean.git_revision}-dirty"
    assert "+x = 1" in dirty.changes
    assert dirty.digest("town") not in (clean.digest("town"), dirty.digest("port"))
