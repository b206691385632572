"""Tracks the people in the live cameras of a district until SIGTERM or SIGINT.

    python -m serving.streams serving.streams.file=cameras.yaml

The file contains the district and the addresses of its cameras, which the store must know. `${NAME}` in an address is
replaced by the percent-encoded value of an environment variable, such as a password:

    district: suseong
    cameras:
      c1: rtsp://viewer:${CAMERA_PASSWORD}@10.0.0.11/stream1

Each camera has a thread; all share the batches of the engines. Sightings are stored in segments, with the gaps between
them. A process that is killed loses its open segments; the time until the next process runs is a gap. A camera that
another process follows is refused. With `serving.streams.shared=true`, processes with the same file share its cameras,
and the others take over those of a process that ends. Settings: sections `serving` and `tracking` of params.yaml in the
current folder; `key=value` arguments override them.
"""

import logging
import os
import re
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from pydantic import ValidationError

from domain.errors import InputError
from domain.foreign_files import read_yaml
from domain.names import Name
from domain.settings import Settings
from serving.database.camera_leases import CameraLeases, SharedCameras
from serving.database.commands import run_command
from serving.database.districts import camera_ids
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.ingestion.following import TrackingSettings
from serving.ingestion.live_following import LiveFollower
from serving.ingestion.outbox import Outbox
from serving.ingestion.recorder import Recorder, RingSettings
from serving.ingestion.settings import StreamsSettings
from serving.ingestion.stream_metrics import serve_metrics
from serving.logs import write_json_logs
from serving.perception.batching import SharedPerception
from serving.perception.perception import Perception
from serving.video.live_stream import LiveStream, require_rtsp

_FLUSH_S = 20.0  # time limit for storing the last segments; supervisors kill after 30 s or more
_log = logging.getLogger(__name__)


class StreamsFile(Settings, hide_input_in_errors=True):
    """Content of the file of live cameras."""

    district: Name
    cameras: dict[Name, str]  # id -> address


def main(argv: Sequence[str] = ()) -> None:
    """Follow the cameras until a signal, then store the open segments.

    Raises:
        InputError: if a setting or the file is invalid, the store does not know a camera, another process follows a
            camera, or the database does not answer.
        ArtifactError: if an engine is missing or for another task.
    """
    deployment = Deployment.read(Path(), argv)
    settings = deployment.settings.streams
    tracking = TrackingSettings.from_params("tracking", argv).with_tracker(
        max_lost_s=settings.max_lost_s, max_tracklet_s=settings.max_tracklet_s
    )
    if settings.file is None:
        raise InputError(
            "serving.streams.file must name the file of live cameras, got none; see docs/deploy.md for its form"
        )
    file = read_streams(settings.file)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    engines = deployment.open_engines()
    with open_store(deployment.store) as store:
        _require_known(store, file)
        deployment.record_in(store)
        previous = deployment.open_previous_for(store)
        # Frames of cameras do not arrive together, so no call waits for others: calls collect while an engine computes.
        perception = SharedPerception(*engines, tracking.perception, previous, max_wait_s=0)
        with closing(_leases(store, file, settings, stopping)) as leases:
            model, most_bytes = engines.reid.card.version, settings.max_waiting_bytes
            outbox = Outbox(
                store,
                file.district,
                model,
                most_bytes,
                deployment.version(),
                perception.attributes_version,
                perception.previous_version,
            )
            recorders = _open_recorders(store, file, settings.ring)
            shared = leases if isinstance(leases, SharedCameras) else None
            follow_streams(file, perception, outbox, settings, tracking, stopping, recorders, shared)
            for recorder in recorders.values():
                recorder.close(_FLUSH_S)
            lost = outbox.close(_FLUSH_S)
    if lost:
        _log.error("%d segments could not be stored; the next run records their time as a gap", lost)
    if isinstance(leases, CameraLeases) and leases.lost is not None:
        raise leases.lost


def read_streams(file: Path) -> StreamsFile:
    """The live cameras in `file`, with environment variables replaced.

    Raises:
        InputError: if the file cannot be read or parsed, or a variable is not set; no message contains an address.
    """
    if not file.exists():
        raise InputError(f"the file of live cameras {file} must be readable: No such file or directory")
    try:
        content = StreamsFile.model_validate(read_yaml(file))
    except (InputError, ValidationError) as error:  # the chained error would contain addresses
        reason = (
            f"{error.error_count()} entries are invalid" if isinstance(error, ValidationError) else "it is not YAML"
        )
        raise InputError(
            f"{file} must have district: NAME and cameras: with a line ID: ADDRESS for each camera; {reason}"
        ) from None
    cameras = {camera_id: _with_variables(camera_id, address) for camera_id, address in content.cameras.items()}
    if not cameras:
        raise InputError(f"{file} must list at least one camera, got none")
    for camera_id, address in cameras.items():
        require_rtsp(camera_id, address)
    return StreamsFile(district=content.district, cameras=cameras)


def follow_streams(
    file: StreamsFile,
    perception: Perception,
    outbox: Outbox,
    settings: StreamsSettings,
    tracking: TrackingSettings,
    stopping: threading.Event,
    recorders: Mapping[str, Recorder] = MappingProxyType({}),
    shared: SharedCameras | None = None,
) -> None:
    """Follow all cameras, or those of `shared` that are this process's, until `stopping`.

    A thread that dies of a bug is restarted; its open segment becomes a gap.
    """
    streams: dict[str, LiveStream] = {}
    if settings.metrics_port is not None:
        serve_metrics(file.district, streams, settings.metrics_host, settings.metrics_port)
    running: dict[str, tuple[LiveFollower, Future[None]]] = {}
    run = partial(
        _run,
        streams=streams,
        file=file,
        settings=settings,
        tracking=tracking,
        stopping=stopping,
        recorders=recorders,
    )
    with ThreadPoolExecutor(len(file.cameras), "follow") as pool:
        while not stopping.is_set():
            mine = frozenset(file.cameras) if shared is None else shared.following
            for camera_id in sorted(mine - running.keys()):
                if outbox.resume(camera_id):
                    follower = LiveFollower(camera_id, perception, tracking, outbox, settings.segment_s)
                    running[camera_id] = follower, pool.submit(run, follower)
                    _log.info("camera %s is followed by this process", camera_id)
            for camera_id, (follower, future) in list(running.items()):
                if not future.done():
                    if camera_id not in mine and camera_id in streams:
                        streams[camera_id].stop()
                    continue
                _report_death(follower, future)
                if camera_id in mine:
                    running[camera_id] = follower, pool.submit(run, follower)
                elif shared is not None and outbox.leave(camera_id):
                    del running[camera_id]
                    streams.pop(camera_id, None)
                    shared.give_up(camera_id)
                    _log.info("camera %s is left to another process", camera_id)
            stopping.wait(settings.connection.first_pause_s)
        for stream in list(streams.values()):
            stream.stop()
    for follower, future in running.values():
        _report_death(follower, future)


def _run(
    follower: LiveFollower,
    *,
    streams: dict[str, LiveStream],
    file: StreamsFile,
    settings: StreamsSettings,
    tracking: TrackingSettings,
    stopping: threading.Event,
    recorders: Mapping[str, Recorder],
) -> None:
    """Follow one camera until its stream is stopped."""
    camera_id = follower.camera_id
    address = file.cameras[camera_id]
    connection, stride = settings.connection, tracking.frame_stride
    recorder = recorders.get(camera_id)
    with LiveStream(camera_id, address, connection, follower.record_gap, stride, tracking.video, recorder) as stream:
        streams[camera_id] = stream
        if stopping.is_set():
            return
        for frame in stream:
            follower.process(frame)
        follower.close()


def _report_death(follower: LiveFollower, future: Future[None]) -> None:
    if (error := future.exception()) is not None:
        _log.error("camera %s: a bug ended its thread", follower.camera_id, exc_info=error)
        follower.discard_segment("an internal error; the log has its traceback")


def _require_known(store: Store, file: StreamsFile) -> None:
    with store.begin() as connection:
        known = camera_ids(connection, file.district, in_service=True)
    unknown = sorted(set(file.cameras) - known)
    if unknown:
        raise InputError(
            f"live cameras must be cameras of the district {file.district} in the store "
            f"({', '.join(sorted(known)) or 'it has none'}), got {', '.join(unknown)}; add them by "
            "python -m serving.cameras, or take retired ones out of the file"
        )


def _leases(
    store: Store, file: StreamsFile, settings: StreamsSettings, stopping: threading.Event
) -> CameraLeases | SharedCameras:
    """Leases of all cameras, or of a part; `stopping` is set if another process gets one that cannot be shared."""
    if settings.shared:
        return SharedCameras(store.engine, file.district, list(file.cameras))
    return CameraLeases(store.engine, file.district, list(file.cameras), stopping.set)


def _open_recorders(store: Store, file: StreamsFile, ring: RingSettings) -> dict[str, Recorder]:
    """A recorder for each camera, if the settings ask for a ring."""
    if not ring.hours:
        return {}
    of_camera = ring.model_copy(update={"gigabytes": ring.gigabytes / len(file.cameras)})
    return {camera_id: Recorder(store, file.district, camera_id, of_camera) for camera_id in file.cameras}


def _with_variables(camera_id: str, address: str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise InputError(
                f"the environment variable {name} in the address of camera {camera_id} must be set, it is not"
            )
        return quote(os.environ[name], safe="")

    return re.sub(r"\$\{(\w+)\}", value, address)


if __name__ == "__main__":
    write_json_logs()
    run_command(main)
