"""The pipeline with three backbones and with one."""

import json
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import succeed
from tests.helpers.backbones import ADDED, add_backbone

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def reported(folder: Path) -> list[str]:
    """Backbones with metrics; the report says of each what its metrics say."""
    report = (folder / "reports" / "report.md").read_text()
    assert "not run" not in report
    backbones = []
    for file in sorted((folder / "metrics").glob("reid-*.json")):
        backbones.append(file.stem.removeprefix("reid-"))
        reranked = json.loads(file.read_text())["reranked"]
        assert f"{100 * reranked['map']:.1f}" in report
    return backbones


def test_three_backbones_and_then_one(clone: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(clone, project)
    add_backbone(project)
    assert succeed(project, "git", "status", "--porcelain", "--", ":!conf") == ""
    succeed(project, "dvc", "exp", "run", "-S", "experiment=smoke")
    assert reported(project) == ["osnet", ADDED, "resnet50"]
    assert ADDED in (project / "reports" / "report.md").read_text()

    without = ["-S", "~reid.backbones.resnet50", "-S", f"~reid.backbones.{ADDED}"]
    succeed(project, "dvc", "exp", "run", "-S", "experiment=smoke", *without)
    assert reported(project) == ["osnet"]
    assert ADDED not in (project / "reports" / "report.md").read_text()
