"""The pipeline, run once for all tests here as a newcomer runs it: a clone, `dvc exp run -S experiment=smoke`."""

import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import succeed
from tests.helpers.project import ROOT

LOG = "smoke.log"  # beside the clone
_GIT = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost", "-c", "init.defaultBranch=main"]


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This working tree as a fresh repository."""
    return make_clone(tmp_path_factory.mktemp("clone") / "dongseon")


def make_clone(folder: Path) -> Path:
    """What git tracks or would track of this working tree, as a repository of its own."""
    listed = succeed(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    for each in (folder, folder / ".dvc"):
        each.chmod(0o755)  # as git clones
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "as it is"]):
        succeed(folder, *_GIT, *arguments)
    succeed(folder, "git", "config", "user.name", "Tester")
    succeed(folder, "git", "config", "user.email", "tester@localhost")
    return folder


@pytest.fixture(scope="session")
def smoke(clone: Path) -> Path:
    """The clone after the whole pipeline ran in it; what it said is in `LOG`."""
    said = succeed(clone, "dvc", "exp", "run", "-S", "experiment=smoke")
    (clone.parent / LOG).write_text(said)
    return clone
