"""An RTSP server for tests: pictures of a folder in a loop, as H.264; run by the system's Python, which has GStreamer.

python3 tests/helpers/rtsp_server.py FOLDER PORT FPS [USER PASSWORD]

FOLDER holds 000.jpg, 001.jpg, …; the stream is rtsp://127.0.0.1:PORT/street. At /sound there is sound only. Recordings
NAME.mp4 of H.264 in FOLDER are at /NAME, each played once, from its begin and at its own pace. Writes "ready" when it
listens.
"""

import os
import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

ASPECT = "RTSP_PIXEL_ASPECT"  # environment variable: width of a pixel by its height, such as 16/15
_ROLE = "viewer"


def main(folder: str, port: str, fps: str, user: str = "", password: str = "") -> None:
    """Serve until killed."""
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(
        f"( multifilesrc location={folder}/%03d.jpg loop=true caps=image/jpeg,framerate={fps}/1,"
        f"pixel-aspect-ratio={os.environ.get(ASPECT, '1/1')} ! jpegdec ! videoconvert ! video/x-raw,format=I420"
        f" ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} threads=1 bitrate=1000"
        " ! rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    if user:
        _ask_for(server, factory, user, password)
    server.get_mount_points().add_factory("/street", factory)
    sound = GstRtspServer.RTSPMediaFactory()
    sound.set_launch("( audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0 )")
    server.get_mount_points().add_factory("/sound", sound)
    for file in Path(folder).glob("*.mp4"):
        recording = GstRtspServer.RTSPMediaFactory()
        recording.set_launch(f"( filesrc location={file} ! qtdemux ! rtph264pay name=pay0 pt=96 config-interval=1 )")
        server.get_mount_points().add_factory(f"/{file.stem}", recording)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


def _ask_for(server, factory, user, password) -> None:  # type: ignore[no-untyped-def]
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", _ROLE)
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role(_ROLE, "media.factory.access", True)
    permissions.add_permission_for_role(_ROLE, "media.factory.construct", True)
    factory.set_permissions(permissions)


if __name__ == "__main__":
    main(*sys.argv[1:])
