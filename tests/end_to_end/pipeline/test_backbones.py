"""The whole pipeline with three backbones and with one."""

import json
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import succeed
from tests.helpers.backbones import ADDED, add_backbone

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture
def project(clone: Path, tmp_path: Path) -> Path:
    """A clone of its own, in which nothing has run."""
    return Path(shutil.copytree(clone, tmp_path / "project"))


def reported_backbones(project: Path) -> list[str]:
    """Backbones with metrics; the report has the figures of each."""
    report = (project / "reports" / "demo" / "report.md").read_text()
    assert "\nnot run: " not in report  # of no stage
    backbones = []
    for file in sorted((project / "metrics" / "demo").glob("reid-*.json")):
        backbones.append(file.stem.removeprefix("reid-"))
        for variant in ("plain", "reranked"):
            assert f"{100 * json.loads(file.read_text())[variant]['map']:.1f}" in report
    return backbones


def test_an_added_backbone_is_trained_and_reported(project: Path) -> None:
    add_backbone(project)
    assert succeed(project, "git", "status", "--porcelain", "--", ":!conf") == ""
    succeed(project, "dvc", "exp", "run", "-S", "experiment=smoke")
    assert reported_backbones(project) == ["osnet", ADDED, "resnet50"]
    assert ADDED in (project / "reports" / "demo" / "report.md").read_text()


def test_one_backbone_alone_is_trained_and_reported(project: Path) -> None:
    succeed(project, "dvc", "exp", "run", "-S", "experiment=smoke", "-S", "~reid.backbones.resnet50")
    assert reported_backbones(project) == ["osnet"]
