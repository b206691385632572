"""A backup is tried out: whole ones pass, also after the rehearsal was killed; what is wrong with others is named."""

import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from domain.errors import ArtifactError, InputError
from serving import rehearse_restore
from serving.database import audit
from serving.database.embedded import TOOLS, EmbeddedServer
from serving.database.store import open_store
from tests.helpers.project import ROOT
from tests.helpers.sightings import CAMERAS, in_transaction, tracklet, unit_vectors

pytestmark = pytest.mark.slow
KILLED = """
import os, signal, sys
from serving import rehearse_restore
from serving.database.crops import Crops
read, left = Crops.read, [{after}]
def read_or_die(crops, path):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(crops, path)
Crops.read = read_or_die
rehearse_restore.main(sys.argv[1:])
"""


def back_up(folder: Path, number: int) -> str:
    """Write a backup of so many sightings; returns the head of the audit."""
    embeddings = unit_vectors(0, number, 16)
    people = [tracklet(i + 1, embeddings[i], camera=i % 3, after_s=i) for i in range(number)]
    with open_store(folder / "store") as store:
        store.replace_sightings("demo", CAMERAS, "net-1", people)
        in_transaction(store, audit.append, "kim", audit.Action.EXPORT, {"what": "case 1"})
        head = in_transaction(store, audit.verify)
        server = EmbeddedServer(folder / "store/postgres")
        server.open()
        command = [TOOLS / "pg_dump", "--format=custom", f"--file={folder / 'sightings.dump'}"]
        subprocess.run(command, env=server.environment, pass_fds=server.descriptors, check=True)
        server.close()
    with tarfile.open(folder / "crops.tar", "w") as tar:
        tar.add(folder / "store/crops", "crops")
    return str(head)


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backup")
    (folder / "head").write_text(back_up(folder, 40))
    return folder


def arguments(backup: Path, scratch: Path, *more: str) -> list[str]:
    key, crops = backup / "store.key", backup / "crops.tar"
    return [str(backup / "sightings.dump"), f"--crops={crops}", f"--key={key}", f"--scratch={scratch}", *more]


def test_a_whole_backup_passes_and_leaves_nothing(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rehearse_restore.main(arguments(backup, tmp_path / "scratch", "--head", (backup / "head").read_text()))
    said = capsys.readouterr().out
    assert "the backup is whole: 40 crops open with the keys of" in said
    assert "audit: 1 records, none changed" in said
    assert not (tmp_path / "scratch").exists()
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("number", "seen"), [(700, 500), pytest.param(10_000, 5000, marks=pytest.mark.soak)])
def test_a_rehearsal_that_was_killed_goes_on(
    tmp_path: Path, number: int, seen: int, capsys: pytest.CaptureFixture[str]
) -> None:
    back_up(tmp_path, number)
    options = arguments(tmp_path, tmp_path / "scratch")
    program = [sys.executable, "-c", KILLED.format(after=seen + 100), *options]
    killed = subprocess.run(program, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    rehearse_restore.main(options)
    said = capsys.readouterr().out
    assert f"goes on in {tmp_path}/scratch, {seen} crops are verified" in said
    assert f"the backup is whole: {number} crops open" in said
    assert "restored" not in said


def test_what_is_wrong_with_a_backup_is_named(backup: Path, tmp_path: Path) -> None:
    for name in ("sightings.dump", "store.key"):
        shutil.copy(backup / name, tmp_path / name)
    shutil.copytree(backup / "store/crops", tmp_path / "whole/crops")
    crops = sorted((tmp_path / "whole/crops").rglob("*.jpg"))
    crops[0].unlink()
    crops[1].write_bytes(crops[1].read_bytes()[:-1])
    options = [str(tmp_path / "sightings.dump"), f"--crops={tmp_path}/whole", f"--key={tmp_path}/store.key"]
    with pytest.raises(ArtifactError, match=r"each crop of the backup must open, 2 of 40 do not:\n  crops/demo/\d+/0"):
        rehearse_restore.main([*options, f"--scratch={tmp_path}/a"])
    assert (tmp_path / "a/progress.json").exists()
    with pytest.raises(audit.BrokenAuditError, match="the end was cut off since"):
        rehearse_restore.main([*options, f"--scratch={tmp_path}/b", "--head", f"7:{'0' * 64}"])
    dump = tmp_path / "sightings.dump"
    dump.write_bytes(dump.read_bytes()[: dump.stat().st_size // 2])
    with pytest.raises(InputError, match=r"--scratch must be of this dump"):
        rehearse_restore.main([*options, f"--scratch={tmp_path}/a"])
    with pytest.raises(ArtifactError, match="must be a dump that can be restored, pg_restore says: "):
        rehearse_restore.main([*options, f"--scratch={tmp_path}/c"])
    with pytest.raises(InputError, match=r"the crops .* and their keys .*none\.key must be readable"):
        rehearse_restore.main([*options[:2], f"--key={tmp_path}/none.key"])
