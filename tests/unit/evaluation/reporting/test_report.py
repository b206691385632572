"""The report of everything, of some, and of nothing, from evaluation stages run on a tiny district."""

import base64
import json
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from districts.box_files import TrackTable, read_tracks, write_tracks
from districts.layout import read_district, read_problems, read_reid_folder
from domain.answers import read_answers
from domain.embeddings import unit_length
from domain.errors import ArtifactError, InputError
from domain.model_card import ModelCard, read_card, version_of_deployment, write_card
from domain.predictions import AttributePredictions, DetectorPredictions, ReidPredictions
from domain.schemas import read_schema
from domain.settings import read_params
from evaluation import evaluate_attributes, evaluate_detector, evaluate_reid, evaluate_tracking, fit_transits, report
from evaluation.details import read_details
from evaluation.experiments.results import read_all_metrics
from evaluation.reporting.document import write_report
from evaluation.reporting.parts import Picture, Section, Table
from evaluation.settings import EvaluationSettings
from tests.helpers.project import ROOT

SCHEMA = read_schema("suseong_no_colour")
PERSON = [100.0, 50.0, 160.0, 200.0]
IDENTITIES = (7, 8, 9)
TAGS = {"body", "h1", "h2", "p", "strong", "em", "img", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml, a district of two cameras and three people, and predictions that are all right."""
    monkeypatch.chdir(tmp_path)
    params = {
        "experiment_name": "test",
        "seed": 1,
        "district": {"name": "tiny", "importer": "demo"},
        "reid": {"backbone": "osnet"},
        "tracking": {"detector": "detector", "attributes": "attributes"},
        "evaluation": read_params(file=ROOT / "params.yaml")["evaluation"],
        "mlflow": {"tracking_uri": None, "experiment": "test"},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))
    for log in ("evaluation.experiments.outcomes.log_evaluation", "evaluation.report.log_report"):
        monkeypatch.setattr(log, lambda *_: True)
    write_district(Path("data/tiny"))
    write_predictions()
    write_answers()
    return tmp_path


def write_picture(file: Path, height: int = 60, width: int = 30) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


def write_district(folder: Path) -> None:
    camera = {"latitude": 35.85, "fps": 10.0, "width_px": 640, "height_px": 360, "start": "2026-05-12T18:40:00+09:00"}
    district = {
        "name": "tiny",
        "time_zone": "Asia/Seoul",
        "attribute_schema": SCHEMA.name,
        "source": "made by a test",
        "licence": "CC0-1.0",
        "cameras": [camera | {"id": f"c{i}", "name": f"street {i}", "longitude": 128.6 + i / 1000} for i in (1, 2)],
    }
    for split in ("images", "labels"):
        (folder / "detection" / split / "test").mkdir(parents=True)
    (folder / "district.yaml").write_text(yaml.safe_dump(district))
    write_picture(folder / "detection" / "images" / "test" / "one.jpg", 360, 640)
    (folder / "detection" / "labels" / "test" / "one.txt").write_text(
        f"0 {130 / 640} {125 / 360} {60 / 640} {150 / 360}\n"
    )
    for identity in IDENTITIES:
        write_picture(folder / "reid" / "query" / f"{identity:04d}_c1s1_000001_00.jpg")
        for number in range(2):
            write_picture(folder / "reid" / "bounding_box_test" / f"{identity:04d}_c2s1_00001{number}_00.jpg")
    write_attributes(folder / "attributes")
    write_videos(folder / "videos")


def write_attributes(folder: Path) -> None:
    folder.mkdir(parents=True)
    lines = [",".join(["image", "identity", "camera", *SCHEMA.group_names])]
    for i in range(6):
        labels = [group.label_names[i % len(group.labels)] for group in SCHEMA.groups]
        lines.append(",".join([f"{i}.jpg", str(i), "c1", *labels]))
    for split in ("train", "test"):
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")


def walk(first_frame: int, track: int) -> TrackTable:
    """Somebody who stands still for two seconds."""
    return TrackTable(
        np.arange(first_frame, first_frame + 20),
        np.full(20, track),
        np.tile(np.array(PERSON, np.float32), (20, 1)),
        np.ones(20, np.float32),
    )


def write_videos(folder: Path) -> None:
    """Person 7 visits camera c1, where the query is cut, and later c2; person 8 has no visit."""
    write_picture(folder / "problems" / "p01.jpg")
    for camera, first_frame in (("c1", 1), ("c2", 101)):
        write_tracks(folder / f"{camera}.txt", walk(first_frame, 7))
    problem = {"crops": ["problems/p01.jpg"], "attributes": {"gender": "male"}, "camera": "c1", "frame": 5}
    problems = [{"id": "p01", "identity": 7} | problem, {"id": "p02", "identity": 8} | problem]
    (folder / "problems.yaml").write_text(yaml.safe_dump({"problems": problems}))


def write_predictions() -> None:
    size: dict[str, Any] = {"input_height_px": 64, "input_width_px": 32, "resize": "stretch", "district": "tiny"}
    cards: dict[str, dict[str, Any]] = {
        "detector": {"task": "detector", "output_names": ("boxes", "scores"), "score_threshold": 0.5},
        "attributes": {"task": "attributes", "output_names": SCHEMA.group_names, "attribute_schema": SCHEMA},
        "reid-osnet": {"task": "reid", "output_names": ("embeddings",), "match_distance": 0.5},
        "reid-resnet50": {"task": "reid", "output_names": ("embeddings",)},
    }
    for name, values in cards.items():
        card = ModelCard(architecture=name, weights_sha256="ab" * 32, **size, **values)
        for folder in ("engines", "predictions"):
            write_card(card, Path(folder) / "tiny" / name)
    engine = {"runtime": "onnxruntime", "precision": "fp32", "checked": True, "metric": 0.5, "metric_difference": 0.01}
    engine |= {"outputs": {"boxes": {"largest": 0.002, "mean": 0.001, "worst_picture": "one.jpg"}}}
    engine |= {"ms_per_picture": 1.234, "ms_alone": 5.678}
    plan = {"runtime": "tensorrt_rtx", "precision": "fp16", "checked": False, "reason": "there is no GPU here"}
    parity = {"num_images": 8, "metric_name": "ap50_95", "torch_metric": 0.49, "machine": "a test's CPU"}
    parity |= {"engines": {"model.onnx": engine, "model.plan": plan}}
    Path("engines/tiny/detector/parity.json").write_text(json.dumps(parity))
    DetectorPredictions(
        np.array(["one.jpg"]), np.zeros(1, np.int64), np.array([PERSON], np.float32), np.array([0.9], np.float32)
    ).write(Path("predictions/tiny/detector/test.npz"))
    certain = [np.eye(len(group.labels), dtype=np.float32)[np.arange(6) % len(group.labels)] for group in SCHEMA.groups]
    AttributePredictions(
        np.array([f"{i}.jpg" for i in range(6)]), np.array(SCHEMA.group_names), np.concatenate(certain, axis=1)
    ).write(Path("predictions/tiny/attributes/test.npz"))
    for backbone in ("osnet", "resnet50"):
        for part, source in (("query", "query"), ("gallery", "bounding_box_test")):
            table = read_reid_folder(Path("data/tiny"), source)  # type: ignore[arg-type]
            embeddings = unit_length(np.eye(10)[table.identities] + 0.1)
            ReidPredictions(np.array(table.images), embeddings).write(
                Path(f"predictions/tiny/reid-{backbone}/{part}.npz")
            )


def write_answers() -> None:
    ranked = []
    for tracklet, camera, first_frame in ((1, "c1", 1), (2, "c2", 101)):
        write_picture(Path("tracks/tiny/crops") / f"{tracklet}.jpg")
        write_tracks(Path("tracks/tiny") / f"{camera}.txt", walk(first_frame, tracklet))
        ranked.append(
            {
                "tracklet": tracklet,
                "camera": camera,
                "distance": 0.1,
                "probability": 0.9,
                "first_seen": "2026-05-12T18:40:00+09:00",
                "last_seen": "2026-05-12T18:40:02+09:00",
                "first_frame": first_frame,
                "last_frame": first_frame + 19,
                "crop": f"crops/{tracklet}.jpg",
                "attributes": {"gender": {"male": 0.75, "female": 0.25}},
            }
        )
    Path("tracks/tiny/identities.csv").write_text("tracklet,person\n1,1\n2,1\n")
    route = [{"tracklet": 2, "camera": "c2", "time": "2026-05-12T18:40:10+09:00"}]
    engines = [Path("engines/tiny") / name for name in ("detector", "attributes", "reid-osnet")]
    problems = [{"id": name, "ranked": ranked, "route": route} for name in ("p01", "p02")]
    Path("tracks/tiny/answers.json").write_text(
        json.dumps(
            {
                "deployment_version": version_of_deployment(map(read_card, engines)),
                "frame_times_s": {"c1": [0.0, 0.1], "c2": [0.0, 0.1]},
                "problems": problems,
            }
        )
    )


def run_all_stages() -> None:
    evaluate_detector.main()
    evaluate_attributes.main()
    fit_transits.main()
    for backbone in ("osnet", "resnet50"):
        evaluate_reid.main([f"reid.backbone={backbone}"])
    evaluate_tracking.main()


@pytest.mark.slow
def test_stages_score_right_predictions_with_one(workspace: Path) -> None:
    run_all_stages()
    metrics = read_all_metrics(workspace / "metrics/tiny")
    assert list(metrics) == ["attributes", "detector", "reid-osnet", "reid-resnet50", "tracking"]
    assert metrics["detector"]["ap50"] == metrics["detector"]["f1"] == pytest.approx(1)
    assert metrics["attributes"]["instance_f1"] == metrics["attributes"]["no_colour"]["instance_f1"] == 1
    assert metrics["attributes"]["constant"]["instance_f1"] < 0.8
    assert metrics["attributes"]["constant"]["label_mean_accuracy"] == pytest.approx(0.5)
    for backbone in ("osnet", "resnet50"):
        for variant in ("plain", "reranked"):
            values = metrics[f"reid-{backbone}"][variant]
            assert {values[name] for name in ("map", "minp", "rank1", "rank5", "rank10", "rank20")} == {1.0}
    assert metrics["reid-osnet"]["time"] == {
        "left_out": "no training person has two visits with times (reid/times.csv)"
    }
    tracking = metrics["tracking"]
    ones = ("rank1", "rank5", "idf1", "mota", "route_precision", "route_recall", "route_idf1")
    assert [tracking[name] for name in ones] == [1] * 7
    assert tracking["route_hota"] == tracking["global_hota"] == pytest.approx(1)
    assert (tracking["global_idf1"], tracking["global_mota"], tracking["global_num_switches"]) == (1, 1, 0)
    assert (tracking["alone_idf1"], tracking["alone_assa"]) == pytest.approx((1 / 2, 1 / 2))
    assert (tracking["num_people"], tracking["global_num_people"], tracking["alone_num_switches"]) == (1, 1, 1)
    # one hit of 0.9 counts, the tracklet of the query visit does not
    assert tracking["match_probability"] == pytest.approx(
        {"brier": 0.01, "calibration_error": 0.1, "num_hits": 1, "share_right": 1}
    )
    assert (tracking["false_before_right"], tracking["route_order"]) == (0, None)  # a single camera has no order
    details = read_details(workspace / "plots/tiny/tracking")
    assert details["ranked_attributes"]["ranked"][0]["probabilities"] == {"gender": 0.75}


@pytest.mark.slow
def test_the_report_has_every_table_and_needs_no_other_file(workspace: Path, capsys: pytest.CaptureFixture) -> None:
    run_all_stages()
    report.main()
    text, html = ((workspace / "reports/tiny" / f"report.{kind}").read_text() for kind in ("md", "html"))
    for study in ("90.12", "92.5", "95.8", "89.6", "94.7", "85.7", "81.9", "84.4"):
        assert study in text
    assert "not run:" not in text
    assert "synthetic district" in text
    assert "| model.onnx | fp32 | 1.23 | 5.68 | ap50_95 49.0 | +1.00 | 0.002 | boxes |" in text
    assert "model.plan was not run here: there is no GPU here." in text
    assert "Measured on: a test's CPU." in text
    assert "| Rank-1 | 81.9 | 100.0 |" in text
    assert "| false candidates before the first correct one | – | 0.0 |" in text
    assert "| IDF1 | 100.0 | 50.0 |" in text
    assert "| p01 | 1 | 100.0 | 100.0 | 0 | 100.0 | 100.0 | – | 100.0 | 100.0 |" in text
    assert "<td>Rank-1</td>" in html.replace(' style="text-align: left;"', "")
    assert "data:image/png;base64," in html
    assert "data:image/jpeg;base64," in html
    assert 'src="pictures/' not in html
    assert "reports/tiny/report.html" in capsys.readouterr().out


@pytest.mark.slow
def test_each_curve_that_dvc_plots_is_written_with_its_columns(workspace: Path) -> None:
    run_all_stages()
    plotted = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    for template, axes in (item for entry in plotted for item in entry.items()):
        file = workspace / template.replace("${district.name}", "tiny").replace("${reid.backbone}", "osnet")
        header, *rows = file.read_text().splitlines()
        assert rows, file
        assert {axes["x"], *np.atleast_1d(axes["y"]).tolist()} <= {*header.split(",")}, file


def test_what_has_not_run_is_said(workspace: Path, capsys: pytest.CaptureFixture) -> None:
    report.main()
    text = (workspace / "reports/tiny" / "report.md").read_text()
    assert text.count("not run:") == 6
    assert "not run: evaluate_tracking wrote no metrics" in text
    assert "tracking Rank-1" in capsys.readouterr().out


@pytest.mark.slow
def test_a_later_run_is_compared_pair_by_pair(workspace: Path) -> None:
    evaluate_attributes.main()
    report.main()
    assert "Beside earlier runs" not in (workspace / "reports/tiny/report.md").read_text()
    file = workspace / "predictions/tiny/attributes/test.npz"
    before = AttributePredictions.read(file)
    AttributePredictions(before.images, before.groups, np.roll(before.probabilities, 1, axis=0)).write(file)
    evaluate_attributes.main()
    report.main()
    text = (workspace / "reports/tiny/report.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| attributes, instance F1"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:4] == ["100.0", "100.0"]  # the last run, which is the best one too
    assert cells[5].startswith("−")
    assert cells[5].endswith("*")  # it answers everything wrong
    assert "Beside earlier runs on this district:" in text
    assert "It is also the best earlier one." in text


@pytest.mark.slow
def test_a_run_on_other_test_data_is_shown_and_not_subtracted(workspace: Path) -> None:
    evaluate_detector.main()
    labels = workspace / "data/tiny/detection/labels/test/one.txt"
    labels.write_text(labels.read_text() + "0 0.9 0.5 0.1 0.5\n")
    evaluate_detector.main()
    report.main()
    text = (workspace / "reports/tiny/report.md").read_text()
    assert "other test data" in text
    assert "No earlier run was scored on the same test data." in text


@pytest.mark.slow
def test_metrics_of_another_evaluation_than_the_plots_are_refused(workspace: Path) -> None:
    evaluate_detector.main()
    file = workspace / "metrics/tiny/detector.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"ap50": 0.25}))
    with pytest.raises(
        ArtifactError, match=r"of detector must be of one evaluation, but ap50 is 0\.2500 in one and 1\.0"
    ):
        report.main()


@pytest.mark.slow
def test_an_evaluation_that_is_done_again_leaves_no_second_run(workspace: Path) -> None:
    evaluate_detector.main()
    evaluate_detector.main()
    assert len(list((workspace / "history/tiny/detector").iterdir())) == 1
    (workspace / "history/tiny/detector/broken.npz").write_bytes(b"PK")
    report.main()


@pytest.mark.slow
def test_one_backbone_is_enough(workspace: Path) -> None:
    fit_transits.main()
    evaluate_reid.main(["reid.backbone=resnet50"])
    report.main()
    assert (
        "Re-ranking changes the mAP of ResNet-50 by +0.0 points." in (workspace / "reports/tiny/report.md").read_text()
    )


def test_a_district_of_real_streets_is_not_called_synthetic(workspace: Path) -> None:
    report.main(["district.importer=folder"])
    text = (workspace / "reports/tiny" / "report.md").read_text()
    assert "synthetic" not in text
    assert "Data: made by a test (CC0-1.0)." in text


def test_nothing_in_the_data_is_html_a_script_or_another_file_of_the_report(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("s3cret")
    (tmp_path / "report").mkdir()
    write_picture(tmp_path / "plots" / "curve.png")
    hostile = "<script>alert(1)</script> <img src=x onerror=alert(2)> <!-- x --> ![](pictures/../../secret.txt) a<b"
    table = Table(("label", "crops"), [(hostile, "7")], hostile, hostile)
    part = Section("Attributes", "", True, hostile, (table,), (Picture(tmp_path / "plots" / "curve.png", "a curve"),))
    block = f"<div onclick=alert(3)>\n\n{hostile}\n\n</div>"
    facts = {"district": "tiny", "source": block, "licence": hostile, "origin": hostile, "synthetic": False}
    write_report([part], facts | {"title": hostile}, tmp_path / "report", "report")
    html = (tmp_path / "report" / "report.html").read_text()
    found: list[tuple[str, tuple[str, ...]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, tuple(name for name, _ in attrs)))

    Reader().feed(html[html.index("<body>") :])
    assert {tag for tag, _ in found} == TAGS
    assert {name for _, names in found for name in names} <= {"alt", "src", "style"}
    assert html.count('src="data:') == 1
    assert base64.b64encode(b"s3cret").decode() not in html
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in html


def test_predictions_of_other_pictures_are_refused(workspace: Path) -> None:
    write_picture(workspace / "data/tiny/detection/images/test/two.jpg")
    with pytest.raises(ArtifactError, match=r"must be of the 2 pictures of the district, got 1 others; rerun predict@"):
        evaluate_detector.main()


@pytest.mark.slow
def test_metrics_say_where_they_come_from_and_others_are_refused(workspace: Path) -> None:
    evaluate_detector.main()
    file = workspace / "metrics/tiny/detector.json"
    metrics = json.loads(file.read_text())
    assert (metrics["district"], metrics["model_version"]) == ("tiny", "detector-abababababab")
    assert {"data_hash", "commit", "mlflow_run", "date"} <= metrics.keys()
    report.main()
    card = read_card(workspace / "engines/tiny/detector")
    write_card(card.model_copy(update={"weights_sha256": "cd" * 32}), workspace / "engines/tiny/detector")
    file.write_text(json.dumps(metrics | {"district": "gate"}))
    said = "detector.json is of district gate, not tiny; detector.json is of model_version detector-abababababab, not "
    with pytest.raises(ArtifactError, match=f"metrics of tiny must fit its data and engines: {said}detector-cdcdcdcd"):
        report.main()


def test_what_a_district_leaves_out_is_said_with_the_reason(workspace: Path, capsys: pytest.CaptureFixture) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["stages"] = {"left_out": {"train_detector": "the district has no detection data"}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    report.main()
    line = "train_detector: left out, the district has no detection data"
    assert line in (workspace / "reports/tiny/report.md").read_text()
    assert line in capsys.readouterr().out


def test_an_attribute_card_without_schema_is_refused(workspace: Path) -> None:
    card = ModelCard(
        task="attributes", architecture="x", input_height_px=1, input_width_px=1, resize="stretch",
        output_names=("view",), district="tiny",
    )  # fmt: skip
    write_card(card, workspace / "predictions/tiny" / "attributes")
    with pytest.raises(ArtifactError, match="must have a card with attribute_schema; rerun train_attributes"):
        evaluate_attributes.main()


def add_camera(folder: Path) -> None:
    """A camera with tracklets, but without ground truth."""
    described = yaml.safe_load((folder / "district.yaml").read_text())
    described["cameras"].append(described["cameras"][0] | {"id": "c3"})
    (folder / "district.yaml").write_text(yaml.safe_dump(described))
    content = json.loads(Path("tracks/tiny/answers.json").read_text())
    for answer in content["problems"]:
        answer["ranked"].insert(0, answer["ranked"][0] | {"tracklet": 9, "camera": "c3"})
        answer["route"].insert(0, {"tracklet": 9, "camera": "c3", "time": "2026-05-12T18:40:05+09:00"})
    Path("tracks/tiny/answers.json").write_text(json.dumps(content))
    write_tracks(Path("tracks/tiny/c3.txt"), walk(1, 9))
    Path("tracks/tiny/identities.csv").write_text("tracklet,person\n1,1\n2,1\n9,2\n")


@pytest.mark.slow
def test_tracklets_of_a_camera_without_ground_truth_are_neither_right_nor_wrong(workspace: Path) -> None:
    evaluate_tracking.main()
    metrics = read_all_metrics(workspace / "metrics/tiny")["tracking"]
    del metrics["date"]
    add_camera(workspace / "data/tiny")
    evaluate_tracking.main()
    again = read_all_metrics(workspace / "metrics/tiny")["tracking"]
    assert metrics.items() <= again.items()


@pytest.mark.slow
def test_without_problems_tracking_within_cameras_is_measured(workspace: Path) -> None:
    (workspace / "data/tiny/videos/problems.yaml").unlink()
    evaluate_tracking.main()
    metrics = read_all_metrics(workspace / "metrics/tiny")["tracking"]
    assert (metrics["idf1"], metrics["global_idf1"]) == (1, 1)
    assert not metrics.keys() & {"rank1", "problems", "match_probability"}
    report.main()
    text = (workspace / "reports/tiny/report.md").read_text()
    assert text.count("The district has no problems that could be scored (videos/problems.yaml)") == 2
    assert "within cameras" in text
    for camera in ("c1", "c2"):
        (workspace / f"data/tiny/videos/{camera}.txt").unlink()
    with pytest.raises(InputError, match=r"must hold the ground truth of a video, <camera>\.txt, got none"):
        evaluate_tracking.main()


def test_a_camera_without_tracklets_file_is_refused(workspace: Path) -> None:
    (workspace / "tracks/tiny" / "c2.txt").unlink()
    with pytest.raises(
        ArtifactError, match=r"c2\.txt must hold the tracklets of a camera of the district; rerun track"
    ):
        evaluate_tracking.main()


def test_visits_are_in_order_of_the_cameras_clocks(workspace: Path) -> None:
    folder = workspace / "data" / "tiny"
    district = read_district(folder)
    truth = {camera.id: read_tracks(folder / "videos" / f"{camera.id}.txt") for camera in district.cameras}
    settings = EvaluationSettings.from_params("evaluation")
    early = district.cameras[1].model_copy(update={"start": district.cameras[1].start - timedelta(hours=1)})
    changed = district.model_copy(update={"cameras": (district.cameras[0], early)})
    for each, expected in ((district, ["c1", "c2"]), (changed, ["c2", "c1"])):
        answers = read_answers(workspace / "tracks/tiny")
        solved = evaluate_tracking.solve(each, read_problems(folder), answers, truth, truth, settings)
        assert [visit.camera for visit in solved[0].visits] == expected


def test_a_camera_without_a_start_is_refused(workspace: Path) -> None:
    file = workspace / "data" / "tiny" / "district.yaml"
    file.write_text(file.read_text().replace("start: ", "start: null # "))
    with pytest.raises(InputError, match=r"must have the start time of the video of camera c1 \(start:\)"):
        evaluate_tracking.main()


def test_a_problem_without_answer_is_refused(workspace: Path) -> None:
    file = workspace / "tracks/tiny" / "answers.json"
    answers = json.loads(file.read_text())
    file.write_text(json.dumps(answers | {"problems": answers["problems"][:1]}))
    with pytest.raises(ArtifactError, match=r"must have every problem and camera, lacks \['p02'\]; rerun track"):
        evaluate_tracking.main()


def test_metrics_that_are_no_json_are_refused(workspace: Path) -> None:
    folder = workspace / "metrics/tiny"
    folder.mkdir(parents=True)
    (folder / "reid-osnet.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"reid-osnet\.json must be JSON; rerun evaluate_reid"):
        read_all_metrics(folder)
