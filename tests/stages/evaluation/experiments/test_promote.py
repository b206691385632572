"""From registered engines to the champions in use and back, in a real registry."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from domain.errors import ArtifactError, InputError
from domain.model_card import EngineFile, read_card, write_card
from domain.paths import PREVIOUS
from domain.registered import read_registered
from evaluation import compare, promote, register
from serving import package
from tests.helpers.two_models import write_models, write_project

MODELS = ("detector", "attributes", "reid-osnet")
BY = ["--by", "Kim", "--reason", "retrained on July"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_project(tmp_path)
    for number, (name, quality) in enumerate({"first": 0.8, "worse": 0.5, "better": 0.97}.items()):
        write_models(Path(name), quality, str(number), seed=number)
    return tmp_path


def install(models: str) -> None:
    """Let the pipeline have made these models."""
    for name in MODELS:
        for stage in ("predictions", "engines"):
            shutil.rmtree(Path(stage, "noise", name), ignore_errors=True)
        shutil.copytree(Path(models, name), Path("predictions/noise", name))
        card = read_card(Path(models, name))
        engine = Path("engines/noise", name)
        engine.mkdir(parents=True)
        (engine / "model.onnx").write_bytes(models.encode())
        batches = dict.fromkeys(("min_batch", "opt_batch", "max_batch"), 1)
        entry = EngineFile(file="model.onnx", runtime="onnxruntime", precision="fp32", sha256="ab", **batches)
        for folder in (engine, Path("predictions/noise", name)):
            write_card(card.model_copy(update={"engines": (entry,)}), folder)


def champions() -> dict[str, str]:
    """Content of the engine in use, by its name."""
    assert {each.engine for each in read_registered(Path("champions/noise"))} == set(MODELS)
    return {name: (Path("champions/noise") / name / "model.onnx").read_text() for name in MODELS}


@pytest.mark.timeout(600)
def test_a_worse_challenger_is_refused_a_better_one_promoted_and_rolled_back(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(InputError, match="noise must have a registered challenger, it has none"):
        promote.main(BY)
    install("first")
    register.main([])
    with pytest.raises(InputError, match="noise must have a registered champion, it has none"):
        compare.main(["challenger"])
    with pytest.raises(InputError, match="--reason must say why, got nothing"):
        promote.main(["--by", "Kim", "--reason", " "])
    promote.main(BY)
    assert champions() == dict.fromkeys(MODELS, "first")
    with pytest.raises(InputError, match="must have a previous champion, it has none"):
        promote.main(["rollback", *BY])

    install("worse")
    register.main([])
    with pytest.raises(InputError, match="noise-reid version 2: it was not compared"):
        promote.main([*BY, "--task", "reid"])
    compare.main(["challenger", "champion", "compare.visible=0.2"])
    with pytest.raises(
        InputError, match=r"noise-reid version 2: the gate says keep: .* plain/map \d+\.\d → \d+\.\d, -"
    ):
        promote.main(BY)
    assert champions() == dict.fromkeys(MODELS, "first")
    promote.main([*BY, "--task", "detector", "--override", "the camera was replaced"])
    overridden = MlflowClient().get_model_version_by_alias("noise-detector", "champion").tags
    assert overridden["override"] == "the camera was replaced"
    assert overridden["gate"].startswith("refused: the gate says keep: The challenger is worse: ap50 ")
    assert champions() == dict.fromkeys(MODELS, "first") | {"detector": "worse"}
    promote.main(["rollback", *BY])
    assert champions() == dict.fromkeys(MODELS, "first")

    install("better")
    register.main([])
    register.main([])  # is the same version
    assert len(MlflowClient().search_model_versions("name = 'noise-reid'")) == 3
    compare.main(["challenger"])
    promote.main(BY)
    assert champions() == dict.fromkeys(MODELS, "better")
    before = Path("champions/noise", PREVIOUS, "reid-osnet")
    assert (before / "model.onnx").read_text() == "first"
    [reid] = (each for each in read_registered(Path("champions/noise")) if each.task == "reid")
    assert (reid.registered_model, reid.registered_version) == ("noise-reid", "3")
    assert reid.promotion["promoted_by"] == "Kim"
    assert "plain/map" in reid.promotion["verdict_reason"]
    assert reid.promotion["change of plain/map"] in reid.promotion["verdict_reason"]
    run = MlflowClient().get_run(reid.mlflow_run)
    kept = {file.path for file in MlflowClient().list_artifacts(run.info.run_id, "registered")}
    assert any(path.endswith("-compare") for path in kept)

    promote.main(["rollback", *BY])
    assert champions() == dict.fromkeys(MODELS, "first")
    assert (before / "model.onnx").read_text() == "better"
    assert (
        "noise-reid version 1 (toy-000000000000) is the champion again, not noise-reid version 3"
        in capsys.readouterr().out
    )
    promote.main(["rollback", *BY])  # and forward again
    assert champions() == dict.fromkeys(MODELS, "better")


def test_a_bento_is_refused_if_its_engines_are_not_those_of_the_registry(project: Path) -> None:
    folder = project / "champions/noise"
    with pytest.raises(ArtifactError, match="must hold a registered champion for detector and reid"):
        package._registered(folder)
    folder.mkdir(parents=True)
    entries = []
    for name, task in (("detector", "detector"), ("reid-osnet", "reid")):
        shutil.copytree(project / "first" / name, folder / name)
        entry = {"registered_model": f"noise-{task}", "registered_version": "1", "model_version": "toy-000000000000"}
        entries.append(entry | {"task": task, "engine": name, "mlflow_run": "", "data_hash": "", "git_revision": ""})
    (folder / "registered.json").write_text(json.dumps(entries))
    assert [each.engine for each in package._registered(folder)] == ["detector", "reid-osnet"]
    shutil.copyfile(project / "better/detector/card.json", folder / "detector/card.json")
    with pytest.raises(ArtifactError, match="must be toy-000000000000, as the registry says, it is toy-222222222222"):
        package._registered(folder)
    (folder / "registered.json").write_text("[{}]")
    with pytest.raises(ArtifactError, match="must hold registered models; run evaluation"):
        package._registered(folder)


def test_a_model_that_is_not_scored_is_registered_and_promoted_as_the_first_and_the_others_are_compared(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["stages"]["predict"] = {f"{name}-noise": {"model": name} for name in MODELS if name != "detector"}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    install("first")
    shutil.rmtree("predictions/noise/detector")
    register.main([])
    assert (
        "noise-detector version 1: toy-000000000000, the challenger; the district has no test"
        in capsys.readouterr().out
    )
    promote.main(BY)
    assert champions() == dict.fromkeys(MODELS, "first")

    install("better")
    shutil.rmtree("predictions/noise/detector")
    register.main([])
    compare.main(["challenger"])
    assert "detector: the challenger has no predictions on test data, not compared" in capsys.readouterr().out
    with pytest.raises(InputError, match="noise-detector version 2: it was not compared"):
        promote.main(BY)
    promote.main([*BY, "--task", "reid"])
    assert champions() == dict.fromkeys(MODELS, "first") | {"reid-osnet": "better"}


def test_predictions_that_are_missing_are_asked_for(project: Path) -> None:
    install("first")
    shutil.rmtree("predictions/noise/detector")
    with pytest.raises(ArtifactError, match="predictions/noise/detector must be a model card; rerun the stage"):
        register.main([])
