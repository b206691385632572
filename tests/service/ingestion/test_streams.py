import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
import sqlalchemy as sa
import yaml

from domain.errors import InputError
from domain.tracklets import Tracklet
from serving.database import tables
from serving.database.store import Store, open_store
from serving.ingestion.following import TrackingSettings
from serving.ingestion.live_following import LiveFollower
from serving.ingestion.outbox import LiveSegment, LiveSightings, Outbox
from serving.ingestion.settings import StreamsSettings
from serving.ingestion.stream_metrics import serve_metrics
from serving.streams import StreamsFile, follow_streams, main, read_streams
from serving.video.live_stream import ConnectionSettings, Gap, LiveFrame
from tests.helpers.deployments import write_deployment
from tests.helpers.project import ROOT
from tests.helpers.rtsp import FPS, Line, Server, free_port, require_server, until
from tests.helpers.sightings import CAMERAS, NOON
from tests.helpers.walkers import ColourDetector, Walker, perception, picture, settings

SECRET = "s3cr%t@"
WALKERS = (Walker("red", 20, 40), Walker("blue", 280, -40, top=10))
CONNECTION = ConnectionSettings(silence_s=2, first_pause_s=0.1, max_pause_s=0.4)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("streams") / "store"
    with open_store(folder) as store:
        yield store
    server = folder / "postgres" / "postmaster.pid"
    if server.exists():  # a process that was killed is still counted as one that needs it
        os.kill(int(server.read_text().splitlines()[0]), signal.SIGINT)


@pytest.fixture
def store(database: Store) -> Store:
    """With three cameras that nobody has followed yet."""
    database.replace_sightings("demo", CAMERAS, "m", [])
    return database


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    require_server()
    server = Server(tmp_path / "pictures", WALKERS).start()
    yield server
    server.kill()


def rows(store: Store, table: sa.Table, camera_id: str) -> Sequence[sa.Row[tuple[object, ...]]]:
    order = table.c.since if table is tables.gaps else table.c.start if table is tables.segments else table.c.first_seen
    with store.begin() as connection:
        return connection.execute(sa.select(table).where(table.c.camera_id == camera_id).order_by(order)).all()


def done(store: Store, camera_id: str) -> list[sa.Row[tuple[object, ...]]]:
    return [one for one in rows(store, tables.segments, camera_id) if one.state == "done"]


def require_whole(store: Store, camera_id: str) -> None:
    """From its first segment on, every moment of a camera is in a segment or in a gap, and in one only."""
    spans = [(one.start, one.end) for one in done(store, camera_id)]
    spans += [(one.since, one.until) for one in rows(store, tables.gaps, camera_id)]
    spans.sort()
    assert all(start <= end for start, end in spans)
    for (_, end), (start, _) in pairwise(spans):
        assert start == end


def now() -> datetime:
    return datetime.now(UTC)


class Kept(Outbox):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.notes: list[object] = []
        self._ended: list[Tracklet] = []  # sightings of the segment that goes on

    def put(self, entry: LiveSightings | LiveSegment) -> None:
        self._ended += entry.tracklets
        if isinstance(entry, LiveSegment):
            self.notes.append(replace(entry, tracklets=self._ended))
            self._ended = []

    def begin_gap(self, camera_id: str, since: datetime, reason: str) -> None:
        self.notes.append(Gap(since, None, reason))

    def end_gap(self, camera_id: str, until: datetime) -> None:
        self.notes.append(until)

    @property
    def segments(self) -> list[LiveSegment]:
        return [note for note in self.notes if isinstance(note, LiveSegment)]


class TestFollower:
    def see(self, follower: LiveFollower, times_s: Sequence[float], scale: int = 1) -> None:
        for time_s in times_s:
            image = np.kron(picture(WALKERS, time_s), np.ones((scale, scale, 1), np.uint8))
            follower.process(LiveFrame(round(time_s * FPS) + 1, NOON + timedelta(seconds=time_s), image))

    @pytest.fixture
    def kept(self) -> Kept:
        return Kept()

    @pytest.fixture
    def follower(self, kept: Kept) -> LiveFollower:
        return LiveFollower("cam0", perception(), settings(), kept, segment_s=2)

    def test_a_segment_ends_in_time_and_everybody_in_it_with_it(self, kept: Kept, follower: LiveFollower) -> None:
        self.see(follower, np.arange(0, 5, 0.1))
        follower.close()
        spans = [((one.start - NOON).total_seconds(), (one.end - NOON).total_seconds()) for one in kept.segments]
        assert spans == [(0, pytest.approx(2)), (pytest.approx(2), pytest.approx(4)), (pytest.approx(4), 4.9)]
        for one in kept.segments:
            assert one.damage is None
            assert {tracklet.id for tracklet in one.tracklets} == {1, 2}
            assert {tracklet.first_frame for tracklet in one.tracklets} == {1}
            assert all(one.start <= person.first_seen < person.last_seen <= one.end for person in one.tracklets)
            colours = {
                max(person.attributes["upper_colour"].items(), key=lambda item: item[1])[0] for person in one.tracklets
            }
            assert colours == {"red", "blue"}
            assert all(len(person.crops) == 1 for person in one.tracklets)

    def test_a_gap_ends_the_segment_where_it_begins(self, kept: Kept, follower: LiveFollower) -> None:
        self.see(follower, np.arange(0, 1, 0.1))
        gap = Gap(NOON + timedelta(seconds=1), None, "the stream ended")
        follower.record_gap(gap)
        follower.record_gap(Gap(gap.since, NOON + timedelta(seconds=9), gap.reason))
        self.see(follower, np.arange(9.5, 10, 0.1))
        first, segment, begun, ended = kept.notes
        assert first == NOON
        assert isinstance(segment, LiveSegment)
        assert (segment.end, segment.frames) == (gap.since, 10)
        assert begun == gap
        assert ended == NOON + timedelta(seconds=9.5)

    def test_pictures_of_another_size_begin_a_segment(self, kept: Kept, follower: LiveFollower) -> None:
        self.see(follower, np.arange(0, 1, 0.1))
        self.see(follower, np.arange(1, 2, 0.1), scale=2)
        follower.close()
        assert [one.frames for one in kept.segments] == [10, 10]

    def test_skipped_frames_are_counted(self, kept: Kept, follower: LiveFollower) -> None:
        self.see(follower, [0, 0.1, 0.5, 0.9])
        follower.close()
        assert kept.segments[0].damage == "6 of 10 frames were skipped, because processing is slower than the camera"

    def test_a_motion_gate_asks_the_detector_only_where_something_moves(self, kept: Kept) -> None:
        standing, detector = Walker("red", 20, 0), ColourDetector()
        content = settings().model_dump()
        content["motion_gate"] |= {"enabled": True, "longest_skip_s": 0.5}
        chosen = TrackingSettings.model_validate(content)
        follower = LiveFollower("cam0", perception(detector), chosen, kept, segment_s=2)
        for time_s in np.arange(0, 4, 0.1):
            moment = NOON + timedelta(seconds=time_s)
            follower.process(LiveFrame(round(time_s * FPS) + 1, moment, picture([standing], time_s)))
        follower.close()
        assert sum(detector.batches) == 8  # every half second; of forty frames
        assert [(one.frames, one.damage, len(one.tracklets)) for one in kept.segments] == [(20, None, 1)] * 2
        assert [one.tracklets[0].last_frame for one in kept.segments] == [20, 20]

    def test_a_lost_segment_is_a_gap(self, kept: Kept, follower: LiveFollower) -> None:
        self.see(follower, [0, 0.1])
        follower.discard_segment("a bug")
        follower.discard_segment("a bug")
        assert kept.notes == [NOON, Gap(NOON, None, "a bug")]


class TestFile:
    def write(self, folder: Path, text: str) -> Path:
        file = folder / "cameras.yaml"
        file.write_text(text)
        return file

    def test_variables_are_put_in_as_addresses_need_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATE_PASSWORD", "a b@c/$")
        text = "district: demo\ncameras:\n  cam0: rtsp://viewer:${GATE_PASSWORD}@gate:554/live\n"
        cameras = read_streams(self.write(tmp_path, text)).cameras
        assert cameras == {"cam0": "rtsp://viewer:a%20b%40c%2F%24@gate:554/live"}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            pytest.param("cameras: {c: 'rtsp://v:s3cret@h/'}", "must have district", id="no district"),
            pytest.param("district: d\ncameras: {c: ['rtsp://v:s3cret@h/']}", "1 entries are invalid", id="a list"),
            pytest.param("district: d\ncameras: {c: 'rtsp://v:s3cret@h/", "it is not YAML", id="half a line"),
            pytest.param("district: d\ncameras: {}", "must list at least one camera", id="no camera"),
            pytest.param("district: d\ncameras: {c: 'rtsp://v:s3cret@'}", "camera c must look like", id="no host"),
            pytest.param(
                "district: d\ncameras: {c: 'rtsp://v:${NO}s3cret@h/'}",
                "variable NO in the address of camera c must be set",
                id="not set",
            ),
        ],
    )
    def test_what_is_wrong_is_said_without_the_address(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(InputError, match=message) as caught:
            read_streams(self.write(tmp_path, text))
        assert "s3cret" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"the file of live cameras .*none\.yaml must be readable: No such"):
            read_streams(tmp_path / "none.yaml")


class Following:
    """`follow_streams` in a thread."""

    def __init__(self, store: Store, cameras: dict[str, str], engines: object = None, **more: object) -> None:
        values: dict[str, object] = {
            "file": None,
            "connection": CONNECTION,
            "shared": False,
            "segment_s": 1.5,
            "max_waiting_bytes": 10**7,
        }
        values |= {"max_lost_s": 6, "max_tracklet_s": 60, "ring": {"hours": 0, "gigabytes": 1, "piece_s": 4}}
        chosen = StreamsSettings.model_validate({**values, "metrics_host": "127.0.0.1", "metrics_port": None, **more})
        self.stopping = threading.Event()
        self._outbox = Outbox(store, "demo", "m", chosen.max_waiting_bytes)
        file = StreamsFile(district="demo", cameras=cameras)
        arguments = (file, engines or perception(), self._outbox, chosen, settings(), self.stopping)
        self._thread = threading.Thread(target=follow_streams, args=arguments)
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self._thread.join(5)
        assert not self._thread.is_alive()
        assert self._outbox.close(5) == 0


@pytest.mark.slow
def test_cameras_are_followed_through_cuts_and_whoever_is_down_harms_no_other(store: Store, server: Server) -> None:
    line, port = Line(server.port), free_port()
    cameras = {
        "cam0": server.address(),
        "cam1": server.address(port=line.port),
        "cam2": f"rtsp://127.0.0.1:{free_port()}/street",
    }
    following = Following(store, cameras, metrics_port=port)
    try:
        until(lambda: rows(store, tables.tracklets, "cam0") and rows(store, tables.tracklets, "cam1"))
        line.is_silent = True
        cut = now()
        until(lambda: any(gap.until is None for gap in rows(store, tables.gaps, "cam1")))  # a busy machine makes others
        figures = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        line.is_silent = False
        line.cut()
        mended = now()
        until(lambda: rows(store, tables.gaps, "cam1")[-1].until)
        until(lambda: rows(store, tables.tracklets, "cam1")[-1].first_seen > mended)
    finally:
        following.stop()
        line.close()
    assert 'dongseon_stream_gap_open{camera="cam1",district="demo"} 1.0' in figures
    assert 'dongseon_stream_gap_open{camera="cam0",district="demo"} 0.0' in figures
    assert 'dongseon_stream_frames_total{camera="cam2",district="demo"} 0.0' in figures
    assert 'dongseon_stream_dropped_frames_total{camera="cam0"' in figures
    assert 'dongseon_stream_reconnects_total{camera="cam2"' in figures
    assert 'dongseon_stream_seconds_since_frame{camera="cam2"' in figures

    assert not rows(store, tables.gaps, "cam0")
    [gap] = [gap for gap in rows(store, tables.gaps, "cam1") if abs(gap.since - cut) < timedelta(seconds=1)]
    assert gap.until > mended
    [down] = rows(store, tables.gaps, "cam2")
    assert (down.reason, down.until) == ("connection refused", None)
    for camera_id in ("cam0", "cam1"):
        require_whole(store, camera_id)
        assert {one.source for one in rows(store, tables.segments, camera_id)} == {f"stream {camera_id}"}
        for person in rows(store, tables.tracklets, camera_id):
            assert store.crops.read(person.crop)


@pytest.mark.slow
def test_a_bug_in_one_camera_is_a_gap_and_the_camera_is_taken_up_again(
    store: Store, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    class Stumbling:
        """The coloured boxes' perception; its thirtieth picture is one too many."""

        def __init__(self) -> None:
            self._perception, self._calls = perception(), 0

        def __getattr__(self, name: str) -> object:
            return getattr(self._perception, name)

        def detect(self, images: Sequence[np.ndarray]) -> object:
            self._calls += 1
            if self._calls == 30:
                raise ZeroDivisionError("the thirtieth")
            return self._perception.detect(images)

    following = Following(store, {"cam0": server.address()}, Stumbling())
    try:
        until(lambda: rows(store, tables.gaps, "cam0") and rows(store, tables.gaps, "cam0")[0].until)
        mended = rows(store, tables.gaps, "cam0")[0].until
        until(lambda: rows(store, tables.tracklets, "cam0")[-1].first_seen > mended)
    finally:
        following.stop()
    [gap] = rows(store, tables.gaps, "cam0")
    assert gap.reason == "an internal error; the log has its traceback"
    assert "ZeroDivisionError: the thirtieth" in caplog.text
    require_whole(store, "cam0")


def test_a_camera_that_the_store_does_not_know_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Store
) -> None:
    write_deployment(tmp_path)
    (tmp_path / "cameras.yaml").write_text("district: demo\ncameras: {gate: 'rtsp://127.0.0.1/street'}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DONGSEON_STORE", str(database.folder))
    with pytest.raises(InputError, match=r"of the district demo in the store \(.*\), got gate; add them by"):
        main(["serving.streams.file=cameras.yaml"])
    with pytest.raises(InputError, match=r"serving\.streams\.file must name the file of live cameras, got none"):
        main([])


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            InputError, match=rf"serving\.streams\.metrics_port must be free, got {port} at 127\.0\.0\.1: Address"
        ):
            serve_metrics("demo", {}, "127.0.0.1", port)


def test_metrics_are_answered_at_the_address_of_the_setting_alone() -> None:
    port = free_port()
    serve_metrics("demo", {}, "127.0.0.2", port)
    with urllib.request.urlopen(f"http://127.0.0.2:{port}/metrics", timeout=10) as answer:
        assert b"dongseon_stream_frames" in answer.read()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_many_half_requests_for_metrics_take_nothing_from_the_cameras() -> None:
    port, threads = free_port(), threading.active_count()
    serve_metrics("demo", {}, "127.0.0.1", port)
    with ExitStack() as opened:
        for _ in range(100):
            peer = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            peer.sendall(b"GET /metrics HTTP/1.1\r\n")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:  # after all of them
            assert b"dongseon_stream_frames" in answer.read()
        assert threading.active_count() - threads < 25


@pytest.mark.slow
def test_the_command_survives_kill_and_cuts_in_the_same_memory_and_ends_well_on_sigterm(
    tmp_path: Path, store: Store, server: Server
) -> None:
    server.kill()
    server.login = ("viewer", SECRET)
    server.start()
    line = Line(server.port)
    write_deployment(tmp_path)
    address = server.address(login="viewer:${GATE_PASSWORD}", port=line.port)
    (tmp_path / "cameras.yaml").write_text(yaml.safe_dump({"district": "demo", "cameras": {"cam0": address}}))
    log = (tmp_path / "log").open("w+")

    def start() -> subprocess.Popen[bytes]:
        streams = ("file=cameras.yaml", "segment_s=0.5", "connection.first_pause_s=0.1")
        command = [sys.executable, "-m", "serving.streams", *(f"serving.streams.{one}" for one in streams)]
        here = {"PYTHONPATH": str(ROOT), "GATE_PASSWORD": SECRET, "DONGSEON_STORE": str(store.folder)}
        return subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **here}, stdout=log, stderr=log)

    def is_seen_again() -> bool:
        *_, last = rows(store, tables.gaps, "cam0")
        return last.until is not None and any(one.start >= last.until for one in done(store, "cam0"))

    def cut(times: int) -> None:
        for _ in range(times):
            until(is_seen_again)  # else there is nothing to cut
            gaps = len(rows(store, tables.gaps, "cam0"))
            line.cut()
            until(partial(lambda gaps: len(rows(store, tables.gaps, "cam0")) > gaps, gaps))
        until(is_seen_again)

    process = start()
    try:
        until(lambda: rows(store, tables.tracklets, "cam0"), 60)
        process.kill()
        process.wait()
        killed = now()
        process = start()
        until(lambda: rows(store, tables.tracklets, "cam0")[-1].first_seen > killed, 60)
        cut(1)  # what is allocated once
        figures = psutil.Process(process.pid)
        memory, threads = figures.memory_info().rss, figures.num_threads()
        cut(5)
        grown = figures.memory_info().rss - memory
        assert figures.num_threads() <= threads + 1  # one that is still ending
        process.terminate()
        stopped = now()
        assert process.wait(20) == 0
    finally:
        process.kill()
        line.close()
    assert grown < 3e6
    gap, *cuts = rows(store, tables.gaps, "cam0")
    assert gap.reason == "not running"
    began = min(one.start for one in rows(store, tables.segments, "cam0"))  # the first of them may be that which failed
    assert gap.since == max((one.end for one in done(store, "cam0") if one.end < killed), default=began)
    assert gap.since < killed < gap.until
    assert len(cuts) >= 6
    require_whole(store, "cam0")
    assert {one.state for one in rows(store, tables.segments, "cam0")} <= {"done", "failed"}  # killed while storing one
    *_, last = done(store, "cam0")
    assert abs(last.end - stopped) < timedelta(seconds=3)
    log.seek(0)
    everything = log.read() + str([rows(store, table, "cam0") for table in (tables.segments, tables.gaps)])
    assert "viewer" not in everything
    assert SECRET not in everything


@pytest.mark.slow
def test_a_process_takes_over_the_cameras_of_one_that_was_killed_within_10_s(
    tmp_path: Path, store: Store, server: Server
) -> None:
    write_deployment(tmp_path)
    addresses = {camera.id: server.address() for camera in CAMERAS}
    (tmp_path / "cameras.yaml").write_text(yaml.safe_dump({"district": "demo", "cameras": addresses}))
    command = [sys.executable, "-m", "serving.streams", "serving.streams.file=cameras.yaml"]
    command += ["serving.streams.segment_s=0.5", "serving.streams.shared=true"]
    here = {"PYTHONPATH": str(ROOT), "DONGSEON_STORE": str(store.folder), "OMP_NUM_THREADS": "1"}
    logs = [tmp_path / "0.log", tmp_path / "1.log"]
    processes = []

    def followed_since(moment: datetime) -> set[str]:
        return {name for name in addresses if any(one.start > moment for one in done(store, name))}

    def followed_by(number: int) -> set[str]:
        text = logs[number].read_text()
        begun, left = (Counter(re.findall(rf"camera (\S+) is {event}", text)) for event in ("followed", "left"))
        return {*(begun - left)}

    try:
        for log, is_ready in zip(
            logs,
            (lambda: followed_by(0) == {*addresses}, lambda: len(followed_by(0)) == 2 and len(followed_by(1)) == 1),
            strict=True,
        ):
            with log.open("w") as file:
                processes.append(
                    subprocess.Popen(command, cwd=tmp_path, env=os.environ | here, stdout=file, stderr=file)
                )
            until(is_ready, 180)  # two processes start on a busy machine
        mine, shared = followed_by(0), now()
        assert mine | followed_by(1) == {*addresses}
        until(lambda: followed_since(shared) == {*addresses}, 60)
        processes[0].kill()
        killed = now()
        until(lambda: mine <= followed_since(killed), 60)
        taken_over = [min(one.start for one in done(store, name) if one.start > killed) for name in mine]
        processes[1].terminate()
        assert processes[1].wait(30) == 0
    finally:
        for process in processes:
            process.kill()
    assert max(taken_over) - killed < timedelta(seconds=10)
    for name in addresses:
        require_whole(store, name)  # nobody was followed twice
