"""The experiment log: a server that is away ends no training, and a project may lie anywhere and be moved."""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import mlflow
import pytest

from domain.model_card import ModelCard
from evaluation.experiments import kept
from evaluation.experiments.connection import MlflowSettings
from evaluation.experiments.log import TrainingRun, training_run
from evaluation.experiments.outcomes import log_evaluation
from evaluation.experiments.provenance import Provenance
from evaluation.experiments.runs import find
from tests.end_to_end.conftest import free_port, server

ODD = "실종자 #1 (a)'%20 b?c"
CARD = ModelCard(
    task="reid",
    architecture="none",
    input_height_px=8,
    input_width_px=8,
    resize="stretch",
    output_names=("embeddings",),
    district="x",
)


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "data/x/reid").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    mlflow.set_tracking_uri("")


@contextmanager
def training(
    settings: MlflowSettings, params: dict[str, object] | None = None, folder: Path | None = None
) -> Iterator[TrainingRun]:
    with training_run(
        "x",
        params=params or {"lr": 0.1},
        dataset_folder=Path("data/x/reid"),
        district="x",
        checkpoint_folder=folder,
        settings=settings,
    ) as run:
        yield run


@pytest.mark.slow
def test_results_stay_in_the_files_if_the_log_is_away(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "params.yaml").write_text("mlflow: {experiment: dongseon}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:p@ss%2Fword@127.0.0.1:9")
    assert not log_evaluation("reid-x", CARD, "x", {"map": 0.5})
    said = capsys.readouterr().out
    expected = (
        r"warning: http://127\.0\.0\.1:9 does not have these results, which are in the files: .*Connection refused"
    )
    assert re.search(expected, said)
    assert "word" not in said


@pytest.mark.slow
def test_a_training_that_begins_while_the_log_is_away_is_sent_whole_later(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with training(MlflowSettings(tracking_uri="http://somebody:p@ss%2Fword@127.0.0.1:9")) as run:
        run.log_curves({"loss": 1.0}, 1)
        run.log_figures([workplace / "params.yaml"])
    said = capsys.readouterr().out
    assert "Connection refused): the run goes on, and is kept in" in said
    assert "does not have 1 figures" in said
    assert "word" not in said

    mlflow.set_tracking_uri("")
    with training(MlflowSettings()) as other:
        pass
    sent = find(run.run_id)
    assert sent is not None
    assert sent.info.run_id not in (run.run_id, other.run_id)
    assert sent.info.status == "FINISHED"
    assert (sent.data.params, sent.data.metrics) == ({"lr": "0.1"}, {"loss": 1.0})
    (used,) = sent.inputs.dataset_inputs
    assert used.dataset.name == "x/reid"
    both = [mlflow.get_run(each).data.tags["mlflow.parentRunId"] for each in (sent.info.run_id, other.run_id)]
    assert len(set(both)) == 1
    assert not list((workplace / "checkpoints").iterdir())


@pytest.mark.slow
def test_a_training_that_was_killed_while_the_log_was_away_goes_on_in_the_log(workplace: Path) -> None:
    folder = workplace / "checkpoints" / "x"
    killed = training(MlflowSettings(tracking_uri="http://127.0.0.1:9"), folder=folder)
    run = killed.__enter__()
    run.log_curves({"loss": 1.0}, 1)
    mlflow.set_tracking_uri("")
    with training(MlflowSettings(), folder=folder) as again:
        again.log_curves({"loss": 0.5}, 2)
    history = mlflow.MlflowClient().get_metric_history(again.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5)]
    assert mlflow.get_run(again.run_id).data.tags["kept_as"] == run.run_id


@pytest.mark.slow
def test_a_training_outlives_its_log_which_gets_the_points_later(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_RETRY_S", 0.0)
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    port = free_port()
    log = ["--backend-store-uri", "sqlite:///server.db", "--artifacts-destination", "files", "--port", str(port)]
    command = [sys.executable, "-m", "mlflow", "server", *log, "--workers", "1"]
    settings = MlflowSettings(tracking_uri=f"http://127.0.0.1:{port}")

    with ExitStack() as stack:
        with server(workplace, command, f"http://127.0.0.1:{port}/health"):
            run = stack.enter_context(training(settings))
            run.log_curves({"loss": 1.0}, 1)
        run.log_curves({"loss": 0.5}, 2)
        run.log_curves({"loss": 0.4, "val": 0.9}, 3)
        run.log_figures([workplace / "params.yaml"])
    said = capsys.readouterr().out
    assert said.count("does not answer") == 1
    assert "does not have 1 figures" in said
    assert f"http://127.0.0.1:{port} misses 3 points of this run" in said
    assert (workplace / "checkpoints" / f"unsent-{run.run_id}.jsonl").is_file()

    with server(workplace, command, f"http://127.0.0.1:{port}/health"), training(settings):
        client = mlflow.MlflowClient()
        assert [each.step for each in client.get_metric_history(run.run_id, "loss")] == [1, 2, 3]
        assert client.get_run(run.run_id).data.metrics["val"] == 0.9
        assert client.get_run(run.run_id).info.status == "FINISHED"
    assert f"has the 3 points of the run {run.run_id} that were kept" in capsys.readouterr().out
    assert not list((workplace / "checkpoints").iterdir())


@pytest.mark.slow
def test_a_project_with_an_odd_path_is_logged_and_keeps_its_files_when_it_is_moved_or_copied(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, now = workplace / ODD, workplace / "뒤 #2"
    (before / "data/x/reid").mkdir(parents=True)
    (before / "note.txt").write_text("a plot")
    monkeypatch.chdir(before)
    with training(MlflowSettings()) as run:
        run.log_figures([Path("note.txt")])
    assert (before / "mlflow.db").is_file()
    assert [str(file.relative_to(before)).split("/")[0] for file in workplace.rglob("training/note.txt")] == ["mlruns"]

    before.rename(now)
    monkeypatch.chdir(now)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # which MLflow has set in this process
    with training(MlflowSettings()) as other:
        other.log_figures([Path("note.txt")])
    assert not before.exists()
    for each in (run, other):
        (found,) = mlflow.MlflowClient().list_artifacts(each.run_id, "training")
        assert found.path == "training/note.txt"
    copied = workplace / "a copy"
    shutil.copytree(now, copied)
    monkeypatch.chdir(copied)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with training(MlflowSettings()) as third:
        third.log_figures([Path("note.txt")])
    shutil.rmtree(now)  # nothing of the copy lies there
    for each in (run, other, third):
        assert (copied / "mlruns").as_uri() in mlflow.get_run(each.run_id).info.artifact_uri
        (found,) = mlflow.MlflowClient().list_artifacts(each.run_id, "training")
        assert found.path == "training/note.txt"


@pytest.mark.slow
def test_a_run_that_goes_on_with_other_workers_says_so(workplace: Path) -> None:
    folder = workplace / "checkpoints" / "x"
    with training(MlflowSettings(), {"lr": 0.1, "workers": 4}, folder) as run:
        pass
    with training(MlflowSettings(), {"lr": 0.1, "workers": 0, "more": 1}, folder) as again:
        pass
    assert again.run_id == run.run_id
    data = mlflow.get_run(run.run_id).data
    assert data.params == {"lr": "0.1", "workers": "4", "more": "1"}
    assert data.tags["resumed.workers"] == "0"


@pytest.mark.parametrize("without", ["git", "a repository"])
def test_without_git_the_revision_is_unknown_and_said_to_be(
    without: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if without == "git":
        monkeypatch.setenv("PATH", "")
    assert Provenance.of(Path("data/x/reid")) == Provenance("unknown", "")
    assert "note: the model's card names no git revision: " in capsys.readouterr().out
