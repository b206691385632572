import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.errors import InputError
from serving.database import camera_leases
from serving.database.camera_leases import CameraLeases, SharedCameras
from serving.database.districts import add_cameras
from serving.database.store import Store
from serving.streams import main
from tests.helpers.deployments import write_deployment
from tests.helpers.rtsp import until
from tests.helpers.sightings import CAMERAS, in_transaction


@pytest.fixture
def engine(shared_store: Store, monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    in_transaction(shared_store, add_cameras, "demo", CAMERAS, time_zone="UTC")
    monkeypatch.setattr(camera_leases, "_EVERY_S", 0.1)
    monkeypatch.setattr(camera_leases, "_PATIENCE_S", 0.3)
    with shared_store.begin() as connection:
        return connection.engine


@contextmanager
def leased(engine: sa.Engine, *cameras: str, district: str = "demo") -> Iterator[tuple[CameraLeases, threading.Event]]:
    is_lost = threading.Event()
    leases = CameraLeases(engine, district, cameras, is_lost.set)
    try:
        yield leases, is_lost
    finally:
        leases.close()


def end_leases(engine: sa.Engine) -> None:
    """As a server does that is started again."""
    with engine.begin() as connection:
        ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'serving.streams%'"
        assert connection.execute(sa.text(ending)).scalars().all() == [True]


def test_a_camera_is_followed_by_one_process_only_until_the_process_ends(engine: sa.Engine) -> None:
    with leased(engine, "cam0", "cam1"), leased(engine, "cam2"), leased(engine, "cam0", district="other"):
        with (
            pytest.raises(
                InputError,
                match=rf"by one process only, cam1 is followed by serving\.streams, process {os.getpid()} on .* "
                r"\(address of this machine, since 2.* UTC\); end that process, or take the camera out",
            ),
            leased(engine, "cam1", "cam5"),
        ):
            pass
        with leased(engine, "cam5"):
            pass
    with leased(engine, "cam0", "cam1", "cam2"):
        pass


def test_leases_are_renewed_when_the_database_is_back(engine: sa.Engine) -> None:
    with leased(engine, "cam0") as (leases, is_lost):
        first = leases._connection
        end_leases(engine)
        until(lambda: leases._connection not in (None, first))
        with pytest.raises(InputError, match="cam0 is followed by"), leased(engine, "cam0"):
            pass
        assert not is_lost.is_set()


def test_whoever_comes_first_when_the_database_is_back_has_the_camera(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with leased(engine, "cam0") as (leases, is_lost):
        renew = leases._renew
        monkeypatch.setattr(leases, "_renew", lambda: None)
        end_leases(engine)
        with leased(engine, "cam0") as (_, other_is_lost):
            monkeypatch.setattr(leases, "_renew", renew)
            assert is_lost.wait(10)
            assert "cam0 is followed by serving.streams" in str(leases.lost)
            assert not other_is_lost.is_set()


def leave_what_is_due(*processes: SharedCameras) -> None:
    """As `serving.streams` does once a camera's segments are stored."""
    for process in processes:
        for camera_id in process._held - process.following:
            process.give_up(camera_id)


def test_processes_share_cameras_and_take_over_those_of_one_that_ended(engine: sa.Engine) -> None:
    names = ["c1", "c2", "c3", "c4", "c5"]
    first = SharedCameras(engine, "demo", names)
    assert first.following == {*names}
    with closing(SharedCameras(engine, "demo", names)) as second:
        with closing(SharedCameras(engine, "other", names)) as other:
            assert other.following == {*names}
        until(lambda: len(first.following) == 3)
        assert second.following == frozenset()  # the first still follows all

        def is_shared() -> bool:
            leave_what_is_due(first, second)
            return len(second.following) == 2 and first._held == first.following

        until(is_shared)
        assert first.following | second.following == {*names}
        first.close()
        until(lambda: second.following == {*names})


def test_shared_cameras_stay_with_their_process_while_the_database_is_away(engine: sa.Engine) -> None:
    with closing(SharedCameras(engine, "demo", ["c1", "c2"])) as shared:
        connection = shared._connection
        end_leases(engine)
        until(lambda: shared._connection not in (None, connection))
        assert shared.following == {"c1", "c2"}
        with pytest.raises(InputError, match="c1 is followed by"), leased(engine, "c1"):
            pass


def test_the_command_refuses_a_camera_that_is_taken(
    engine: sa.Engine, shared_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_deployment(tmp_path)
    (tmp_path / "cameras.yaml").write_text("district: demo\ncameras: {cam0: 'rtsp://127.0.0.1:1/street'}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DONGSEON_STORE", str(shared_store.folder))
    with leased(engine, "cam0"), pytest.raises(InputError, match="cam0 is followed by serving"):
        main(["serving.streams.file=cameras.yaml"])
