"""The pipeline through its real commands: what each stage leaves, and that doing it again does nothing."""

import json
from pathlib import Path

import pytest
from onnxruntime import InferenceSession

from domain.model_card import read_card
from export.engines import load
from tests.end_to_end.conftest import run, succeed
from tests.end_to_end.pipeline.conftest import LOG
from tests.helpers.other_user import readable_by_others

pytestmark = pytest.mark.slow
MODELS = ["detector", "attributes", "reid-osnet", "reid-resnet50"]


def test_a_second_run_finds_nothing_to_do(smoke: Path) -> None:
    printed = succeed(smoke, "dvc", "status")
    assert "up to date" in printed


def test_a_run_through_a_pipe_says_little(smoke: Path) -> None:
    said = (smoke.parent / LOG).read_text().splitlines()
    noise = ("Warning", "INFO mlflow", "WARNING mlflow", "it/s", "frame/s", "it/s]", "XDG_", "LeafSpec")
    assert [line for line in said if any(word in line for word in noise)] == []
    assert len(said) <= 250  # `make demo` has some more, for it calls DVC several times


def test_no_other_user_reads_what_the_stages_wrote(smoke: Path) -> None:
    readable = {str(file.relative_to(smoke)) for file in readable_by_others(smoke)}
    assert "README.md" in readable
    ignored = succeed(smoke, "git", "ls-files", "--others", "--ignored", "--exclude-standard", "-z").split("\0")
    written = {name for name in ignored if name and not name.endswith(".pyc")}
    assert {name.split("/")[0] for name in written} >= {"data", "tracks", "reports", "mlruns", "mlflow.db", ".dvc"}
    assert sorted(written & readable) == []


@pytest.mark.parametrize("model", MODELS)
def test_each_model_ends_as_an_engine_with_its_card(smoke: Path, model: str) -> None:
    card = load(smoke / "engines" / "demo" / model).card
    trained = read_card(smoke / "models" / "demo" / model)
    assert card.model_copy(update={"engines": ()}) == trained
    assert {engine.runtime for engine in card.engines} >= {"onnxruntime"}
    session = InferenceSession(smoke / "engines" / "demo" / model / "model.onnx", providers=["CPUExecutionProvider"])
    assert [(image.name, image.type, image.shape[1:]) for image in session.get_inputs()] == [
        ("images", "tensor(uint8)", [card.input_height_px, card.input_width_px, 3])
    ]


@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("detector", {"ap50", "ap50_95"}),
        (
            "attributes",
            {
                "instance_accuracy",
                "instance_precision",
                "instance_recall",
                "instance_f1",
                "label_mean_accuracy",
            },
        ),
        ("reid-osnet", {"plain", "reranked"}),
        ("reid-resnet50", {"plain", "reranked"}),
        ("tracking", {"rank1", "rank2", "rank3", "rank4", "rank5", "idf1", "hota"}),
        (
            "tracking",
            {"false_before_right", "route_precision", "route_recall", "route_order", "route_idf1", "route_hota"},
        ),
    ],
)
def test_metrics_have_their_stable_names(smoke: Path, file: str, keys: set[str]) -> None:
    metrics = json.loads((smoke / "metrics" / "demo" / f"{file}.json").read_text())
    assert metrics.keys() >= keys
    for part in ("plain", "reranked") if "plain" in keys else ():
        assert metrics[part].keys() >= {"map", "minp", "rank1", "rank5", "rank10", "rank20"}


def test_the_report_stands_beside_the_paper(smoke: Path) -> None:
    report = (smoke / "reports" / "demo" / "report.md").read_text()
    for figure in ("90.12", "95.8", "94.7", "85.7", "81.9"):
        assert figure in report
    assert "\nnot run: " not in report


def test_tracks_name_each_tracklet_once(smoke: Path) -> None:
    answers = json.loads((smoke / "tracks" / "demo" / "answers.json").read_text())
    cameras = [file.stem for file in (smoke / "data" / "demo" / "videos").glob("*.mp4")]
    assert sorted(answers["frame_times_s"]) == sorted(cameras)
    seen: set[str] = set()
    for camera in cameras:
        ids = {line.split(",")[1] for line in (smoke / "tracks" / "demo" / f"{camera}.txt").read_text().splitlines()}
        assert not ids & seen
        seen |= ids


def test_a_typo_stops_a_stage_and_names_the_likely_key(smoke: Path) -> None:
    ended = run(smoke, "python", "-m", "training.reid.train", "reid.max_epoch=1")
    assert ended.returncode == 1
    assert ended.stderr.strip() == "error: unknown configuration key reid.max_epoch; did you mean reid.max_epochs?"


def test_a_typo_stops_dvc_too(smoke: Path) -> None:
    ended = run(smoke, "dvc", "exp", "run", "-S", "reid.max_epoch=1")
    assert ended.returncode != 0
    assert "reid.max_epoch" in ended.stderr


def test_a_sweep_is_queued(smoke: Path) -> None:
    succeed(smoke, "dvc", "exp", "run", "--queue", "-S", "experiment=smoke", "-S", "reid.lr=choice(0.0003,0.001)")
    queued = succeed(smoke, "dvc", "queue", "status")
    assert queued.count("Queued") == 2
    succeed(smoke, "dvc", "queue", "remove", "--queued")
