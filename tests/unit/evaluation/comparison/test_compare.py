"""What is said of a challenger that is worse, equal or better, and whom it is worse for."""

import json
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ArtifactError, InputError
from evaluation.compare import main
from tests.helpers.two_models import write_models, write_project

pytestmark = pytest.mark.slow
MODELS = ("detector", "attributes", "reid-osnet")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion, and a worse, an equal and a better challenger."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        write_project(folder)
        for number, (name, quality) in enumerate({"in-use": 0.8, "worse": 0.5, "equal": 0.8, "better": 0.97}.items()):
            write_models(Path(name), quality, str(number), seed=number)
        write_models(Path("unfair"), 0.97, "4", seed=9, worse_for=60)
    return folder


@pytest.fixture
def compared(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compares two folders; the figures."""
    monkeypatch.chdir(project)

    def of(challenger: str, champion: str = "in-use", *overrides: str) -> Any:
        main([challenger, champion, *overrides])
        return json.loads((project / "comparisons/noise" / Path(challenger).name / "compare.json").read_text())[
            "models"
        ]

    return of


@pytest.mark.parametrize(("challenger", "verdict"), [("worse", "keep"), ("equal", "keep"), ("better", "promote")])
def test_each_model_is_judged_by_what_it_is(compared: Any, challenger: str, verdict: str) -> None:
    models = compared(challenger, "in-use", "compare.visible=0.2")
    assert {name: models[name]["verdict"] for name in MODELS} == dict.fromkeys(MODELS, verdict)
    told = {"worse": "The challenger is worse: ", "equal": "Nothing rises beyond chance: ", "better": " → "}[challenger]
    assert all(told in models[name]["reason"] for name in MODELS)


def test_the_same_model_is_kept_and_not_for_want_of_data(compared: Any) -> None:
    models = compared("in-use")
    assert {name: models[name]["verdict"] for name in MODELS} == dict.fromkeys(MODELS, "keep")


def test_few_test_data_decide_nothing(compared: Any) -> None:
    models = compared("better", "in-use", "compare.tasks.reid.min_units=61")
    assert models["reid-osnet"]["verdict"] == "not enough data"
    assert models["reid-osnet"]["reason"] == "The gate asks for 61 test people, got 60 test people."
    models = compared("equal", "in-use", "compare.visible=0.001")
    assert models["reid-osnet"]["verdict"] == "not enough data"
    assert "would not show" in models["reid-osnet"]["reason"]


def test_a_model_that_serves_one_gender_worse_is_kept_out(compared: Any) -> None:
    models = compared("unfair", "in-use", "compare.groups=[gender]")
    for name in ("attributes", "reid-osnet"):
        assert models[name]["verdict"] == "keep"
        assert "for gender female, " in models[name]["reason"]
        loss = models[name]["largest_group_loss"]
        assert (loss["by"], loss["part"]) == ("gender", "female")
        assert loss["high"] < 0
    assert "for gender male" not in models["attributes"]["reason"]


def test_the_page_has_figures_parts_and_pictures(compared: Any, project: Path) -> None:
    compared("better")
    page = (project / "comparisons/noise/better/compare.html").read_text()
    for said in (
        "<strong>Promote.</strong>", "identified at 1 % false alarms", "Brier score", "By camera:", "By light:",
        "By gender:", "Each group of attributes:", "No kind of people loses", "The models:",
        "no evaluation of the recordings is kept", "Match probabilities are not compared",
    ):  # fmt: skip
        assert said in page, said
    assert page.count("data:image/jpeg;base64,") >= 3
    assert (project / "comparisons/noise/better").stat().st_mode & 0o077 == 0


def test_one_model_alone_is_compared_with_the_one_of_its_task(compared: Any) -> None:
    assert list(compared("better/reid-osnet", "in-use")) == ["reid-osnet"]


def test_speed_counts_only_on_one_machine(compared: Any, project: Path) -> None:
    for version, milliseconds in (("2", 3.0), ("0", 1.0)):
        card = project / ("equal" if version == "2" else "in-use") / "reid-osnet" / "card.json"
        registered = project / f"registered-{version}"
        engine = registered / "engine"
        engine.mkdir(parents=True, exist_ok=True)
        (registered / "predictions").symlink_to(card.parent)
        entry = {"file": "model.onnx", "runtime": "onnxruntime", "precision": "fp32", "sha256": "ab", "min_batch": 1}
        values = json.loads(card.read_text()) | {"engines": [entry | {"opt_batch": 1, "max_batch": 1}]}
        card.write_text(json.dumps(values))
        (engine / "model.onnx").write_bytes(b"0" * 2**20)
        parity = {"machine": "one", "engines": {"model.onnx": {"ms_per_picture": milliseconds}}}
        (engine / "parity.json").write_text(json.dumps(parity))
    models = compared("registered-2", "registered-0", "compare.visible=0.2")
    assert "model.onnx takes 3.0 times as long" in models["registered-2"]["reason"]
    (project / "registered-0/engine/parity.json").write_text(json.dumps(parity | {"machine": "another"}))
    models = compared("registered-2", "registered-0", "compare.visible=0.2")
    assert models["registered-2"]["times_as_slow"] == {}
    assert "Nothing rises" in models["registered-2"]["reason"]


def test_wrong_folders_are_named(compared: Any, project: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere must be the predictions of a model, such as predictions/noise"):
        compared("nowhere")
    with pytest.raises(InputError, match="must hold a champion for detector, got attributes"):
        compared("better/detector", "in-use/attributes")
    added = [project / f"data/noise/detection/{file}" for file in ("images/test/c1_80.jpg", "labels/test/c1_80.txt")]
    added[0].write_bytes((project / "data/noise/detection/images/test/c1_00.jpg").read_bytes())
    added[1].touch()
    with pytest.raises(ArtifactError, match="must be of the 81 pictures of the district"):
        compared("better/detector")
    for file in added:
        file.unlink()
