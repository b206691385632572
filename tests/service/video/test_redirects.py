"""A camera that sends the service elsewhere: nobody else is asked, and nobody else gets the password."""

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from serving.video import rtsp_relay
from serving.video.live_stream import ConnectionSettings, Gap, LiveStream
from tests.helpers.rtsp import Server, require_server, until

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


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param({"DESCRIBE": REDIRECT}, id="asked what it shows"),
        pytest.param({"OPTIONS": REDIRECT}, id="asked what it can"),
        pytest.param({"DESCRIBE": DESCRIBED, "SETUP": REDIRECT}, id="asked to begin"),
        pytest.param({"DESCRIBE": DESCRIBED + REDIRECT.replace(b"%d", b"3")}, id="before it is asked"),
        pytest.param({"DESCRIBE": REDIRECT.replace(b"RTSP/1.0 302", b"RT\rSP/1.0 302")}, id="with a lone return"),
        pytest.param({"DESCRIBE": REDIRECT.replace(b"RTSP/1.0 302", b" RTSP/7\t+302")}, id="with a sign"),
        pytest.param({"DESCRIBE": REDIRECT.replace(b"302", b"\x0b302")}, id="with a strange blank"),
        pytest.param({"DESCRIBE": REDIRECT.replace(b"302", b"0399")}, id="with a nought"),
    ],
)
def test_a_redirect_is_never_followed(answers: dict[str, bytes], caplog: pytest.LogCaptureFixture) -> None:
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
    assert gaps
    assert gaps[0].reason.startswith("the camera redirects to another address, which is never followed") or (
        gaps[0].reason.startswith("the camera answers with")
    )
    assert SECRET not in caplog.text + repr(gaps)


@pytest.mark.slow
def test_a_camera_that_does_not_redirect_is_followed_through_the_relay(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    require_server()
    server = Server(tmp_path_factory.mktemp("street") / "pictures", []).start()
    try:
        with LiveStream("gate", server.address(), QUICK, lambda gap: None) as stream:
            assert next(iter(stream)).number == 1
    finally:
        server.kill()


def test_only_this_process_gets_the_connection_to_a_camera() -> None:
    other = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1]))).recv(1)"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as near:
            assert rtsp_relay._is_ours(near)
        process = subprocess.Popen([sys.executable, "-c", other, str(listener.getsockname()[1])])
        with listener.accept()[0] as near:
            assert not rtsp_relay._is_ours(near)
        process.wait()


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_redirect_in_pieces_is_a_redirect(cut: int) -> None:
    answer, held = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\nRTSP/1.0 302 Moved\r\n\r\n", b""
    for part in (answer[:cut], answer[cut:]):
        good, held, refusal = rtsp_relay._checked(held + part)
        assert b"302" not in good
        if refusal is not None:
            break
    assert refusal == rtsp_relay.REDIRECTED


def test_what_cameras_say_goes_on_unchanged() -> None:
    assert rtsp_relay._checked(DESCRIBED) == (DESCRIBED, b"", None)
