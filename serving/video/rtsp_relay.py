"""A connection to one camera and to no other machine.

FFmpeg follows an RTSP redirect to any host, with the camera's password, and has no option against it. So it speaks to
a relay in this process, which connects to the camera alone and ends the connection when the camera answers a redirect.
FFmpeg needs an address to connect to: the relay listens on this machine for that moment, and takes the connection of
this process only.
"""

import re
import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

_PORTS = {"rtsp": 554, "rtsps": 322}
_CHUNK_BYTES = 65536
_LINE_BYTES = 1024
_STATUS = re.compile(rb"RTSP/[^ \t\r\n]*[ \t\r\n]+([^ \t\r\n]+)[ \t\r\n]")
_LIKE_A_NUMBER = re.compile(rb"[\v\f]*[+-]?\d")
_GOOD_STATUS = re.compile(rb"[12456]\d\d")
_LONE_RETURN = re.compile(rb"\r[^\n]")  # FFmpeg drops these, also within words
_PLAY = re.compile(rb"(^|\n)PLAY ")
REDIRECTED = "the camera redirects to another address, which is never followed; give the address where its pictures are"


class Relay:
    """The relay of one connection; `refusal` says why it ended the connection, if it did."""

    def __init__(self) -> None:
        self.refusal: str | None = None

    @contextmanager
    def connect(self, address: str, timeout_s: float) -> Iterator[str]:
        """The address by which FFmpeg reaches the camera at `address`, for one connection.

        Raises:
            OSError: if the camera cannot be reached; its text contains no address.
        """
        parts = urlsplit(address)
        camera = _connect(parts.scheme, str(parts.hostname), parts.port or _PORTS[parts.scheme], timeout_s)
        listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        listener.settimeout(timeout_s)
        user, at, _ = parts.netloc.rpartition("@")
        near = f"{user}{at}127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=self._carry, args=(listener, camera), name="relay", daemon=True)
        thread.start()
        try:
            yield urlunsplit(("rtsp", near, parts.path, parts.query, ""))
        finally:
            _shut(listener)  # FFmpeg may have failed before it connected
            thread.join(timeout_s)
            _shut(camera)

    def _carry(self, listener: socket.socket, camera: socket.socket) -> None:
        with suppress(OSError), camera, _accepted(listener) as near, selectors.DefaultSelector() as ready:
            listener.close()
            for end in (near, camera):
                ready.register(end, selectors.EVENT_READ)
            is_playing, held = False, b""
            while True:
                ends = [key.fileobj for key, _ in ready.select()]
                if near in ends:
                    request = near.recv(_CHUNK_BYTES)
                    if not request:
                        return
                    is_playing |= bool(_PLAY.search(request))
                    camera.sendall(request)
                if camera in ends:
                    answer = camera.recv(_CHUNK_BYTES)
                    while isinstance(camera, ssl.SSLSocket) and camera.pending():
                        answer += camera.recv(_CHUNK_BYTES)
                    if not answer:
                        return
                    if not is_playing:  # FFmpeg follows redirects until then
                        held += answer
                        answer, held, self.refusal = _checked(held)
                        if self.refusal is not None:
                            return
                    elif held:
                        answer, held = held + answer, b""
                    near.sendall(answer)


def _checked(content: bytes) -> tuple[bytes, bytes, str | None]:
    """The part of a camera's answers that may go on, the rest which may be half a status, and why all is refused.

    Where FFmpeg reads "RTSP/", it takes the next word for a status, as far as the word begins like a number.
    """
    begin = content.rfind(b"RTSP/")
    if begin < 0 or _STATUS.match(content, begin):
        halves = (b"RTSP", b"RTS", b"RT", b"R", b"\r")
        begin = next((len(content) - len(half) for half in halves if content.endswith(half)), len(content))
    good, rest = content[:begin], content[begin:]
    strange = [match[1] for match in _STATUS.finditer(good) if _LIKE_A_NUMBER.match(match[1])]
    strange = [status for status in strange if not _GOOD_STATUS.fullmatch(status)]
    if strange:
        return b"", b"", REDIRECTED if strange[0].startswith(b"3") else "the camera answers with a status that is none"
    if _LONE_RETURN.search(good) or len(rest) > _LINE_BYTES:
        return b"", b"", "the camera answers with lines that are none"
    return good, rest, None


def _connect(scheme: str, host: str, port: int, timeout_s: float) -> socket.socket:
    camera = socket.create_connection((host, port), timeout_s)
    if scheme == "rtsp":
        return camera
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # cameras sign their own certificates
    try:
        return context.wrap_socket(camera, server_hostname=host)
    except OSError:
        camera.close()
        raise


def _accepted(listener: socket.socket) -> socket.socket:
    """The connection that this process makes to `listener`; those of others are closed."""
    while True:
        near, _ = listener.accept()
        if _is_ours(near):
            near.settimeout(listener.gettimeout())
            return near
        near.close()


def _is_ours(near: socket.socket) -> bool:
    """Whether the other end of the local connection `near` is a socket of this process."""
    (_, theirs), (_, ours) = near.getpeername(), near.getsockname()
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (fields[1][-5:], fields[2][-5:]) == (f":{theirs:04X}", f":{ours:04X}"):
            inode = f"socket:[{fields[9]}]"
            return any(_target(descriptor) == inode for descriptor in Path("/proc/self/fd").iterdir())
    return False


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:  # it was closed meanwhile
        return ""


def _shut(end: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        end.shutdown(socket.SHUT_RDWR)
    end.close()
