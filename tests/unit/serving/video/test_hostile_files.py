"""What a file may do that calls itself a video: nothing but be one."""

import os
import socket
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest

from domain import video_probe
from domain.errors import InputError
from domain.files import sha256_of
from domain.videos import NO_SETTINGS, VideoLimits
from serving.video import files
from serving.video.files import VideoReader
from tests.helpers.hostile_videos import declaring, encoded, opened_names, playlists, referring, with_scans
from tests.helpers.stamped_videos import write_stamped

pytestmark = pytest.mark.slow

KINDS = tuple(playlists(Path("other.mp4")))


def read(file: Path, limits: VideoLimits = NO_SETTINGS) -> int:
    with VideoReader(file, limits=limits) as reader:
        return sum(1 for _ in reader)


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_file_opens_no_other_file_and_no_network(tmp_path: Path, kind: str) -> None:
    other, file = tmp_path / "other.mp4", tmp_path / "c1_20260512T184005.mp4"
    encoded(other)
    file.write_bytes(playlists(other)[kind])
    with (
        opened_names(tmp_path) as names,
        pytest.raises(InputError, match=r"c1_20260512T184005\.mp4 must be a video that PyAV can read"),
    ):
        read(file)
    assert names == {file.name}


def test_a_video_whose_samples_lie_elsewhere_opens_no_other_file(tmp_path: Path) -> None:
    other, file = tmp_path / "other.mp4", tmp_path / "a.mp4"
    file.write_bytes(referring(encoded(other), str(other)))
    with opened_names(tmp_path) as names, suppress(InputError):  # it has no frame of its own
        read(file)
    assert names == {file.name}


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi", "a.ts", "a.mpg", "a.flv", "a.h264"])
def test_what_cameras_and_recorders_write_is_read(tmp_path: Path, name: str) -> None:
    codec = {"a.mpg": "mpeg2video", "a.avi": "mjpeg"}.get(name, "libx264")
    encoded(tmp_path / name, frames=12, codec=codec)
    assert read(tmp_path / name) == 12


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_a_video_file_from_which_content_may_never_come_is_refused(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "c1.mp4"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file = Path("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(file))
    with pytest.raises(InputError, match="must be a video file; it"):
        read(file)


def test_frames_that_are_too_large_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    encoded(tmp_path / "a.mp4", (640, 480))
    with pytest.raises(InputError, match=r"a\.mp4 must have frames of at most 100000 pixels .*, got 640 × 480"):
        read(tmp_path / "a.mp4", VideoLimits(max_pixels=100_000))


def test_frames_that_grow_within_a_video_are_refused(tmp_path: Path) -> None:
    small, large = encoded(tmp_path / "small.h264"), encoded(tmp_path / "large.h264", (640, 480))
    (tmp_path / "a.h264").write_bytes(small + large)
    with pytest.raises(InputError, match=r"a\.h264 must have frames of at most 100000 pixels .*, got 640 × 480"):
        read(tmp_path / "a.h264", VideoLimits(max_pixels=100_000))


def test_a_video_that_declares_millions_of_frames_takes_neither_memory_nor_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.mp4"
    assert len(declaring(file, 20_000_000)) < 9000
    monkeypatch.setattr(video_probe, "_MAX_BYTES", 100_000_000)
    before = resident_bytes()
    with pytest.raises(InputError, match=r"a\.mp4 must be a video that opens with less than 100 MB of memory"):
        read(file)
    assert resident_bytes() - before < 50_000_000


def test_a_video_that_is_longer_than_the_limit_is_refused(tmp_path: Path) -> None:
    encoded(tmp_path / "a.mp4", frames=40)
    with pytest.raises(InputError, match=r"a\.mp4 must have at most 0\.001 hours .*, got more"):
        VideoReader(tmp_path / "a.mp4", limits=VideoLimits(max_hours=0.001))
    with pytest.raises(InputError, match=r"must have at most 0\.001 hours .* and 2 frames .*, got more than 7 frames"):
        VideoReader(tmp_path / "a.mp4", limits=VideoLimits(max_hours=0.001, max_fps=2))


def test_a_rate_is_measured_and_not_what_the_file_declares(tmp_path: Path) -> None:
    write_stamped(tmp_path / "thousand.mkv", [number / 30 for number in range(60)], declared_fps=1000)
    assert read(tmp_path / "thousand.mkv") == 60
    write_stamped(tmp_path / "slow.mkv", [number / 100 for number in range(300)], declared_fps=5)
    with pytest.raises(InputError, match=r"must have at most 50 frames a second .*, got 1\d\d in [12]\.\d+ s"):
        read(tmp_path / "slow.mkv", VideoLimits(max_fps=50))


def test_a_video_whose_frames_take_longer_to_decode_than_a_cameras_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded(tmp_path / "a.mp4", frames=40)
    assert read(tmp_path / "a.mp4") == 40
    for limit in ("_MOST_DECODING_S", "_MOST_DECODING_OF_VIDEO"):
        monkeypatch.setattr(files, limit, 0.0)
    with pytest.raises(InputError, match=r"a\.mp4 must be a video whose first \d+ frames are decoded within 0 s"):
        read(tmp_path / "a.mp4")


def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path: Path) -> None:
    with_scans(tmp_path / "few.mkv", 3)
    with_scans(tmp_path / "a.mkv", 200)
    assert read(tmp_path / "few.mkv") > 0
    with pytest.raises(InputError, match=r"a\.mkv must have pictures of at most 100 scans"):
        read(tmp_path / "a.mkv")


def test_the_process_that_looks_first_can_be_killed_and_comes_back(tmp_path: Path) -> None:
    encoded(tmp_path / "a.mp4")
    assert read(tmp_path / "a.mp4") == 5
    process = video_probe._probe._process
    assert process is not None
    process.kill()
    process.wait()
    assert read(tmp_path / "a.mp4") == 5


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def noise(file: Path, seed: int) -> str:
    """A video of several blocks; returns its checksum."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuvj420p"
        stream.options = {"q": "1", "qmin": "1", "qmax": "1"}
        pictures = np.random.default_rng(seed).integers(0, 256, (40, 240, 320, 3), np.uint8)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    assert file.stat().st_size > 3 << 20
    return sha256_of(file)


def test_the_video_that_is_looked_at_is_the_one_with_the_checksum(tmp_path: Path) -> None:
    file = tmp_path / "c1.avi"
    first, second = noise(file, 1), noise(tmp_path / "c2.avi", 2)
    with VideoReader(file, sha256=first) as reader:
        assert len(list(reader)) == 40
    (tmp_path / "c2.avi").replace(file)
    with pytest.raises(InputError, match=rf"must be the file that was registered: .* {first[:12]}, got {second[:12]}"):
        VideoReader(file, sha256=first)


def test_a_video_that_is_overwritten_while_it_is_looked_at_is_refused(tmp_path: Path) -> None:
    file, other = tmp_path / "c1.avi", tmp_path / "c2.avi"
    checksum = noise(file, 1)
    noise(other, 2)
    with VideoReader(file, sha256=checksum) as reader:
        frames = iter(reader)
        next(frames)
        with file.open("r+b") as content:
            content.write(other.read_bytes())
        with pytest.raises(InputError, match=r"c1\.avi must not change while it is processed; register it again"):
            list(frames)


def test_a_video_that_is_replaced_while_it_is_looked_at_stays_the_one_that_was_opened(tmp_path: Path) -> None:
    file, other = tmp_path / "c1.avi", tmp_path / "c2.avi"
    checksum = noise(file, 1)
    with VideoReader(file) as reader:
        expected = [frame.image.sum() for frame in reader]
    noise(other, 2)
    with VideoReader(file, sha256=checksum) as reader:
        other.replace(file)
        assert [frame.image.sum() for frame in reader] == expected
