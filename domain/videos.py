"""Videos that others made: the containers and protocols that FFmpeg may use for them, and their limits.

FFmpeg finds out by itself what a file is. Left alone, it takes a text of 45 bytes for a list of other files to open,
and one of 112 bytes for an invitation to listen to the network. So every file is opened by `open_container`, and a
live camera with `STREAM_OPTIONS`; `domain.video_probe` opens a file first in a process of its own.
"""

import errno
import hashlib
import os
import stat
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream
from pydantic import PositiveFloat, PositiveInt

from domain.cores import available_cores
from domain.errors import InputError
from domain.settings import Settings

# What cameras and recorders write. None of these demuxers opens anything but the file itself; playlists (concat, hls,
# dash), session descriptions (sdp), image sequences and subtitles are left out.
CONTAINERS = ("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "h264", "hevc", "mjpeg", "dhav")
STREAM_OPTIONS = {
    "format_whitelist": "rtsp",
    # Of the one connection, which also carries the pictures. "rtsp" is not among them: FFmpeg asks this list when a
    # camera redirects, and would give the other host the password.
    "protocol_whitelist": "tcp,tls",
}
_READABLE = "mp4/mov, mkv/webm, avi, MPEG-TS, MPEG-PS, flv, H.264, HEVC, MJPEG or dav"
_MOST_THREADS = 4  # of a decoder; each holds pictures of its own
_MOST_SCANS = 100  # of a JPEG: progressive ones with thousands take minutes each
_SCAN = b"\xff\xda"
_BLOCK_BYTES = 1 << 20


class UnreachableVideoError(InputError, OSError):
    """A video file is missing or cannot be read; this may be temporary, as with an unreachable network share."""


class VideoLimits(Settings):
    """Subsection `tracking.video`: what a video may ask of this machine; a video that asks for more is refused."""

    max_pixels: PositiveInt = 20_000_000
    max_fps: PositiveFloat = 240
    max_hours: PositiveFloat = 25

    def require_size(self, name: object, width_px: int, height_px: int) -> None:
        """Raise `InputError` if the frames of the video `name` are too large."""
        if width_px * height_px > self.max_pixels:
            raise InputError(
                f"{name} must have frames of at most {self.max_pixels} pixels (tracking.video.max_pixels), got "
                f"{width_px} × {height_px}"
            )

    def require_time(self, name: object, num_frames: int, time_s: float) -> None:
        """Raise `InputError` if the video `name` is too long, or has too many frames until `time_s`."""
        if time_s > self.max_hours * 3600:
            raise InputError(f"{name} must have at most {self.max_hours:g} hours (tracking.video.max_hours), got more")
        if num_frames > self.max_fps * (time_s + 1):
            raise InputError(
                f"{name} must have at most {self.max_fps:g} frames a second (tracking.video.max_fps), got {num_frames} "
                f"in {time_s:.3g} s"
            )


NO_SETTINGS = VideoLimits()  # for commands without settings


class FileBytes:
    """A regular file as FFmpeg reads it, with a position of its own; `error` has the reason of a failed read.

    Raises:
        UnreachableVideoError: if it is missing or cannot be opened.
        InputError: if it is a pipe, a device or a socket, from which content may never come.
    """

    def __init__(self, file: Path) -> None:
        try:
            self.descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            why = "it is missing" if isinstance(error, FileNotFoundError) else f"it cannot be read: {error.strerror}"
            raise UnreachableVideoError(f"{file} must be a video file; {why}") from error
        mode = os.fstat(self.descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(self.descriptor)
            if stat.S_ISDIR(mode):
                raise UnreachableVideoError(f"{file} must be a video file; it cannot be read: Is a directory")
            raise InputError(f"{file} must be a video file; it is a pipe, a device or a socket")
        self._begin()

    @classmethod
    def of_descriptor(cls, descriptor: int) -> "FileBytes":
        """The file behind an open descriptor, which `close` closes."""
        content = cls.__new__(cls)
        content.descriptor = descriptor
        content._begin()
        return content

    def _begin(self) -> None:
        self._position = 0
        self.error: OSError | None = None
        self.has_changed = False

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end and after an error."""
        try:
            content = os.pread(self.descriptor, size, self._position)
        except OSError as error:
            self.error = error
            return b""
        self._position += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; raises `OSError` if damaged content points before the beginning of the file."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: os.fstat(self.descriptor).st_size}
        if bases[whence] + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = bases[whence] + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


class UnchangedBytes(FileBytes):
    """A file that must have the checksum `sha256`, and nothing else in any part that is read later.

    It is read once for the checksum, and for one of each block; a block is compared again when FFmpeg reads it. So the
    processed video is the one with this checksum, even if the file is replaced or overwritten meanwhile.

    Raises:
        InputError: if the checksum differs.
        UnreachableVideoError: if it is missing or cannot be read.
    """

    def __init__(self, file: Path, sha256: str) -> None:
        super().__init__(file)
        self._blocks: list[bytes] = []
        self._block = (-1, b"")  # number and content of the last one read
        whole = hashlib.sha256()
        try:
            while content := os.pread(self.descriptor, _BLOCK_BYTES, len(self._blocks) * _BLOCK_BYTES):
                whole.update(content)
                self._blocks.append(hashlib.sha256(content).digest())
        except OSError as error:
            self.close()
            raise UnreachableVideoError(f"{file} must stay readable: {error.strerror}") from error
        if whole.hexdigest() != sha256:
            self.close()
            raise InputError(
                f"{file} must be the file that was registered: its sha256 must begin with {sha256[:12]}, got "
                f"{whole.hexdigest()[:12]}; register it again"
            )

    def read(self, size: int) -> bytes:
        """The next bytes, at most to the end of a block; none at the end, after an error and after a change."""
        number, offset = divmod(self._position, _BLOCK_BYTES)
        if number >= len(self._blocks) or self.error is not None or self.has_changed:
            return b""
        if self._block[0] != number:
            try:
                content = os.pread(self.descriptor, _BLOCK_BYTES, number * _BLOCK_BYTES)
            except OSError as error:
                self.error = error
                return b""
            if hashlib.sha256(content).digest() != self._blocks[number]:
                self.has_changed = True
                return b""
            self._block = number, content
        part = self._block[1][offset : offset + size]
        self._position += len(part)
        return part


def open_container(content: FileBytes, name: object, limits: VideoLimits) -> InputContainer:
    """Open the video in `content`, which messages call `name`; its first video stream is ready to decode.

    Raises:
        InputError: if it is in no container of `CONTAINERS`, has no video, or is beyond `limits`.
    """
    options = {
        "format_whitelist": ",".join(CONTAINERS),
        "protocol_whitelist": "none",
        "max_pixels": str(limits.max_pixels),  # holds for each frame, also where the size changes
    }
    try:
        container = av.open(content, "r", options=options, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:  # OSError: a seek beyond the end of a truncated file
        raise InputError(
            f"{name} must be a video that PyAV can read, {_READABLE}: {str(error.strerror).splitlines()[0]}"
        ) from error
    try:
        if not container.streams.video:
            raise InputError(f"{name} must be a video; it has no video stream")
        codec = container.streams.video[0].codec_context
        if codec is None:
            raise InputError(f"{name} must be a video in a known codec")
        limits.require_size(name, codec.width, codec.height)
        codec.thread_type = "AUTO"
        codec.thread_count = min(available_cores(), _MOST_THREADS)
        codec.options = {"max_pixels": str(limits.max_pixels)}
    except BaseException:
        container.close()
        raise
    return container


def decode(packet: "av.Packet[VideoStream]", name: object, limits: VideoLimits) -> list[av.VideoFrame]:
    """The pictures that `packet` completes.

    Raises:
        FFmpegError: if the packet is damaged.
        InputError: if the size of frames changed beyond `limits`, or a JPEG has too many scans.
    """
    codec = packet.stream.codec_context
    if codec.name == "mjpeg" and bytes(packet).count(_SCAN) > _MOST_SCANS:
        raise InputError(f"{name} must have pictures of at most {_MOST_SCANS} scans, got a JPEG with more")
    try:
        return packet.decode()
    except av.FFmpegError:
        limits.require_size(name, codec.width, codec.height)
        raise
