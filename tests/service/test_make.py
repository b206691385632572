import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.helpers.project import ROOT

CODE = {"domain", "districts", "evaluation", "training", "export", "serving"}
STUB = """#!/bin/sh
[ "$1" = -c ] && { echo demo; exit; } # the configured district
echo "$(basename "$0") $*" >> said
echo "$(umask)" >> umasks
echo "$DONGSEON_STORE" > store
case " $BROKEN " in *" $2 "*) exit 1;; esac
"""


def make(folder: Path, *target: str, broken: Sequence[str] = ()) -> tuple[int, list[str]]:
    """What `make` ends with and runs, where these modules fail."""
    shutil.copy(ROOT / "Makefile", folder)
    for file in ("requirements.lock", "bento/demo/bento.yaml", ".venv/.installed"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / ".venv" / "bin").mkdir()
    for name in ("python", "bentoml", "dvc"):
        (folder / ".venv" / "bin" / name).write_text(STUB)
        (folder / ".venv" / "bin" / name).chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "BROKEN": " ".join(broken)}
    ended = subprocess.run(
        ["make", *target], cwd=folder, env=environment, umask=0o022, capture_output=True, check=False
    )
    return ended.returncode, (folder / "said").read_text().splitlines()


@pytest.mark.parametrize("broken", [[], ["serving.ingest", "serving.retention"]])
def test_videos_that_cannot_be_taken_in_do_not_keep_the_service_down(tmp_path: Path, broken: list[str]) -> None:
    ended, said = make(tmp_path, "serve", broken=broken)
    assert ended == 0
    assert [line.split()[2] for line in said[:-1]] == [
        "serving.accounts",
        "serving.ingest",
        "serving.worker",
        "serving.retention",
    ]
    assert said[-1].startswith("bentoml serve")


def test_a_project_may_lie_in_an_odd_folder(tmp_path: Path) -> None:
    project = tmp_path / "실종자 찾기 #1 (a)'s $x"
    project.mkdir()
    ended, said = make(project, "serve")
    assert (ended, said[-1]) == (0, f"bentoml serve {project}/bento/demo --host 127.0.0.1")
    assert (project / "store").read_text() == f"{project}/store\n"


def test_a_project_without_git_runs_dvc_without_it(tmp_path: Path) -> None:
    ended, said = make(tmp_path, "demo")
    assert (ended, said[0]) == (0, "dvc config --local core.no_scm true")


def test_without_a_worker_that_ends_well_nothing_is_served(tmp_path: Path) -> None:
    ended, said = make(tmp_path, "serve", broken=["serving.worker"])
    assert (ended, said[-1].split()[2]) == (2, "serving.worker")


@pytest.mark.parametrize("target", ["demo-models", "demo-detector", "demo-reid-osnet", "serve"])
def test_what_dvc_and_bentoml_write_is_their_users_alone(tmp_path: Path, target: str) -> None:
    _, said = make(tmp_path, target)
    umasks = (tmp_path / "umasks").read_text().split()
    assert {
        umask for line, umask in zip(said, umasks, strict=True) if not line.startswith(("python", "dvc stage"))
    } == {"0077"}


def test_the_demos_models_are_made_after_all_that_their_stages_read() -> None:
    """`dvc repro --single-item` makes nothing that a stage depends on; DVC says so after half an hour."""
    environment = os.environ | {"PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"}
    asked = subprocess.run(
        ["make", "--dry-run", "demo-models"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    first, *chains = re.findall(r"repro ((?:[^;&\n\\]|\\\n)*)", asked.stdout)
    assert len(chains) == 4, asked.stdout  # detector, attributes, two backbones
    for chain in chains:
        made = {folder for name in first.split() for folder in folders(name, "outs")}
        stages = re.findall(r"(\w+)@", chain)
        assert len(stages) == 4, chain
        for stage in stages:
            missing = folders(stage, "deps") - CODE - made
            assert not missing, f"{stage} reads {missing}, which nothing before it in `make demo` writes"
            made |= folders(stage, "outs")


def folders(stage: str, kind: str) -> set[str]:
    """Top folders of what a stage of dvc.yaml reads or writes."""
    body = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    paths = body.get("do", body).get(kind, [])
    named = {path if isinstance(path, str) else next(iter(path)) for path in paths}
    return {path.partition("/")[0] for path in named if not path.startswith("$")}
