"""A backbone is added and taken away in `conf/` alone: stages and settings follow."""

import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from conf.compose import compose
from domain.errors import InputError
from export.settings import ExportSettings
from tests.helpers.backbones import ADDED, add_backbone
from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Configuration and stages, as a repository of their own."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", tmp_path / ".dvc")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def stages_after(project: Path, *overrides: str) -> set[str]:
    compose(overrides, project / "params.yaml", project / "conf")
    with Repo(str(project)) as repo:
        assert len(repo.index.graph) == len(repo.index.stages)  # what `dvc dag` draws
        return {stage.name for stage in repo.index.stages}


def stages_of(backbone: str) -> set[str]:
    return {
        f"train_reid@{backbone}-demo",
        f"export@reid-{backbone}-demo",
        f"predict@reid-{backbone}-demo",
        f"evaluate_reid@{backbone}-demo",
    }


def test_an_added_backbone_has_its_stages(project: Path) -> None:
    before = stages_after(project)
    assert before >= stages_of("osnet") | stages_of("resnet50")
    add_backbone(project)
    assert stages_after(project) == before | stages_of(ADDED)


def test_one_backbone_has_its_stages_alone(project: Path) -> None:
    before = stages_after(project)
    assert stages_after(project, "~reid.backbones.resnet50") == before - stages_of("resnet50")


def test_settings_take_the_models_of_the_backbones(project: Path) -> None:
    add_backbone(project)
    compose(["experiment=smoke"], project / "params.yaml", project / "conf")
    read = [f"export.model=reid-{ADDED}"], project / "params.yaml"
    assert ExportSettings.from_params("export", *read).model == f"reid-{ADDED}"
    with pytest.raises(InputError, match=f"detector, attributes, reid-osnet, reid-resnet50, reid-{ADDED}, got reid-x"):
        ExportSettings.from_params("export", ["export.model=reid-x"], project / "params.yaml")
