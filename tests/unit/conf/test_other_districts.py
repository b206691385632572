"""Outputs of other districts stay where they are, also those that DVC has restored from its cache."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.conftest import succeed
from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow
MAKE = "mkdir -p {0} && echo made > {0}/file"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose stages are those of one district and its models."""
    stage = {
        "foreach": "${models}",
        "do": {"cmd": MAKE.format("models/${district}/${item}"), "outs": ["models/${district}/${item}"]},
    }
    data = {"cmd": MAKE.format("data/${district}"), "outs": ["data/${district}"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"prepare": data, "train": stage}}))
    (tmp_path / "conf/hydra_plugins").mkdir(parents=True)
    (tmp_path / "conf/config.yaml").write_text("district: one\nmodels: [first, second]\n")
    shutil.copy(ROOT / "conf/hydra_plugins/other_districts.py", tmp_path / "conf/hydra_plugins")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        succeed(tmp_path, *command)
    shutil.copy(ROOT / ".dvc/config", tmp_path / ".dvc")
    (tmp_path / ".gitignore").write_text("/models\n/data\n/params.yaml\n__pycache__\n")
    git = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost"]
    for command in (["add", "-A"], ["commit", "-q", "-m", "stages"]):
        succeed(tmp_path, *git, *command)
    for key in ("name", "email"):
        succeed(tmp_path, "git", "config", f"user.{key}", "tester@localhost")
    return tmp_path


def run(project: Path, *overrides: str) -> set[str]:
    """The models after an experiment."""
    succeed(project, "dvc", "exp", "run", *(part for each in overrides for part in ("-S", each)))
    return models(project)


def models(project: Path) -> set[str]:
    return {str(file.parent.relative_to(project)) for file in (project / "models").rglob("file")}


def test_what_was_restored_of_one_district_stays_while_another_runs(project: Path) -> None:
    both = {f"models/{district}/{model}" for district in ("one", "two") for model in ("first", "second")}
    run(project, "district=one")
    assert run(project, "district=two") == both
    shutil.rmtree(project / "models")
    assert run(project, "district=one") == {"models/one/first", "models/one/second"}  # from the cache
    assert run(project, "district=two") == both
    succeed(project, "dvc", "checkout")
    assert models(project) == both
    assert run(project, "district=one") == both
    shutil.rmtree(project / "models")
    run(project, "district=one")
    assert run(project, "district=one", "models=[first]") == {"models/one/first"}, "its own goes with its stage"
