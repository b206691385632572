"""Commands that write pictures or embeddings of people create files that no other user of the machine can read.

Of the stages, tests/end_to_end/pipeline asks the same.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
import yaml

from domain.atomic import atomic_folder
from domain.stage import close_dvc_folders
from serving.cases.verdict import Verdict
from serving.database import tables
from serving.database.store import open_store
from tests.helpers.deployments import fill_store, write_deployment
from tests.helpers.imports import imported_modules
from tests.helpers.other_user import readable_by_others
from tests.helpers.project import ROOT

STAGE = """
from pathlib import Path
from domain.atomic import atomic_folder
from domain.stage import run_stage

def write(arguments):
    with atomic_folder(Path("tracks")) as aside:
        (aside / "1.jpg").write_text("a person")

run_stage(write)
"""


@pytest.fixture
def project() -> Iterator[Path]:
    """A folder that every user can enter, with a file that every user can read: the proof that the tests see such."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        seen = folder / "seen"
        seen.touch()
        seen.chmod(0o644)
        yield folder
        assert seen in readable_by_others(folder)


def run(project: Path, *command: str) -> None:
    """`python -m` as in a shell of most users, whose files all can read."""
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        umask=0o022,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def written(project: Path) -> set[str]:
    """The folders and files of `project` that others can read, but for the one that is theirs to see."""
    return {str(file.relative_to(project)) for file in readable_by_others(project)} - {"seen"}


def test_a_district_taken_over_from_an_open_folder_is_its_users_alone(project: Path) -> None:
    opened = project / "opened"
    for folder in (opened, project / "data"):
        folder.mkdir()
        folder.chmod(0o755)
    with atomic_folder(project / "data" / "toy") as aside:
        subprocess.run(["cp", "-a", f"{opened}/.", str(aside)], check=True)
        (aside / "1.jpg").write_text("a person")
        (aside / "1.jpg").chmod(0o644)
    assert not written(project)


@pytest.mark.slow
def test_labels_and_the_bento_are_their_users_alone(project: Path) -> None:
    deployment = write_deployment(project)
    fill_store(deployment)
    with open_store(deployment.store) as store, store.begin() as connection:
        row = {"case_id": 1, "district": "demo", "tracklet_id": 1, "verdict": Verdict.CONFIRMED, "account": "kim"}
        connection.execute(sa.insert(tables.verdicts), row)
    before = written(project)
    run(project, "serving.labels", "labels")
    run(project, "serving.package")
    assert list((project / "labels").rglob("*.jpg"))
    assert (project / "bento" / "demo" / "bento.yaml").is_file()
    assert not written(project) - before


def test_what_a_process_of_ours_writes_is_its_users_alone(project: Path) -> None:
    write = "import domain, pathlib; pathlib.Path('a').mkdir(); pathlib.Path('a/1.jpg').touch(); open('mlflow.db', 'w')"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", write], cwd=project, env=environment, umask=0o022, check=True)
    assert (project / "mlflow.db").stat().st_mode & 0o777 == 0o600
    assert not written(project)


@pytest.mark.slow
def test_what_dvc_keeps_of_a_stage_is_its_users_alone(project: Path) -> None:
    (project / "write.py").write_text(STAGE)
    stage = {"cmd": f"{sys.executable} write.py", "outs": ["tracks"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"write": stage}}))
    run(project, "dvc", "init", "--no-scm", "--quiet")
    run(project, "dvc", "repro", "--quiet")
    assert list((project / ".dvc" / "cache").rglob("*.dir"))
    assert (project / "tracks" / "1.jpg").is_file()
    assert not {name for name in written(project) if name.startswith(("tracks", ".dvc/cache", ".dvc/tmp"))}


def test_what_dvc_copies_for_an_experiment_is_its_users_alone(project: Path) -> None:
    experiment = project / ".dvc" / "tmp" / "exps" / "tmp1"
    (experiment / ".dvc").mkdir(parents=True)
    for folder in (experiment, *experiment.parents[:3]):
        folder.chmod(0o755)
    close_dvc_folders(experiment)
    for folder in (project, experiment):
        picture = folder / ".dvc" / "cache" / "files" / "ab"
        picture.parent.mkdir()
        picture.touch()
        picture.chmod(0o444)
    assert not written(project)


# The service starts it, with its own umask, and it may write no file.
_DECODER = ROOT / "serving" / "search" / "photo_decoder.py"


@pytest.mark.parametrize(
    "entry",
    sorted(
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for folder in ("districts", "evaluation", "training", "export", "serving", "benchmarks")
        for file in (ROOT / folder).rglob("*.py")
        if ('__name__ == "__main__"' in file.read_text() or file.name == "service.py") and file != _DECODER
    ),
)
def test_every_command_imports_what_keeps_files_private(entry: str) -> None:
    assert ROOT / "domain" / "__init__.py" in imported_modules(entry, ROOT)
