"""DVC's own commands on a queue of four experiments, as the manual has them."""

import csv
import json
import re
import shlex
from io import StringIO
from pathlib import Path

import pytest
import yaml

from domain.paths import METRICS, MODELS
from tests.end_to_end.conftest import run, succeed
from tests.end_to_end.pipeline.test_own_data import MANUAL, write_crops
from tests.helpers.project import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]
RATES = ("0.0002", "0.0005", "0.001", "0.002")


@pytest.fixture
def project(clone: Path, tmp_path: Path) -> Path:
    """A clone with crops of people and settings as small as the smoke test's."""
    folder = tmp_path / "dongseon"
    succeed(tmp_path, "git", "clone", "-q", str(clone), str(folder))
    for key in ("name", "email"):
        succeed(folder, "git", "config", f"user.{key}", "tester@localhost")
    small = yaml.safe_load((ROOT / "conf/experiment/smoke.yaml").read_text())
    del small["defaults"], small["district"]
    small["reid"]["backbones"] = {"osnet": {"architecture": "osnet_x0_25"}, "resnet50": {"architecture": "resnet18"}}
    (folder / "conf/experiment/finetune.yaml").write_text("# @package _global_\n" + yaml.safe_dump(small))
    write_crops(folder / "crops")
    succeed(folder, "python", "-m", "districts.import_data", "identity-folders", "crops", "square")
    succeed(folder, "git", "add", "conf")
    succeed(folder, "git", "commit", "-q", "-m", "a district")
    return folder


def commands(first: str) -> list[str]:
    """The commands of the manual's block that begins with `first`."""
    (block,) = [block for block in re.findall(r"```\n(.*?)```", MANUAL, re.DOTALL) if block.startswith(first)]
    return [line.partition("  #")[0] for line in block.splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_best_of_four_is_found_and_applied_and_nothing_else_is_lost(project: Path) -> None:
    succeed(project, "dvc", "exp", "run", "-S", "district=square")
    other = contents(project / MODELS.of("square") / "reid-resnet50")
    queue, run_all, show = commands("dvc exp run --queue")
    succeed(project, *shlex.split(queue))
    succeed(project, *shlex.split(run_all))
    assert "plain.map" in succeed(project, *shlex.split(show.replace("make", "make --assume-old=setup")))

    table = csv.DictReader(StringIO(run(project, "dvc", "exp", "show", "--csv").stdout))
    figures = {
        row["Experiment"]: float(row["metrics/square/reid-osnet.json:plain.map"]) for row in table if row["Experiment"]
    }
    assert len(figures) == 1 + len(RATES)
    best = max(figures, key=lambda name: figures[name])
    for command in commands("dvc exp diff"):
        succeed(project, *shlex.split(command.replace("<experiment>", best)))
    metrics = json.loads((project / METRICS.of("square") / "reid-osnet.json").read_text())
    assert metrics["plain"]["map"] == pytest.approx(figures[best])
    card = json.loads((project / MODELS.of("square") / "reid-osnet" / "card.json").read_text())
    assert metrics["model_version"].endswith(card["weights_sha256"][:12])
    assert contents(project / MODELS.of("square") / "reid-resnet50") == other
    assert f"kept-{best}" in succeed(project, "git", "branch")
