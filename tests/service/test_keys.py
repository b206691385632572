"""After a leaked key: all crops are encrypted anew, whatever kills the command, and the old key opens none."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from domain.errors import ArtifactError, InputError
from serving import keys
from serving.database import audit
from serving.database.crops import key_file_of
from serving.database.store import Store, open_store
from tests.helpers.deployments import write_deployment
from tests.helpers.project import ROOT
from tests.helpers.sightings import CAMERAS, tracklet, unit_vectors

pytestmark = pytest.mark.slow
# Killed when a crop lies encrypted anew beside the old one, for the `after`th time.
KILLED = """
import os, pathlib, signal
from serving import keys
replace, left = pathlib.Path.replace, [{after}]
def replace_or_die(path, target):
    left[0] -= str(path).endswith(".new")
    if left[0] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(path, target)
pathlib.Path.replace = replace_or_die
keys.main(["reencrypt"])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_deployment(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(store: Store, number: int) -> dict[str, bytes]:
    """Store crops, a photo of a case and a piece of a recording, so many files in all; returns them."""
    embeddings = unit_vectors(0, number - 2, 16)
    people = [tracklet(i + 1, embeddings[i], camera=i % 3, after_s=i) for i in range(number - 2)]
    store.replace_sightings("demo", CAMERAS, "net-1", people)
    store.crops.write_files({"photos/1/1.photo": b"a photo", "ring/demo/cam0/2026050112/1-0-4000.ts": b"a video"})
    return {path: store.crops.read(path) for path in store.crops.all()}


@pytest.mark.parametrize("number", [60, pytest.param(10_000, marks=pytest.mark.soak)])
def test_all_crops_are_encrypted_anew_though_the_command_is_killed_half_way(
    folder: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(folder / "store") as store:
        crops = fill(store, number)
        leaked = key_file_of(store.folder).read_bytes()
        keys.main(["add"])
        killed = subprocess.run([sys.executable, "-c", KILLED.format(after=number // 2)], env={"PYTHONPATH": str(ROOT)})
        assert killed.returncode == -signal.SIGKILL
        with pytest.raises(InputError, match=f"{number - number // 2 + 1} crops need them"):
            keys.main(["destroy-old"])
        keys.main(["reencrypt"])
        keys.main(["list"])
        assert f"key 0: 0 crops\nkey 1: {number} crops, encrypts new ones" in capsys.readouterr().out
        keys.main(["destroy-old"])
        assert {path: store.crops.read(path) for path in store.crops.all()} == crops  # of a process from before
        assert not list(store.folder.rglob("*.new"))
    with open_store(folder / "store") as store:
        assert {path: store.crops.read(path) for path in crops} == crops
        with store.begin() as connection:
            recorded = [record.details for record in audit.records(connection) if record.action == audit.Action.KEYS]
    assert [details["what"] for details in recorded] == ["key added", "crops re-encrypted", "old keys destroyed"]
    key_file_of(folder / "store").write_bytes(leaked)
    with open_store(folder / "store") as store, pytest.raises(ArtifactError, match="does not decrypt"):
        store.crops.read(next(iter(crops)))


def test_a_process_from_before_writes_with_the_new_key(folder: Path) -> None:
    with open_store(folder / "store") as store:
        fill(store, 2)
        keys.main(["add"])
        store.crops.write("demo", 77, [tracklet(1, unit_vectors(0, 1, 16)[0])])
        assert store.crops.by_key(store.crops.all()) == {0: 2, 1: 1}


def test_a_damaged_crop_is_named_and_the_others_are_encrypted(folder: Path) -> None:
    with open_store(folder / "store") as store:
        damaged, *_ = fill(store, 3)
        (store.folder / damaged).write_bytes(b"\0" * 60)
        keys.main(["add"])
        with pytest.raises(ArtifactError, match=rf"1 of 3 do not and were left:\n  the crop {damaged}"):
            keys.main(["reencrypt"])
        assert store.crops.by_key(store.crops.all()) == {0: 1, 1: 2}


def test_a_key_file_without_a_newest_key_is_refused(folder: Path) -> None:
    with open_store(folder / "store") as store:
        key_file_of(store.folder).write_text("-\n")
        with pytest.raises(InputError, match="must hold a key a line"):
            keys.main(["list"])
