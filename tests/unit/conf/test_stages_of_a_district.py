"""A district has the stages that its data and its models allow, and the others are named with the reason."""

import json
import re
import shutil
from importlib import reload
from pathlib import Path
from typing import Any

import pytest
import yaml

from conf.compose import compose
from conf.hydra_plugins import stages as plugin
from domain.errors import InputError
from tests.helpers.project import ROOT
from training.attributes.train import AttributeSettings
from training.reid.train import ReidSettings

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The configuration with a district `mine`, whose source has nothing yet."""
    reload(plugin)  # Hydra may have imported another test's copy, which registers the same resolvers
    shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("__pycache__", "hydra_plugins"))
    source = tmp_path / "source"
    source.mkdir()
    described = {"defaults": ["base", "_self_"], "name": "mine", "source": str(source)}
    (tmp_path / "conf/district/mine.yaml").write_text(yaml.safe_dump(described))
    return tmp_path


def composed(project: Path, *overrides: str) -> Any:
    compose(["district=mine", *overrides], project / "params.yaml", project / "conf")
    return yaml.safe_load((project / "params.yaml").read_text())


def names(params: Any) -> set[str]:
    return {name for name, runs in params["stages"].items() if runs and name != "left_out"}


def give(project: Path, *kinds: str) -> None:
    for kind in kinds:
        (project / "source" / kind).mkdir()


def test_crops_of_people_train_and_score_reid_alone(project: Path) -> None:
    give(project, "reid")
    params = composed(project, "experiment=scratch")
    stages = {"prepare", "train_reid", "export", "predict", "check_labels", "fit_transits", "evaluate_reid", "report"}
    assert names(params) == stages
    assert params["stages"]["check_labels"] == {"mine": {"engine": "engines/mine/reid-osnet"}}
    assert list(params["stages"]["export"]) == ["reid-osnet-mine", "reid-resnet50-mine"]
    assert params["stages"]["left_out"] == {
        "train_detector": "the district has no detection data",
        "train_attributes": "the district has no attributes data",
        "track": "no engine of detector and attributes: train it, or name one in take",
        "package": "no engine of detector and attributes: train it, or name one in take",
    }


def test_labels_are_looked_at_where_there_are_crops_and_an_engine(project: Path) -> None:
    give(project, "attributes")
    stages = composed(project, "experiment=scratch")["stages"]
    assert stages["left_out"]["check_labels"] == "no re-ID engine: train it, or name one in check_labels.engine"
    stages = composed(project, "experiment=scratch", f"check_labels.engine={project}/engine")["stages"]
    assert stages["check_labels"] == {"mine": {"engine": f"{project}/engine"}}
    (project / "source/attributes").rename(project / "source/detection")
    stages = composed(project, "experiment=scratch", f"check_labels.engine={project}/engine")["stages"]
    assert (stages["check_labels"], "check_labels" in stages["left_out"]) == ({}, True)


def test_with_the_missing_models_taken_all_is_packaged(project: Path) -> None:
    give(project, "reid")
    (project / "engine").mkdir()
    taken = [f"+take.{model}={project}/engine" for model in ("detector", "attributes")]
    stages = composed(project, "experiment=scratch", *taken)["stages"]
    assert stages["package"] == {"mine": {"attributes": "engines/mine/attributes", "transits": "transits/mine"}}
    assert stages["take"]["detector-mine"] == {"model": "detector", "source": f"{project}/engine"}
    assert (stages["evaluate_detector"], stages["track"]) == ([], {})
    assert stages["left_out"]["track"] == "the district has no videos"


def test_a_service_without_attributes_needs_no_engine_of_them(project: Path) -> None:
    give(project, "reid", "detection", "videos")
    stages = composed(project, "experiment=scratch", "tracking.attributes=null")["stages"]
    assert (
        stages["package"] == stages["track"] == {"mine": {"attributes": "export/engines", "transits": "transits/mine"}}
    )
    assert stages["left_out"] == {"train_attributes": "the district has no attributes data"}


def test_a_taken_model_is_scored_beside_the_trained_ones(project: Path) -> None:
    give(project, "reid")
    (project / "zoo.pth").touch()
    zoo = f"+take.reid-zoo={{backbone: osnet_x0_25, weights: {project}/zoo.pth}}"
    params = composed(project, "experiment=scratch", zoo)
    assert params["stages"]["evaluate_reid"]["zoo-mine"] == {"backbone": "zoo"}
    assert "reid-zoo-mine" not in params["stages"]["export"]
    assert params["export"]["models"][-1] == "reid-zoo"


def test_taken_attributes_that_the_labels_do_not_have_are_served_and_not_scored(project: Path) -> None:
    give(project, "attributes")
    district = {"attribute_schema": "market1501"}
    (project / "source/district.yaml").write_text(yaml.safe_dump(district))
    for name in ("market1501", "suseong"):
        schema = yaml.safe_load((ROOT / f"domain/schemas/{name}.yaml").read_text())
        (project / name).mkdir()
        (project / name / "card.json").write_text(json.dumps({"attribute_schema": schema}))
    take = "+take.attributes={}/{}".format
    same = composed(project, "experiment=scratch", take(project, "market1501"))["stages"]
    assert (same["evaluate_attributes"], list(same["predict"])) == (["mine"], ["attributes-mine"])
    assert "evaluate_attributes" not in same["left_out"]
    other = composed(project, "experiment=scratch", take(project, "suseong"))["stages"]
    assert (other["evaluate_attributes"], other["predict"]) == ([], {})
    assert list(other["take"]) == ["attributes-mine"]
    said = other["left_out"]["evaluate_attributes"]
    assert re.match("take.attributes has other groups or labels than the district: age, .*, view", said)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "experiment=finetune",
            "reid.backbones.osnet.weights must be there, weights/osnet_x1_0_msmt17.pth is missing.*; "
            "reid.backbones.resnet50.weights must be there",
        ),
        (
            "+take.detector=engines/none",
            "^take.detector must be there, engines/none is missing: put it there",
        ),
        ("+take.person=engines/none", "^take must name detector, attributes or reid-<name>, got person$"),
        ("take.detector=x", r"^the models to take must be added, with a \+: '\+take.detector=…'"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_runs(project: Path, override: str, said: str) -> None:
    give(project, "reid")
    choice = [] if override.startswith("experiment") else ["experiment=scratch"]
    with pytest.raises(InputError, match=said):
        composed(project, *choice, override)
    assert not (project / "params.yaml").exists()


def test_only_the_demo_has_the_demos_sizes(project: Path) -> None:
    give(project, "reid")
    params = composed(project, "reid.backbones.osnet.weights=null", "reid.backbones.resnet50.weights=null")
    assert params["experiment_name"] == "finetune"
    for section, size in (("detector", (416, 416)), ("attributes", (256, 128)), ("reid", (256, 128))):
        assert (params[section]["input_height_px"], params[section]["input_width_px"]) == size
    compose([], project / "params.yaml", project / "conf")
    assert yaml.safe_load((project / "params.yaml").read_text())["experiment_name"] == "demo"


def test_the_recipe_for_a_cpu_trains_the_smallest_network_in_an_hour(project: Path) -> None:
    give(project, "reid", "attributes")
    nowhere = ["attributes.weights=null", "reid.backbones.osnet.weights=null", "~reid.backbones.resnet50"]
    params = composed(project, "experiment=finetune_cpu", *nowhere)
    reid, attributes = (
        ReidSettings.model_validate(params["reid"]),
        AttributeSettings.model_validate(params["attributes"]),
    )
    assert reid.chosen.architecture == attributes.architecture == "osnet_x0_25"
    assert reid.minutes == attributes.minutes == 60
    assert (reid.input_size, attributes.input_size) == ((256, 128), (192, 96))
    with pytest.raises(InputError, match=r"osnet_x0_25_msmt17\.pth is missing"):
        composed(project, "experiment=finetune_cpu", *nowhere[:1], *nowhere[2:])
