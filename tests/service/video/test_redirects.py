"""A camera that sends the service elsewhere: nobody else is asked, and nobody else gets the password."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from serving.video.live_stream import ConnectionSettings, Gap, LiveStream
from tests.helpers.rtsp import until

SECRET = "s3cr-t"
QUICK = ConnectionSettings(silence_s=2, first_pause_s=0.05, max_pause_s=0.4)
_SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=RTSP/RTP stream\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    b"a=rtpmap:96 H264/90000\r\n"
)


class HostileCamera:
    """Answers requests as it is told, one answer per method; counts what it is asked."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self.requests: list[bytes] = []
        self.num_connections = 0
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                end, _ = self._listener.accept()
                self.num_connections += 1
                with end, suppress(OSError):
                    while request := end.recv(65536):
                        self.requests.append(request)
                        number = request.split(b"CSeq: ")[1].split(b"\r\n")[0]
                        answer = self._answers.get(request.split()[0].decode(), b"RTSP/1.0 200 OK\r\nCSeq: %d\r\n\r\n")
                        end.sendall(answer.replace(b"%d", number))


@contextmanager
def cameras(answers: dict[str, bytes]) -> Iterator[tuple[HostileCamera, HostileCamera]]:
    """A camera that answers so, where `PORT` stands for the port of the other; and that other machine."""
    other = HostileCamera({})
    first = HostileCamera({verb: text.replace(b"PORT", b"%i" % other.port) for verb, text in answers.items()})
    try:
        yield first, other
    finally:
        first.close()
        other.close()


REDIRECT = b"RTSP/1.0 302 Moved\r\nCSeq: %d\r\nLocation: rtsp://viewer:x@127.0.0.1:PORT/street\r\n\r\n"
DESCRIBED = b"RTSP/1.0 200 OK\r\nCSeq: %d\r\nContent-Type: application/sdp\r\nContent-Length: LENGTH\r\n\r\n"
DESCRIBED = DESCRIBED.replace(b"LENGTH", b"%i" % len(_SDP)) + _SDP


def to(scheme: bytes) -> dict[str, bytes]:
    return {"DESCRIBE": REDIRECT.replace(b"rtsp:", scheme)}


@pytest.mark.parametrize(
    ("answers", "is_told"),
    [
        pytest.param({"DESCRIBE": REDIRECT}, True, id="asked what it shows"),
        pytest.param({"OPTIONS": REDIRECT}, True, id="asked what it can"),
        pytest.param({"DESCRIBE": REDIRECT.replace(b"302", b"0399")}, True, id="with a nought"),
        pytest.param({"DESCRIBE": REDIRECT.replace(b"RTSP/1.0 302", b"RT\rSP/7\t+302")}, True, id="in a strange line"),
        pytest.param(to(b"rtsps:"), True, id="encrypted"),
        pytest.param(to(b"http:"), True, id="to a page"),
        pytest.param(to(b""), True, id="without a scheme"),
        pytest.param(to(b"tcp:"), False, id="by the protocol of the connection"),
        pytest.param(to(b"tls:"), False, id="by that of an encrypted one"),
        pytest.param({"DESCRIBE": DESCRIBED, "SETUP": REDIRECT}, False, id="asked to begin"),
        pytest.param({"DESCRIBE": DESCRIBED + REDIRECT.replace(b"%d", b"3")}, False, id="before it is asked"),
    ],
)
def test_a_redirect_is_never_followed(
    answers: dict[str, bytes], is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gaps: list[Gap] = []
    with cameras(answers) as (first, other), caplog.at_level(logging.DEBUG):
        address = f"rtsp://viewer:{SECRET}@127.0.0.1:{first.port}/street"
        with LiveStream("gate", address, QUICK, gaps.append) as stream:
            taking = threading.Thread(target=lambda: list(stream))
            taking.start()
            until(lambda: stream.num_reconnects >= 2)
            stream.stop()
            taking.join()
        assert first.num_connections >= 2
        assert other.num_connections == 0
    assert gaps[0].reason.startswith("the camera redirects to another address, which is never followed") or not is_told
    assert SECRET not in caplog.text + repr(gaps)
