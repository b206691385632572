"""Workers of several machines: one database, crops in an object storage, and nothing else in common but the videos."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import s3fs
from moto.server import ThreadedMotoServer

from serving import ingest, worker
from serving.database.crops import add_key, destroy_old_keys, open_crops
from serving.database.store import open_store
from tests.helpers.deployments import write_deployment
from tests.helpers.project import ROOT
from tests.helpers.recordings import contents, segment_states, write_district
from tests.helpers.rtsp import free_port
from tests.helpers.sightings import tracklet, unit_vectors

pytestmark = pytest.mark.slow
QUICK = ("serving.ingest.heartbeat_s=0.4", "serving.ingest.dead_after_s=1.5", "serving.ingest.cameras_at_once=1")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address in a server that speaks S3's protocol; this process and its children reach it."""
    port = free_port()
    server = ThreadedMotoServer(port=port, verbose=False)
    server.start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem().mkdir("city")
    yield "s3://city/dongseon"
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def start(folder: Path, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "serving.worker", "--until-empty", *QUICK]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def test_crops_in_an_object_storage_are_written_encrypted_anew_and_deleted(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DONGSEON_CROPS", bucket)
    crops, key_file = open_crops(tmp_path / "store"), tmp_path / "store.key"
    crops.write("demo", 3, [tracklet(number, unit_vectors(0, 1, 16)[0]) for number in range(4)])
    content = {path: crops.read(path) for path in crops.all()}
    assert len(content) == 4
    add_key(key_file)
    newer = open_crops(tmp_path / "store")
    assert [newer.encrypt_anew(path) for path in (*content, *content)] == [True] * 4 + [False] * 4
    assert newer.by_key(content) == {1: 4}
    destroy_old_keys(key_file)
    assert {path: open_crops(tmp_path / "store").read(path) for path in content} == content
    assert newer.delete(content) == []
    assert newer.is_empty()


@pytest.mark.soak
def test_three_workers_one_of_which_is_killed_store_what_one_does(
    tmp_path: Path, bucket: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    district = write_district(tmp_path / "demo", num_cameras=9)
    alone = tmp_path / "alone"
    write_deployment(alone)
    machines = [tmp_path / f"machine{number}" for number in range(3)]
    for machine in machines:
        shutil.copytree(alone, machine)
    monkeypatch.chdir(alone)
    ingest.main([str(district), "--district", "demo"])
    worker.main(["--until-empty"])
    with open_store(Path("store")) as store:
        expected = contents(store)

    shared = {"DATABASE_URL": database, "DONGSEON_CROPS": bucket, "DONGSEON_CROP_KEY": str(tmp_path / "city.key")}
    for name, value in shared.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(machines[0])
    ingest.main([str(district), "--district", "demo"])
    processes = [start(machine, shared) for machine in machines]
    with open_store(Path("store")) as store:
        while "done" not in segment_states(store).values():
            time.sleep(0.05)
        processes[1].kill()
        assert [process.wait(120) for process in processes][::2] == [0, 0]
        assert set(segment_states(store).values()) == {"done"}
        assert contents(store) == expected
        assert not any((machine / "store/crops").exists() for machine in machines)
