"""Writes and reads H.264 videos with PyAV."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np

from domain.errors import InputError
from domain.video_geometry import upright
from domain.video_probe import opened_video


class VideoWriter:
    """Writes pictures of `size` (width, height) to an H.264 file; one thread, so equal pictures give equal bytes."""

    def __init__(self, file: Path, fps: int | Fraction, size: tuple[int, int]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(file), "w")
        self._stream = self._container.add_stream("libx264", rate=fps)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.thread_count = 1
        self._stream.gop_size = max(1, round(4 * fps))
        self._stream.options = {"preset": "veryfast", "crf": "25", "threads": "1"}

    def write(self, picture: np.ndarray) -> None:
        """Append a picture, `uint8 [height, width, 3]` RGB."""
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def read_frames(file: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Number, from 1, and upright picture (`uint8 [height, width, 3]` RGB, in stored pixels) of each frame in `file`.

    Raises:
        InputError: if the file is missing or not a video.
    """
    try:
        with opened_video(file) as container:
            for number, frame in enumerate(container.decode(video=0), start=1):
                yield number, upright(frame)
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{file} must be a video that FFmpeg can decode: {error}") from error
