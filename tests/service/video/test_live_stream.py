import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import psutil
import pytest

from domain.errors import InputError
from domain.videos import NO_SETTINGS, VideoLimits
from serving.video.live_stream import ConnectionSettings, Gap, LiveFrame, LiveStream, _Clock
from tests.helpers.rtsp import FPS, FalseCamera, Line, Server, free_port, require_server, until
from tests.helpers.walkers import HEIGHT, WIDTH, Walker

SECRET = "s3cr-t"
QUICK = ConnectionSettings(silence_s=2, first_pause_s=0.05, max_pause_s=0.4)
WALKERS = (Walker("red", 20, 40),)


class Watched:
    """A live stream whose frames and gaps a thread of its own takes, in one list and in order."""

    def __init__(
        self,
        address: str,
        settings: ConnectionSettings = QUICK,
        *,
        wait_s: float = 0,
        limits: VideoLimits = NO_SETTINGS,
    ) -> None:
        self.events: list[LiveFrame | Gap] = []
        self.stream = LiveStream("gate", address, settings, self.events.append, limits=limits)
        self._wait_s = wait_s
        self.thread = threading.Thread(target=self._take)
        self.thread.start()

    def _take(self) -> None:
        for frame in self.stream:
            self.events.append(frame)
            time.sleep(self._wait_s)

    @property
    def frames(self) -> list[LiveFrame]:
        return [event for event in self.events if isinstance(event, LiveFrame)]

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.events if isinstance(event, Gap)]

    def has_frame(self) -> bool:
        return bool(self.frames)

    def gap_is_open(self) -> bool:
        return bool(self.gaps) and self.gaps[-1].until is None

    def gap_is_closed(self) -> bool:
        return bool(self.gaps) and self.gaps[-1].until is not None and isinstance(self.events[-1], LiveFrame)


@pytest.fixture
def watch() -> Iterator[type[Watched]]:
    watched = []

    class Stopped(Watched):
        def __init__(self, *arguments: object, **more: object) -> None:
            super().__init__(*arguments, **more)
            watched.append(self)

    yield Stopped
    for one in watched:
        one.stream.stop()
        one.thread.join(2)
        assert not one.thread.is_alive()


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that no test kills."""
    require_server()
    server = Server(tmp_path_factory.mktemp("street") / "pictures", WALKERS).start()
    yield server
    server.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, not yet started."""
    require_server()
    server = Server(tmp_path / "pictures", WALKERS)
    yield server
    server.kill()


@pytest.fixture
def line(street: Server) -> Iterator[Line]:
    line = Line(street.port)
    yield line
    line.close()


def now() -> datetime:
    return datetime.now(UTC)


def require_true_bounds(watched: Watched) -> None:
    """A gap is reported when it begins and when it ends, from the frame before it to the frame after it."""
    for i, event in enumerate(watched.events):
        if isinstance(event, Gap) and event.until is not None:
            before, opened, after = watched.events[i - 2], watched.events[i - 1], watched.events[i + 1]
            assert (opened.since, opened.until, opened.reason) == (event.since, None, event.reason)
            assert before.time <= event.since < event.until <= after.time
            assert event.since - before.time < timedelta(seconds=1)
            assert after.time - event.until < timedelta(seconds=1)


def test_wide_pixels_of_a_camera_become_square(
    server: Server, watch: type[Watched], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RTSP_PIXEL_ASPECT", "16/15")
    watched = watch(server.start().address())
    until(watched.has_frame)
    assert watched.frames[0].image.shape == (HEIGHT, round(WIDTH * 16 / 15), 3)
    assert "camera gate: frames are pixels of 16:15 made square" in caplog.text


def test_frames_are_rgb_numbered_and_dated(street: Server, watch: type[Watched]) -> None:
    began = now()
    watched = watch(street.address())
    until(lambda: len(watched.frames) > FPS)
    frames = watched.frames
    assert {frame.image.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    red, green, _ = frames[-1].image[60].astype(int).max(axis=0)
    assert red > green + 60
    assert all(one.number < other.number and one.time < other.time for one, other in pairwise(frames))
    assert began < frames[0].time < frames[-1].time < now()
    spacing = (frames[-1].time - frames[-6].time) / (frames[-1].number - frames[-6].number)
    assert spacing.total_seconds() == pytest.approx(1 / FPS, rel=0.2)
    assert not watched.gaps
    assert watched.stream.seconds_since_frame < 1


def test_pictures_that_are_too_large_are_refused(street: Server, watch: type[Watched]) -> None:
    watched = watch(street.address(), limits=VideoLimits(max_pixels=WIDTH * HEIGHT - 1))
    until(watched.gap_is_open)
    assert f"camera gate must have frames of at most {WIDTH * HEIGHT - 1} pixels" in watched.gaps[0].reason
    assert not watched.frames


def test_every_second_frame_only(street: Server) -> None:
    with LiveStream("gate", street.address(), QUICK, print, stride=2) as stream:
        numbers = [frame.number for frame, _ in zip(stream, range(6), strict=False)]
    assert all(number % 2 for number in numbers)


@pytest.mark.slow
def test_a_killed_server_leaves_a_gap_and_what_it_shows_then_is_seen(server: Server, watch: type[Watched]) -> None:
    watched = watch(server.start().address())
    until(watched.has_frame)
    killed = now()
    server.kill()
    until(watched.gap_is_open)
    assert watched.stream.is_in_gap
    server.show([Walker("green", 20, 40)], scale=2)
    server.start()
    restarted = now()
    until(watched.gap_is_closed)
    assert not watched.stream.is_in_gap
    gap = watched.gaps[-1]
    assert gap.reason == "the stream ended"
    assert abs(gap.since - killed) < timedelta(seconds=1)
    assert restarted < gap.until < now()
    assert len(watched.gaps) == 2
    require_true_bounds(watched)
    after = watched.frames[-1]
    assert after.image.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert after.image[..., 1].max() > 200


@pytest.mark.slow
def test_a_stopped_server_leaves_a_gap(server: Server, watch: type[Watched]) -> None:
    watched = watch(server.start().address())
    until(watched.has_frame)
    stopped = now()
    server.send_signal(signal.SIGSTOP)
    until(watched.gap_is_open)
    assert now() - stopped > timedelta(seconds=QUICK.silence_s - 0.5)
    server.send_signal(signal.SIGCONT)
    continued = now()
    until(watched.gap_is_closed)
    assert abs(watched.gaps[0].since - stopped) < timedelta(seconds=1)
    assert watched.gaps[-1].until > continued
    require_true_bounds(watched)


@pytest.mark.slow
def test_forced_cuts_grow_neither_memory_nor_threads(line: Line, street: Server, watch: type[Watched]) -> None:
    watched = watch(street.address(port=line.port))

    def seen_more(than: int) -> bool:
        return watched.stream.num_frames > than

    def cut(times: int) -> None:
        for _ in range(times):
            seen = watched.stream.num_frames
            until(partial(seen_more, seen))
            line.cut()
            until(watched.gap_is_open)
            until(watched.gap_is_closed)
            del watched.events[:-4]

    cut(5)  # what FFmpeg allocates once
    process = psutil.Process()
    memory, threads = process.memory_info().rss, threading.active_count()
    cut(30)
    assert watched.stream.num_reconnects >= 35
    assert process.memory_info().rss - memory < 8e6
    assert threading.active_count() <= threads + 2  # of the line, still closing
    require_true_bounds(watched)


@pytest.mark.slow
def test_garbage_is_survived(line: Line, street: Server, watch: type[Watched]) -> None:
    watched = watch(street.address(port=line.port))
    until(watched.has_frame)
    line.noise = 0.3
    time.sleep(3)
    line.noise = 0
    seen = watched.stream.num_frames
    until(lambda: watched.stream.num_frames > seen + FPS)
    assert not watched.stream.is_in_gap
    require_true_bounds(watched)


@pytest.mark.slow
def test_a_line_that_swallows_everything_is_noticed(line: Line, street: Server, watch: type[Watched]) -> None:
    watched = watch(street.address(port=line.port))
    until(watched.has_frame)
    line.is_silent = True
    until(watched.gap_is_open)
    assert watched.gaps[-1].reason == "the camera sent no decodable picture"
    line.is_silent = False
    until(watched.gap_is_closed)


def test_a_server_that_accepts_and_says_nothing_is_noticed(watch: type[Watched]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = now()
        settings = QUICK.model_copy(update={"silence_s": 0.5})
        watched = watch(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/street", settings)
        until(watched.gap_is_open)
        assert watched.gaps[0].reason == "the camera sent no decodable picture"
        assert began <= watched.gaps[0].since < began + timedelta(seconds=0.3)
        until(lambda: watched.stream.num_reconnects > 1)
        assert len(watched.gaps) == 1


def test_a_camera_with_sound_only_is_a_gap(street: Server, watch: type[Watched]) -> None:
    watched = watch(street.address().replace("/street", "/sound"))
    until(lambda: watched.stream.num_reconnects > 1)
    assert watched.gaps[0].until is None
    assert not watched.frames


@pytest.mark.parametrize(
    "media",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00\xff\xfe" * 200, id="noise"),
        pytest.param(b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 X-NONE/90000\r\na=control:1\r\n", id="unknown codec"),
        pytest.param(
            b"s=\xff\xfe\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:1\r\n", id="no Unicode"
        ),
        pytest.param(b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 JPEG/90000\r\na=control:1\r\n", id="random pictures"),
    ],
)
def test_a_camera_that_describes_itself_strangely_is_a_gap(media: bytes, watch: type[Watched]) -> None:
    camera = FalseCamera(media)
    watched = watch(camera.address)
    until(lambda: watched.stream.num_reconnects > 1)
    camera.close()
    assert watched.gaps[0].until is None
    assert not watched.frames


def test_stopping_does_not_wait_for_a_silent_server(watch: type[Watched]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        watched = watch(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/street", QUICK)
        time.sleep(0.2)
        began = time.monotonic()
        watched.stream.stop()
        watched.thread.join()
        assert time.monotonic() - began < 0.5


@pytest.mark.slow
def test_a_wrong_password_is_named_and_none_is_shown(
    server: Server, watch: type[Watched], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    server.login = ("viewer", SECRET)
    server.start()
    with caplog.at_level(logging.DEBUG):
        patient = QUICK.model_copy(update={"max_pause_s": 30})
        wrong = watch(server.address(login=f"viewer:not-{SECRET}"), patient)
        right = watch(server.address(login=f"viewer:{SECRET}"))
        until(wrong.gap_is_open)
        until(right.has_frame)
        time.sleep(0.5)
    assert wrong.stream.num_reconnects == 1  # cameras lock accounts that fail often
    assert "401" in wrong.gaps[0].reason
    assert not wrong.frames
    assert not right.gaps
    shown = caplog.text + "".join(capfd.readouterr()) + repr([*wrong.gaps, *threading.enumerate()])
    assert "camera gate: server returned 401" in shown
    assert SECRET not in shown


def test_pauses_grow_up_to_the_longest(watch: type[Watched]) -> None:
    patient = ConnectionSettings(silence_s=2, first_pause_s=0.1, max_pause_s=0.8)
    watched = watch(f"rtsp://127.0.0.1:{free_port()}/street", patient)
    time.sleep(2.5)
    # pauses of 0.1, 0.2, 0.4, 0.8, 0.8 … s, or down to half of each; if they did not grow, 25 or more would fit
    assert 5 <= watched.stream.num_reconnects <= 10
    assert watched.gaps == [Gap(watched.gaps[0].since, None, "connection refused")]


@pytest.mark.slow
def test_a_slow_consumer_gets_the_newest_frame(street: Server, watch: type[Watched]) -> None:
    watched = watch(street.address(), wait_s=0.75)
    until(lambda: len(watched.frames) == 4)
    assert now() - watched.frames[-1].time < timedelta(seconds=1)  # the oldest would be 3 × 0.75 s old
    assert watched.stream.num_dropped >= 3 * 5
    assert watched.stream.num_frames - watched.stream.num_dropped - len(watched.frames) <= 1


@pytest.mark.slow
def test_a_slow_consumer_that_takes_its_time_at_random_gets_frames_at_even_distances(street: Server) -> None:
    waits_s = np.random.default_rng(0).uniform(0.05, 0.45, 60)  # the newest frame would be one to five later
    with LiveStream("gate", street.address(), QUICK, print) as stream:
        numbers = []
        for frame, wait_s in zip(stream, waits_s, strict=False):
            numbers.append(frame.number)
            time.sleep(wait_s)
    apart = np.diff(numbers)[len(numbers) // 2 :]
    assert np.mean(np.abs(apart - np.median(apart)) <= 1) >= 0.85


@pytest.mark.parametrize(("stride", "cuts"), [(1, 1), (1, 2), (5, 1), (5, 2)])
def test_a_gap_that_ends_before_the_consumer_reads_is_reported_whole(
    line: Line, street: Server, stride: int, cuts: int
) -> None:
    events: list[LiveFrame | Gap] = []
    with LiveStream("gate", street.address(port=line.port), QUICK, events.append, stride) as stream:
        frames = iter(stream)
        events.append(next(frames))
        until(lambda: stream.num_frames > stride)  # one waits
        for cut in range(1, cuts + 1):
            line.cut()
            until(partial(lambda stream, cut: stream.num_reconnects == cut, stream, cut))
            seen = stream.num_frames
            until(partial(lambda stream, seen: stream.num_frames > seen, stream, seen))
        events.append(next(frames))
    before, opened, closed, after = events
    assert (opened.since, opened.until) == (closed.since, None)
    assert before.time <= closed.since < closed.until <= after.time


def test_a_decoder_that_hangs_in_c_is_noticed_and_the_process_ends() -> None:
    program = """
import ctypes, socket, threading, av
from serving.video.live_stream import ConnectionSettings, LiveStream
av.open = lambda *_, **__: ctypes.CDLL(None).pause()  # for ever, outside of Python
settings = ConnectionSettings(silence_s=0.1, first_pause_s=0.1, max_pause_s=0.1)
camera = socket.create_server(("127.0.0.1", 0))
address = f"rtsp://127.0.0.1:{camera.getsockname()[1]}/street"
stream = LiveStream("gate", address, settings, lambda gap: (print(gap.reason), stream.stop()))
for frame in stream:
    pass
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the decoder hangs\n", "")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_the_decoding_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "open", lambda *_, **__: 1 / 0)
    settings = QUICK.model_copy(update={"silence_s": 0.1})
    with socket.create_server(("127.0.0.1", 0)) as camera:
        stream = LiveStream("gate", f"rtsp://127.0.0.1:{camera.getsockname()[1]}/street", settings, print)
        with pytest.raises(RuntimeError, match="the decoding thread of camera gate must not end before stop"):
            next(iter(stream))


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(f"http://viewer:{SECRET}@camera/", id="other scheme"),
        pytest.param(f"rtsp://viewer:{SECRET}", id="password where the port should be"),
        pytest.param(f"rtsp://viewer:{SECRET}@/street", id="no host"),
        pytest.param(f"rtsp://viewer:{SECRET}@[camera/street", id="half an IPv6 address"),
        pytest.param("street.mp4", id="a file"),
        pytest.param(f"rtsp://viewer:{SECRET}#1@camera/street", id="a # in the password"),
        pytest.param(f"rtsp://viewer:12/{SECRET}@camera/street", id="a / in the password"),
        pytest.param(f"rtsp://viewer:12?{SECRET}@camera/street", id="a ? in the password"),
    ],
)
def test_what_is_no_address_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(InputError, match="the address of camera gate must look like rtsp://") as caught:
        LiveStream("gate", address, QUICK, print)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


class TestClock:
    def test_the_camera_tells_the_intervals(self) -> None:
        clock = _Clock(10)
        first = clock.time_of(SimpleNamespace(time=500.0))
        time.sleep(0.03)
        assert clock.time_of(SimpleNamespace(time=500.01)) - first == timedelta(seconds=0.01)

    @pytest.mark.parametrize("jump_s", [7200.0, -7200.0, 0.5])
    def test_a_camera_whose_clock_jumps_is_dated_anew(self, jump_s: float) -> None:
        clock = _Clock(10)
        clock.time_of(SimpleNamespace(time=8000.0))
        dated = clock.time_of(SimpleNamespace(time=8000.0 + jump_s))
        assert abs(now() - dated) < timedelta(seconds=0.1)

    def test_a_late_picture_keeps_its_time(self) -> None:
        clock = _Clock(10)
        clock.time_of(SimpleNamespace(time=8000.0))
        late = clock.time_of(SimpleNamespace(time=7995.0))
        assert timedelta(seconds=4.9) < now() - late < timedelta(seconds=5.1)

    def test_without_a_time_it_is_now(self) -> None:
        assert abs(now() - _Clock(10).time_of(SimpleNamespace(time=None))) < timedelta(seconds=0.1)
