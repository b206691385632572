"""How far the workers are: recordings by state, speed, time until the end, and what failed."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.errors import InputError
from serving import ingest, progress, worker
from serving.database import jobs, segments, tables
from serving.database.districts import add_cameras
from serving.database.progress import progress_of
from serving.database.segments import VideoFile
from serving.database.store import Store, open_store
from tests.helpers.deployments import write_deployment
from tests.helpers.recordings import write_district
from tests.helpers.sightings import CAMERAS, NOON, in_transaction

HOUR = timedelta(hours=1)


@pytest.fixture
def archive(store: Store) -> Store:
    """Ten recordings of an hour that wait, one of unknown length, and a live segment."""
    with store.begin() as connection:
        add_cameras(connection, "demo", CAMERAS, time_zone="Asia/Seoul")
        for number in range(11):
            start = NOON + number * HOUR
            video = VideoFile(
                "cam0", f"/archive/{number}.mp4", f"{number:064}", start, start + HOUR if number else None
            )
            jobs.defer_segment(connection, segments.insert(connection, "demo", video).id)
        segments.register(connection, "demo", "cam1", "cam1", f"cam1@{NOON}", NOON)
    return store


def end(store: Store, numbers: Sequence[int], ago: timedelta) -> None:
    table = tables.segments
    with store.begin() as connection:
        of = table.c.source.in_([f"/archive/{number}.mp4" for number in numbers])
        connection.execute(sa.update(table).where(of).values(state="done", ended=sa.func.now() - ago))


def heartbeat(store: Store, ago: timedelta) -> None:
    insert = sa.text("INSERT INTO jobs.procrastinate_workers (last_heartbeat) VALUES (now() - CAST(:ago AS interval))")
    in_transaction(store, lambda connection: connection.execute(insert, {"ago": ago}))


def test_hours_speed_and_the_time_until_the_end(archive: Store) -> None:
    before = in_transaction(archive, progress_of, 5.0)
    assert (before.done, before.waiting, before.hours_waiting, before.workers) == (0, 11, 11.0, 0)
    assert (before.speed, before.remaining) == (None, None)
    end(archive, [1], 2 * HOUR)  # before the window
    end(archive, [2], timedelta(minutes=20))  # it began before
    end(archive, [3, 4], timedelta(minutes=10))
    heartbeat(archive, timedelta(seconds=1))
    heartbeat(archive, timedelta(seconds=9))
    now = in_transaction(archive, progress_of, 5.0)
    assert (now.done, now.hours_done, now.waiting, now.hours_waiting, now.workers) == (4, 4.0, 7, 7.0, 1)
    assert now.speed == pytest.approx(6, rel=1e-3)  # two hours in twenty minutes
    assert now.remaining is not None
    assert now.remaining / HOUR == pytest.approx(7 / 6, rel=1e-3)
    assert in_transaction(archive, progress_of, 5.0, "elsewhere").waiting == 0


def test_what_failed_and_what_is_put_off_is_named(archive: Store) -> None:
    with archive.begin() as connection:
        numbers = dict(connection.execute(sa.select(tables.segments.c.source, tables.segments.c.id)).all())
        segments.fail(connection, numbers["/archive/3.mp4"], "none of its frames can be decoded")
        segments.postpone(connection, numbers["/archive/5.mp4"], "the share is away")
        connection.execute(sa.text("SET LOCAL search_path TO jobs, public"))  # its triggers name no schema
        connection.execute(
            sa.text("UPDATE procrastinate_jobs SET status = 'doing' WHERE (args->>'segment_id')::bigint = :id"),
            {"id": numbers["/archive/7.mp4"]},
        )
    now = in_transaction(archive, progress_of, 5.0)
    assert (now.failed, now.waiting, now.in_work) == (1, 10, 1)
    assert [(one.source, one.error) for one in now.failures] == [
        ("/archive/3.mp4", "none of its frames can be decoded")
    ]
    assert [(one.source, one.error) for one in now.put_off] == [("/archive/5.mp4", "the share is away")]


def test_the_command_tells_it_until_nothing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_deployment(tmp_path)
    monkeypatch.chdir(tmp_path)
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=3)), "--district", "demo"])
    capsys.readouterr()
    progress.main(["demo"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("0 of 3 recordings are done (0.0 hours of video), 0 failed, 3 wait")
    assert said[1] == "no worker runs; start python -m serving.worker"
    with pytest.raises(InputError, match=r"must be a stored one \(demo\), got gate"):
        progress.main(["gate"])
    monkeypatch.setattr(progress, "sleep", lambda _: worker.main(["--until-empty"]))
    progress.main(["--every", "1"])
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("0 of 3")
    assert last.startswith("3 of 3 recordings are done (0.0 hours of video), 0 failed, 0 wait (0.0 hours), 0 of them")
    with open_store(Path("store")) as store:
        finished = in_transaction(store, progress_of, 5.0)
    assert finished.hours_done > 0
    assert finished.speed is None or finished.speed > 0


def test_the_outlook_is_a_sentence(archive: Store) -> None:
    end(archive, [1, 2], timedelta(minutes=20))
    end(archive, [3, 4], timedelta(minutes=10))
    heartbeat(archive, timedelta(seconds=1))
    told = list(progress._lines(in_transaction(archive, progress_of, 5.0), NOON))
    assert told[1].startswith("1 worker, 6.0 hours of video an hour; all are done in about 1 h 10 min, at ")
