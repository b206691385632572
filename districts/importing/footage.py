"""Footage of a camera: a video file, or its frames as pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import av
import numpy as np

from districts.demo.video import read_frames
from districts.importing.annotated import Footage
from districts.importing.detection_set import picture_size
from domain.errors import InputError
from domain.images import read_image, require_picture
from domain.video_geometry import upright
from domain.video_probe import opened_video


@dataclass(frozen=True)
class Facts:
    """What footage says of itself."""

    width: int  # of upright frames, in stored pixels
    height: int
    fps: float | None  # of pictures: unknown
    num_frames: int | None  # None if the video does not declare it
    start: datetime | None  # when the recording began, where the file says so


def facts_of(footage: Footage) -> Facts:
    """Size, rate, length and start of footage.

    Raises:
        InputError: if a file is missing or unreadable.
    """
    if isinstance(footage, tuple):
        if not footage:
            raise InputError("footage must have frames, got none")
        return Facts(*picture_size(footage[0]), None, len(footage), None)
    with opened_video(footage) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate
        try:
            height, width, _ = upright(next(container.decode(stream))).shape
        except (av.FFmpegError, StopIteration) as error:
            raise InputError(f"{footage} must be a video that FFmpeg can decode: {error or 'no frame'}") from error
        written = container.metadata.get("creation_time") or stream.metadata.get("creation_time")
        return Facts(width, height, float(rate) if rate else None, stream.frames or None, _time(written))


def frames_of(footage: Footage) -> Iterator[tuple[int, np.ndarray]]:
    """Number, from 1, and picture (`uint8 [height, width, 3]` RGB) of each frame.

    Raises:
        InputError: if a file is missing or unreadable.
    """
    if isinstance(footage, tuple):
        for number, file in enumerate(footage, start=1):
            require_picture(file)
            yield number, read_image(file)
    else:
        yield from read_frames(footage)


def name_of(footage: Footage) -> Path:
    """File or folder for messages."""
    return footage[0].parent if isinstance(footage, tuple) else footage


def _time(text: str | None) -> datetime | None:
    """A time of a video's metadata; cameras without a clock write the beginning of 1904 or 1970."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None and time.year > 1990 else None
