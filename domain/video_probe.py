"""Opens a video in a process of its own first, so that a hostile file takes memory, time or a life there, not here.

A file of a few hundred bytes may declare hundreds of millions of frames, for each of which FFmpeg keeps a record. The
process gets nothing but the open file, can open no other, and is killed at its limits.
"""

import importlib
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pkgutil import walk_packages

import av
from av.container import InputContainer

from domain.errors import InputError
from domain.videos import NO_SETTINGS, FileBytes, UnreachableVideoError, VideoLimits, decode, open_container

_MAX_BYTES = 1_000_000_000  # of memory, beyond what the process has at its start
_MAX_CPU_S = 30.0
_MAX_CPU_S_PER_GB = 30.0  # of the file
_MAX_STILL_S = 120.0  # without any work: the file's disk or share does not answer
_LONGEST_STEP_S = 10.0  # between two packets, to count as time of the video
_POLL_S = 0.02
_ANSWER_BYTES = 65536
_CONNECTION = 3  # its descriptor in the process, after those of input, output and errors
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class _Probe:
    """The process; it is started with the first video and again after it was killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def examine(self, content: FileBytes, name: object, limits: VideoLimits, whole: bool) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            request = {"limits": limits.model_dump(), "name": str(name), "whole": whole}
            try:
                socket.send_fds(self._socket, [json.dumps(request).encode()], [content.descriptor])
                answer = self._answer(name, os.fstat(content.descriptor).st_size)
            except BaseException:
                self._end()
                raise
        if answer:
            raise InputError(answer)

    def _start(self) -> None:
        self._end()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root = str(Path(__file__).resolve().parents[1])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])},
            )
        self._socket.recv(_ANSWER_BYTES)  # it is ready
        self._usual_bytes, _ = self._use()

    def _answer(self, name: object, size_bytes: int) -> str:
        """What is wrong with the file; empty if nothing is."""
        max_cpu_s = _MAX_CPU_S + _MAX_CPU_S_PER_GB * size_bytes / 1e9
        _, began_cpu_s = self._use()
        last_cpu_s, last_s = began_cpu_s, time.monotonic()
        self._socket.settimeout(_POLL_S)
        while True:
            with suppress(TimeoutError):
                answer = self._socket.recv(_ANSWER_BYTES)
                if not answer:
                    raise InputError(f"{name} must be a video; the process that probed it ended")
                return str(json.loads(answer))
            used_bytes, cpu_s = self._use()
            if used_bytes - self._usual_bytes > _MAX_BYTES:
                raise InputError(f"{name} must be a video that opens with less than {_MAX_BYTES // 10**6} MB of memory")
            if cpu_s - began_cpu_s > max_cpu_s:
                raise InputError(f"{name} must be a video that can be read within {max_cpu_s:.0f} s")
            if cpu_s > last_cpu_s:
                last_cpu_s, last_s = cpu_s, time.monotonic()
            if time.monotonic() - last_s > _MAX_STILL_S:
                raise UnreachableVideoError(f"{name} must be readable; nothing came for {_MAX_STILL_S:.0f} s")

    def _use(self) -> tuple[int, float]:
        """Memory and CPU seconds of the process; nothing if it has ended."""
        assert self._process is not None
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, IndexError):
            return 0, 0.0
        return pages * resource.getpagesize(), (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._socket.close()
            self._process = None


_probe = _Probe()


def probe(content: FileBytes, name: object, limits: VideoLimits, *, whole: bool) -> None:
    """Open the video in another process and decode its first picture; with `whole`, read all of its packets.

    Raises:
        InputError: if it is no video, beyond `limits`, or takes more memory or time than a video does.
        UnreachableVideoError: if its disk or share does not answer.
    """
    _probe.examine(content, name, limits, whole)


@contextmanager
def opened_video(file: Path, limits: VideoLimits = NO_SETTINGS) -> Iterator[InputContainer]:
    """The video in `file`, after `probe` has examined its beginning.

    Raises:
        InputError: as `probe` and `open_container` do.
    """
    content = FileBytes(file)
    try:
        probe(content, file, limits, whole=False)
        with open_container(content, file, limits) as container:
            yield container
    finally:
        content.close()


def seconds_until(file: Path, frame: int) -> float | None:
    """Time of the frame with this number, from 1, since the first, by the timestamps of the packets; None without any.

    A timestamp that is wrong makes it later, never earlier. A frame after the last has the last one's time.

    Raises:
        InputError: as `opened_video` does.
    """
    times: list[float] = []
    with opened_video(file) as container, suppress(OSError, av.FFmpegError):  # damage: the frames before it count
        for packet in container.demux(video=0):
            ticks = packet.pts if packet.pts is not None else packet.dts
            if ticks is not None and packet.time_base is not None:
                times.append(float(ticks * packet.time_base))
    times.sort()
    return times[min(frame, len(times)) - 1] - times[0] if times else None


def _examine(content: FileBytes, name: str, limits: VideoLimits, whole: bool) -> str:
    try:
        with open_container(content, name, limits) as container:
            stream = container.streams.video[0]
            most, packets, seen = limits.max_hours * 3600 * limits.max_fps, 0, False
            length_s, last = 0.0, 0
            with suppress(OSError, av.FFmpegError):  # damage: `VideoReader` says what it costs
                for packet in container.demux(stream):
                    packets += 1
                    if packets > most:
                        return (
                            f"{name} must have at most {limits.max_hours:g} hours (tracking.video.max_hours) and "
                            f"{limits.max_fps:g} frames a second (tracking.video.max_fps), got more than {most:.0f} "
                            "frames"
                        )
                    ticks = last if packet.dts is None else packet.dts
                    step_s = float((ticks - last) * (packet.time_base or 0))
                    length_s += step_s if 0 < step_s <= _LONGEST_STEP_S else 0  # whatever clocks did in between
                    last = ticks
                    limits.require_time(name, 0, length_s)
                    if not seen:
                        with suppress(av.FFmpegError):
                            seen = bool(decode(packet, name, limits))
                    elif not whole:
                        break
    except MemoryError:
        return f"{name} must be a video that opens with less memory than there is"
    except InputError as error:
        return str(error)
    return ""


def _serve(descriptor: int) -> None:
    os.dup2(descriptor, _CONNECTION)
    os.closerange(_CONNECTION + 1, _CONNECTION + 100)  # one descriptor remains, for the video
    connection = socket.socket(fileno=_CONNECTION)
    for module in walk_packages(av.__path__, "av."):  # PyAV imports some of its modules when a file needs them
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    connection.send(b"ready")
    resource.setrlimit(resource.RLIMIT_NOFILE, (_CONNECTION + 2, _CONNECTION + 2))  # no other file, and no socket
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, _ANSWER_BYTES, 1)
        if not descriptors:
            return
        request = json.loads(message)
        content = FileBytes.of_descriptor(descriptors[0])
        try:
            limits = VideoLimits.model_validate(request["limits"])
            answer = _examine(content, request["name"], limits, request["whole"])
            if content.error is not None:  # the caller meets it too, and reports it
                answer = ""
        finally:
            content.close()
        connection.send(json.dumps(answer).encode())


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
