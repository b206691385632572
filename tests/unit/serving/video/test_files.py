import errno
import os
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from domain.errors import InputError
from domain.videos import UnreachableVideoError
from serving.video.files import VideoReader, video_writer
from tests.helpers.walkers import Walker, picture, write_video


def test_a_written_video_reads_back_with_number_and_time(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", [Walker("red", 20, 40)], fps=10, seconds=1.5)
    with VideoReader(file) as reader:
        frames = list(reader)
    assert [frame.number for frame in frames] == list(range(1, 16))
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(15) / 10)
    assert (reader.fps, reader.geometry, reader.damage) == (pytest.approx(10), None, None)
    wanted = picture([Walker("red", 20, 40)], frames[7].time_s).astype(int)
    assert np.abs(frames[7].image.astype(int) - wanted).mean() < 4


def test_a_stride_skips_frames_and_counts_them(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", [], fps=10, seconds=1)
    with VideoReader(file, stride=4) as reader:
        assert [(frame.number, round(frame.time_s, 3)) for frame in reader] == [(1, 0.0), (5, 0.4), (9, 0.8)]
    assert reader.num_frames == 10


@pytest.mark.parametrize("fps", [6, 25, 29.97], ids=str)
def test_the_frame_rate_survives(tmp_path: Path, fps: float) -> None:
    with VideoReader(write_video(tmp_path / "a.mp4", [], fps=fps, seconds=1)) as reader:
        assert reader.fps == pytest.approx(fps, rel=1e-3)


def test_odd_sizes_lose_a_row_and_a_column(tmp_path: Path) -> None:
    with video_writer(tmp_path / "a.mp4", 10) as write:
        write(np.zeros((121, 321, 3), np.uint8))
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert next(iter(reader)).image.shape == (120, 320, 3)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreachableVideoError, match=r"gone\.mp4 must be a video file; it is missing"):
        VideoReader(tmp_path / "gone.mp4")
    with pytest.raises(UnreachableVideoError, match="must be a video file; it cannot be read: Is a directory"):
        VideoReader(tmp_path)


@pytest.mark.parametrize("name", ["whole.mp4", "whole.ts"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_share_that_goes_away_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, share: float
) -> None:
    transport_stream(tmp_path)
    last = share * (tmp_path / name).stat().st_size

    pread = os.pread

    def goes_away(descriptor: int, size: int, offset: int) -> bytes:
        if offset >= last:
            raise OSError(errno.EHOSTDOWN, "Host is down")
        return pread(descriptor, min(size, 2000), offset)

    monkeypatch.setattr(os, "pread", goes_away)
    with (
        pytest.raises(UnreachableVideoError, match="must stay readable while it is processed: Host is down"),
        VideoReader(tmp_path / name) as reader,
    ):
        list(reader)


def test_a_container_says_how_long_it_lasts(tmp_path: Path) -> None:
    transport_stream(tmp_path)
    for name in ("whole.mp4", "whole.ts"):
        with VideoReader(tmp_path / name) as reader:
            assert reader.declared_s == pytest.approx(6.0, abs=0.2)


@pytest.mark.parametrize("content", [b"", b"these are words, not pictures\n" * 50], ids=["empty", "text"])
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "words.mp4"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"words\.mp4 must be a video that PyAV can read"):
        VideoReader(file)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    file = tmp_path / "sound.mov"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
    with pytest.raises(InputError, match="it has no video stream"):
        VideoReader(file)


def transport_stream(folder: Path) -> bytes:
    """A container that can be cut anywhere, unlike mp4."""
    source = write_video(folder / "whole.mp4", [Walker("red", 20, 40), Walker("blue", 200, -30, top=60)], seconds=6)
    with av.open(str(source)) as read, av.open(str(folder / "whole.ts"), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)
    return (folder / "whole.ts").read_bytes()


def test_garbage_in_the_middle_costs_some_frames_only(tmp_path: Path) -> None:
    content = transport_stream(tmp_path)
    third = len(content) // 3
    file = tmp_path / "damaged.ts"
    file.write_bytes(content[:third] + bytes(len(content) // 4) + content[third + len(content) // 4 :])
    with VideoReader(file) as reader:
        times = [frame.time_s for frame in reader]
    assert 10 < len(times) <= 60
    assert all(later > earlier for earlier, later in pairwise(times))


def test_a_video_that_ends_early_gives_its_frames_and_says_so(real_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "cut.avi"
    file.write_bytes((real_data / "video" / "vtest.avi").read_bytes()[:1_000_000])
    with VideoReader(file) as reader:
        num_frames = sum(1 for _ in reader)
    assert 10 < num_frames < 795
    assert reader.damage is not None
    assert f"ends early: {num_frames} of 795 frames read" in reader.damage


def test_a_header_without_frames_is_refused(real_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "header.avi"
    file.write_bytes((real_data / "video" / "vtest.avi").read_bytes()[:4104])
    with pytest.raises(InputError, match=r"header\.avi must be a video that PyAV can"), VideoReader(file) as reader:
        list(reader)


def test_an_empty_video_is_not_written(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="must get at least one picture, got none"),
        video_writer(tmp_path / "a.mp4", 5),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_broken_off_writer_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with video_writer(tmp_path / "a.mp4", 5) as write:
            write(np.zeros((32, 32, 3), np.uint8))
            raise KeyError("the light went out")

    with pytest.raises(KeyError, match="the light went out"):
        write_half()
    assert not list(tmp_path.iterdir())
