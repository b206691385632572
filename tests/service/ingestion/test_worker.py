import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.errors import InputError
from serving import ingest, worker
from serving.database import queries, tables
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.ingestion.following import TrackingSettings
from serving.ingestion.segment_work import SegmentWork
from serving.search.coverage import coverage_of
from serving.video import recordings
from tests.helpers.deployments import BLUE, GREEN, RED, write_deployment
from tests.helpers.project import ROOT
from tests.helpers.recordings import START, contents, segment_states, write_district, write_recording
from tests.helpers.sightings import CAMERAS, in_transaction, tracklet, unit_vectors

MANY_FRAMES = 400


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "deployment"
    write_deployment(folder)
    monkeypatch.chdir(folder)
    return folder


def start(
    folder: Path, *arguments: str, max_file_bytes: int | None = None, program: Sequence[str] = ("-m", "serving.worker")
) -> subprocess.Popen[str]:
    """A worker in a process of its own; no file that it writes may be longer than `max_file_bytes`."""

    def limit() -> None:
        if max_file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))

    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=limit,
    )  # fmt: skip


def wait_until_looking(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"].startswith("waiting for segments"):
            return
    pytest.fail("the worker ended before it looked for segments")


def column(store: Store, name: str) -> dict[str, object]:
    """A column of the segments by their sources' file names."""
    with store.begin() as connection:
        rows = connection.execute(sa.select(tables.segments.c.source, tables.segments.c[name]))
        return {Path(source).name: value for source, value in rows}


def test_videos_become_tracklets_and_bad_ones_say_why(deployment: Path, tmp_path: Path) -> None:
    district = write_district(tmp_path / "demo", num_cameras=5)
    videos = district / "videos"
    whole = write_recording(videos / "c4.mp4", [RED, GREEN, BLUE] * 3)
    content = whole.read_bytes()
    start_of_pictures = content.index(b"mdat")
    broken = bytearray(content)
    middle = start_of_pictures + (len(content) - start_of_pictures) // 2
    broken[middle : middle + 400] = os.urandom(400)
    whole.write_bytes(broken)
    nothing = bytearray((videos / "c5.mp4").read_bytes())
    first, last = nothing.index(b"mdat") + 4, nothing.index(b"moov") - 4
    nothing[first : max(first, last)] = bytes(max(0, last - first))
    (videos / "c5.mp4").write_bytes(nothing)
    ingest.main([str(district), "--district", "demo"])
    worker.main(["--until-empty", "serving.ingest.cameras_at_once=2"])
    with open_store(Path("store")) as store:
        assert segment_states(store) == {f"c{i}.mp4": "failed" if i == 5 else "done" for i in range(1, 6)}
        assert "none of its frames can be decoded" in str(column(store, "error")["c5.mp4"])
        assert "c4.mp4 is damaged or ends early" in str(column(store, "damage")["c4.mp4"])
        assert column(store, "damage")["c1.mp4"] is None
        assert column(store, "frames")["c1.mp4"] == 90
        with store.begin() as connection:
            seen = tables.tracklets
            held = connection.execute(sa.select(seen.c.id, seen.c.segment_id, seen.c.camera_id)).all()
        by_camera = Counter(one.camera_id for one in held)
        assert (by_camera["c1"], by_camera["c2"], by_camera["c3"]) == (2, 1, 2)
        assert by_camera["c4"] >= 3
        assert all(one.id // 1_000_000 == one.segment_id for one in held)
        before = contents(store)
    ingest.main([str(district), "--district", "demo"])  # c5 is tried again, the others are not
    worker.main(["--until-empty"])
    with open_store(Path("store")) as store:
        assert contents(store) == before


@pytest.mark.parametrize(
    ("waited_s", "newest_s", "keep_up_s", "shed"),
    [
        pytest.param(3000, 0, "3600", 1, id="the workers keep up"),
        pytest.param(9000, 60, "3600", 3, id="they do not"),
        pytest.param(900000, 60, "3600", 10, id="at all: one look a second"),
        pytest.param(9000, 8000, "3600", 1, id="an archive"),
        pytest.param(9000, 60, "null", 1, id="however long it takes"),
    ],
)
def test_recordings_that_come_too_fast_are_looked_at_in_fewer_frames_evenly(
    deployment: Path, tmp_path: Path, waited_s: float, newest_s: float, keep_up_s: str, shed: int
) -> None:
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=2)), "--district", "demo"])
    with open_store(Path("store")) as store:
        for camera_id, seconds in (("c1", waited_s), ("c2", newest_s)):
            waited = sa.update(tables.segments).where(tables.segments.c.camera_id == camera_id)
            with store.begin() as connection:
                connection.execute(waited.values(created=sa.func.now() - timedelta(seconds=seconds)))
    worker.main(["--until-empty", f"serving.ingest.keep_up_s={keep_up_s}"])
    with open_store(Path("store")) as store:
        frames, due = column(store, "frames")["c1.mp4"], column(store, "due")["c1.mp4"]
        assert (frames, due) == (90, 90)
        assert column(store, "looked_at")["c1.mp4"] == 90 // shed
        said = column(store, "damage")["c1.mp4"]
        shed_is_said = f"only one in {shed} frames was looked at, because more come than can be looked at"
        assert said == (None if shed == 1 else shed_is_said)
        version = next(iter(set(column(store, "model_version").values())))
        deployed = Deployment.read(Path()).configuration()["deployment_version"]
        assert set(column(store, "deployment_version").values()) == {deployed} != {None}
        [camera] = coverage_of(store, str(version), cameras=[("demo", "c1")]).cameras
        assert bool(camera.thin) == (shed > 1)
        assert bool(camera.searched) == (shed == 1)


@pytest.mark.slow
def test_a_full_disk_fails_the_segment_and_a_later_attempt_mends_it(deployment: Path, tmp_path: Path) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    with open_store(Path("store")) as store:  # so that the database runs already, without the limit
        ingest.main([str(district), "--district", "demo"])
        process = start(deployment, "--until-empty", "serving.ingest.patience_s=0.5", max_file_bytes=700)
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, said
        assert "will be retried: [Errno 27] File too large" in said
        assert segment_states(store) == {"c1.mp4": "failed"}
        assert "File too large" in str(column(store, "error")["c1.mp4"])
        ingest.main([str(district), "--district", "demo"])
        worker.main(["--until-empty"])
        assert segment_states(store) == {"c1.mp4": "done"}
        assert len(contents(store)[0][1]) == 2


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_gives_its_segments_back(deployment: Path, tmp_path: Path) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    write_recording(district / "videos" / "c1.mp4", [RED] * MANY_FRAMES)
    with open_store(Path("store")) as store:
        ingest.main([str(district), "--district", "demo"])
        process = start(deployment)
        wait_until_looking(process)
        deadline = time.monotonic() + 30
        while statuses(store) != ["doing"] and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert statuses(store) == ["todo"]
        assert segment_states(store) == {"c1.mp4": "waiting"}


@pytest.mark.slow
def test_a_worker_waits_for_a_database_that_was_killed_and_no_segment_is_blamed(
    deployment: Path, tmp_path: Path
) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    with open_store(Path("store")) as store:
        ingest.main([str(district), "--district", "demo"])
        once = ("serving.ingest.max_attempts=1", "serving.ingest.dead_after_s=60")  # one that was blamed would fail
        process = start(deployment, "--until-empty", *once)
        wait_until_looking(process)
        deadline = time.monotonic() + 30
        while statuses_now(store) != ["doing"] and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(int((store.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
        said, _ = process.communicate(timeout=150)  # nobody else starts it again
        assert process.returncode == 0, said
        assert segment_states(store) == {"c1.mp4": "done"}


def statuses_now(store: Store) -> Sequence[str] | None:
    """Of the jobs; None while the database is away."""
    try:
        return statuses(store)
    except sa.exc.OperationalError:
        return None


@pytest.mark.slow
def test_two_workers_share_the_segments(deployment: Path, tmp_path: Path) -> None:
    district = write_district(tmp_path / "demo", num_cameras=8)
    with open_store(Path("store")) as store:
        ingest.main([str(district), "--district", "demo"])
        both = [start(deployment, "--until-empty", "serving.ingest.cameras_at_once=1") for _ in range(2)]
        said = [process.communicate(timeout=120)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert set(segment_states(store).values()) == {"done"}
        assert sum(one.count(" frames, ") for one in said) == 8


def test_a_share_that_is_away_fails_nothing(deployment: Path, tmp_path: Path) -> None:
    district = write_district(tmp_path / "demo", num_cameras=2)
    ingest.main([str(district), "--district", "demo"])
    share, away = district / "videos", tmp_path / "away"
    share.rename(away)
    with open_store(Path("store")) as store:
        mounting = threading.Timer(2, lambda: away.rename(share))
        mounting.start()
        worker.main(["--until-empty"])
        assert segment_states(store) == {"c1.mp4": "done", "c2.mp4": "done"}
        assert column(store, "error") == column(store, "postponed_since") == {"c1.mp4": None, "c2.mp4": None}


def test_a_file_that_stays_away_fails_when_patience_ends(deployment: Path, tmp_path: Path) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    ingest.main([str(district), "--district", "demo"])
    (district / "videos" / "c1.mp4").unlink()
    with open_store(Path("store")) as store:
        worker.main(["--until-empty", "serving.ingest.patience_s=0"])
        assert segment_states(store) == {"c1.mp4": "failed"}
        assert "c1.mp4 must be a video file; it is missing" in str(column(store, "error")["c1.mp4"])
        assert column(store, "postponed_since") == {"c1.mp4": None}


def set_jobs(store: Store, **values: object) -> None:
    """Of all jobs."""
    with store.begin() as connection:
        connection.execute(sa.text("SET LOCAL search_path TO jobs"))
        set_values = ", ".join(f"{name} = :{name}" for name in values)
        connection.execute(sa.text(f"UPDATE procrastinate_jobs SET {set_values}"), values)


def dead_worker(store: Store) -> int:
    with store.begin() as connection:
        died = (
            "INSERT INTO jobs.procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 minute') RETURNING id"
        )
        return int(connection.execute(sa.text(died)).scalar_one())


def test_a_segment_on_which_workers_died_too_often_is_given_up(deployment: Path, tmp_path: Path) -> None:
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=1)), "--district", "demo"])
    with open_store(Path("store")) as store:  # as a worker leaves them that was killed the fifth time
        set_jobs(store, status="doing", priority=-4, worker_id=dead_worker(store))
        worker.main(["--until-empty"])
        assert segment_states(store) == {"c1.mp4": "failed"}
        assert "before 5 workers died on it" in str(column(store, "error")["c1.mp4"])


def test_restarts_and_four_deaths_leave_a_segment_its_chance(deployment: Path, tmp_path: Path) -> None:
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=2)), "--district", "demo"])
    with open_store(Path("store")) as store:  # given back a hundred times, and with two workers ago in work together
        set_jobs(store, status="doing", attempts=100, priority=-3, worker_id=dead_worker(store))
        worker.main(["--until-empty"])
        assert segment_states(store) == {"c1.mp4": "done", "c2.mp4": "done"}


KILLED_BY_C1 = """
import os, signal, sys, time
from serving import worker
from serving.ingestion import segment_work

def follow(videos, *arguments, **more):
    time.sleep(1 if videos[0].camera_id == "c1" else 2)  # all are in work when c1 kills
    return os.kill(os.getpid(), signal.SIGKILL) if videos[0].camera_id == "c1" else looked(videos, *arguments, **more)

looked, segment_work.follow = segment_work.follow, follow
worker.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_segment_that_kills_its_workers_fails_and_those_beside_it_are_done(deployment: Path, tmp_path: Path) -> None:
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=3)), "--district", "demo"])
    ended = []
    with open_store(Path("store")) as store:
        for _ in range(3):
            process = start(
                deployment, "--until-empty", "serving.ingest.max_attempts=2", "serving.ingest.dead_after_s=3",
                program=["-c", KILLED_BY_C1],
            )  # fmt: skip
            process.communicate(timeout=120)
            ended.append(process.returncode)
        assert segment_states(store) == {"c1.mp4": "failed", "c2.mp4": "done", "c3.mp4": "done"}
        assert ended == [-signal.SIGKILL, -signal.SIGKILL, 0]


def test_a_worker_removes_what_is_old_once_a_day(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=1)), "--district", "demo"])
    monkeypatch.setattr(worker, "_HOURLY", "* * * * *")
    caplog.set_level(logging.INFO, "serving")
    with open_store(Path("store")) as store:
        store.replace_sightings("old", CAMERAS, "net-1", [tracklet(1, unit_vectors(0, 1, 16)[0])])
        worker.main(["--until-empty"])
        assert "removed 1 tracklets and 1 crops" in caplog.text
        assert in_transaction(store, queries.tracklets, [("old", 1)]) == []
        assert segment_states(store) == {"c1.mp4": "done"}  # the demo's are kept
        store.replace_sightings("old", CAMERAS, "net-1", [tracklet(1, unit_vectors(0, 1, 16)[0])])
        again = Deployment.read(Path())
        tracking, chosen = TrackingSettings.from_params("tracking"), again.settings
        work = SegmentWork.load(store, again.open_engines, tracking, chosen.ingest, chosen.retention)
        work.remove_old(timestamp=0)
        assert len(in_transaction(store, queries.tracklets, [("old", 1)])) == 1  # today it was done already


def test_a_worker_needs_a_longer_silence_than_its_heartbeats(deployment: Path) -> None:
    with pytest.raises(InputError, match="dead_after_s must be longer than heartbeat_s"):
        worker.main(["serving.ingest.dead_after_s=0.5"])


@pytest.mark.parametrize("pattern", ["(", "(?P<camera>"])
def test_a_file_name_must_be_a_pattern(deployment: Path, pattern: str) -> None:
    with pytest.raises(InputError, match=r"serving\.ingest\.file_name: .*must be a regular expression"):
        worker.main([f"serving.ingest.file_name={pattern}"])


def test_a_recording_that_runs_into_the_future_by_a_clock_that_was_set_back_fails(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=1)), "--district", "demo"])
    with open_store(Path("store")) as store:
        monkeypatch.setattr(recordings, "_LEAD", START - datetime.now(UTC))  # as if it were that day
        worker.main(["--until-empty"])
        assert segment_states(store) == {"c1.mp4": "failed"}
        assert "the time of each frame of" in str(column(store, "error")["c1.mp4"])


def statuses(store: Store) -> Sequence[str]:
    with store.begin() as connection:
        return connection.execute(sa.text("SELECT status::text FROM jobs.procrastinate_jobs")).scalars().all()


def test_a_file_that_was_replaced_after_it_was_registered_fails_and_can_be_registered_again(
    deployment: Path, tmp_path: Path
) -> None:
    district = write_district(tmp_path / "demo", num_cameras=2)
    ingest.main([str(district), "--district", "demo"])
    write_recording(district / "videos" / "c1.mp4", [BLUE], seed=9)
    worker.main(["--until-empty"])
    with open_store(Path("store")) as store:
        assert segment_states(store) == {"c1.mp4": "failed", "c2.mp4": "done"}
        assert "c1.mp4 must be the file that was registered: its sha256" in str(column(store, "error")["c1.mp4"])
        with store.begin() as connection:
            cameras = connection.execute(sa.select(tables.tracklets.c.camera_id)).scalars()
            assert set(cameras) == {"c2"}
    ingest.main([str(district), "--district", "demo"])
    worker.main(["--until-empty"])
    with open_store(Path("store")) as store, store.begin() as connection:
        states = connection.execute(sa.select(tables.segments.c.state).order_by(tables.segments.c.id)).scalars().all()
    assert states == ["done", "done"]
