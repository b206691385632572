"""What the ring, full frames and watches take of live cameras: processor, memory and disk, as JSON.

    python -m benchmarks.live_cameras --video street.mp4 --root .   # the folder with engines/, such as after make demo

The video's frames, scaled and encoded once as a camera would send them, are the pictures of `--cameras` cameras.

- `ring`: the packets go through the recorders of `serving.streams`, as fast as cameras send them, without decoding.
- `frames`: full frames are encoded, encrypted and written, one a sighting.
- `watches`: sightings of all cameras are stored once a second, while the service's watcher looks at them for
  `--watches` watches, each of a case with `--rejected` sightings of other people. Every tenth sighting shows a person
  who is watched for. Processor time is that of this process and of PostgreSQL, less what the same took without watches.

`core` is a share of one core. Memory is what the process grew by.
"""

import argparse
import json
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import sqlalchemy as sa

from domain.cameras import Camera
from domain.cores import available_cores
from domain.embeddings import unit_length
from domain.images import Picture, encode_jpeg
from domain.model_card import read_card
from domain.tracklets import Tracklet
from serving.access.accounts import Account
from serving.access.roles import Role
from serving.cases.cases import open_case
from serving.cases.verdict import Verdict
from serving.database import segments, tables
from serving.database.districts import add_cameras
from serving.database.ring import Ring
from serving.database.store import Store
from serving.deployment import Deployment
from serving.ingestion.recorder import Recorder, RingSettings
from serving.search.search import SearchSettings
from serving.search.service import SearchService, Sought
from serving.watching.watcher import Watcher
from serving.watching.watches import open_watch

_DISTRICT, _QUALITY = "district", 85
_REVIEWER = Account("reviewer", Role.REVIEWER, datetime(2026, 1, 1, tzinfo=UTC), expires=None, disabled=None)
_TOLD_EVERY = 10  # sightings, of which one shows a person who is watched for
_OWN_SPREAD = 0.02  # of a person's embeddings, in each direction
_HOUR_S = 3600
_SETTLES_S, _LOOKS_LATER_S = 3.0, 30.0  # before measuring, and until the watcher has looked at all


def encode(video: Path, height_px: int, fps: int, mbit_s: float) -> tuple[bytes, list[Picture]]:
    """The video as a camera of this rate would send it, with a key frame a second; and some of its pictures."""
    target, pictures = BytesIO(), []
    with av.open(str(video), "r") as container, av.open(target, "w", format="mp4") as output:
        source = container.streams.video[0]
        width_px = round(source.width * height_px / source.height / 2) * 2
        stream = output.add_stream("libx264", rate=fps, options={"preset": "veryfast", "g": str(fps)})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width_px, height_px, "yuv420p", int(mbit_s * 1e6)
        for number, picture in enumerate(islice(container.decode(video=0), 60 * fps)):
            image = np.asarray(cv2.resize(picture.to_ndarray(format="rgb24"), (width_px, height_px)), np.uint8)
            if number % fps == 0:
                pictures.append(image)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target.getvalue(), pictures


def measure_ring(
    store: Store, video: bytes, cameras: Sequence[str], seconds: float, settings: RingSettings
) -> dict[str, float]:
    """A camera's part of recording all of them for `seconds`."""
    recorders = [Recorder(store, _DISTRICT, camera, settings) for camera in cameras]
    before_mb, begin_cpu_s = _memory_mb(), time.process_time()
    recorded_s, grown_mb = _record(video, recorders, seconds, lambda: _memory_mb() - before_mb)
    for recorder in recorders:
        recorder.close(60)
    spent_s = time.process_time() - begin_cpu_s
    begin_cpu_s = time.process_time()
    _record(video, [_Nothing()] * len(cameras), seconds, lambda: 0.0)
    spent_s -= time.process_time() - begin_cpu_s
    num_bytes = sum(piece.num_bytes for piece in Ring(store.crops).pieces())
    return {
        "core": spent_s / recorded_s / len(cameras),
        "memory_mb": grown_mb / len(cameras),
        "disk_gb_an_hour": num_bytes / 1e9 * _HOUR_S / recorded_s / len(cameras),
        "lost_pieces": sum(recorder.num_lost for recorder in recorders),
    }


class _Nothing:
    """Records nothing: what reading the video takes."""

    def begin(self) -> None:
        """Nothing."""

    def add(self, packet: "av.Packet[Any]", moment: Callable[[float], datetime | None]) -> None:
        """Nothing."""

    def end(self, moment: Callable[[float], datetime | None]) -> None:
        """Nothing."""


def _record(
    video: bytes, recorders: Sequence[Recorder | _Nothing], seconds: float, grown: Callable[[], float]
) -> tuple[float, float]:
    """Give each recorder the packets when a camera would send them; how long it took, and the most of `grown`."""
    begin, begin_s, most = datetime.now(UTC), time.monotonic(), 0.0
    passed_s = 0.0
    while passed_s < seconds:
        round_s = passed_s

        def moment(camera_s: float, round_s: float = round_s) -> datetime:
            return begin + timedelta(seconds=round_s + camera_s)

        for recorder in recorders:
            recorder.begin()
        for together in zip(*(_packets(video) for _ in recorders), strict=True):
            sent_s = float((together[0].pts or 0) * (together[0].time_base or 0))
            passed_s = round_s + sent_s
            if passed_s >= seconds:
                break
            time.sleep(max(0.0, begin_s + passed_s - time.monotonic()))
            for recorder, packet in zip(recorders, together, strict=True):
                recorder.add(packet, moment)
            most = max(most, grown())
        for recorder in recorders:
            recorder.end(moment)
    return time.monotonic() - begin_s, most


def _packets(video: bytes) -> Iterator["av.Packet[Any]"]:
    with av.open(BytesIO(video), "r") as container:
        yield from (packet for packet in container.demux(video=0) if packet.dts is not None)


def measure_frames(store: Store, pictures: Sequence[Picture]) -> dict[str, float]:
    """A sighting's part of keeping its full frame."""
    begin_cpu_s = time.process_time()
    sizes = []
    for number, picture in enumerate(pictures):
        jpeg = encode_jpeg(picture, _QUALITY)
        store.crops.write_files({f"{_DISTRICT}/frames/{number}.jpg": jpeg})
        sizes.append(len(jpeg))
    spent_s = time.process_time() - begin_cpu_s
    return {"core_ms": 1000 * spent_s / len(pictures), "disk_kb": float(np.mean(sizes)) / 1000}


def measure_watches(
    service: SearchService, settings: SearchSettings, feature: int, cameras: Sequence[str], options: argparse.Namespace
) -> dict[str, float]:
    """What it takes that all watches look at the sightings of all cameras for `options.seconds`."""
    store, model = service.store(), service.engines().model_version
    street = _Street(store, model, feature, cameras, options.sightings_an_hour)
    street.walk(_SETTLES_S)  # tables are created, caches filled
    begin_cpu_s = _cpu_s(store)
    street.walk(options.seconds)
    alone_s = _cpu_s(store) - begin_cpu_s
    street.watch(options.watches, options.rejected)
    watcher = Watcher(service, settings)
    before_mb = _memory_mb()
    watcher.start()
    street.walk(_SETTLES_S)
    begin_cpu_s, first = _cpu_s(store), street.num_walked
    street.walk(options.seconds)
    spent_s = _cpu_s(store) - begin_cpu_s - alone_s
    grown_mb = _memory_mb() - before_mb
    left, ends_s = 1, time.monotonic() + _LOOKS_LATER_S
    while left and time.monotonic() < ends_s:
        time.sleep(1)
        with store.begin() as connection:
            left = connection.execute(sa.select(sa.func.count()).select_from(tables.new_sightings)).scalar_one()
    watcher.close()
    with store.begin() as connection:
        num_alerts = connection.execute(sa.select(sa.func.count()).select_from(tables.alerts)).scalar_one()
        num_bytes = connection.execute(sa.select(sa.func.pg_total_relation_size("alerts"))).scalar_one()
    return {
        "sightings_a_second": (street.num_walked - first) / options.seconds,
        "alerts": num_alerts,
        "not_looked_at": left,
        "core": spent_s / options.seconds,
        "of_the_processor": spent_s / options.seconds / available_cores(),
        "core_without_watches": alone_s / options.seconds,
        "memory_mb": grown_mb,
        "disk_kb_an_alert": num_bytes / 1000 / max(1, num_alerts),
    }


class _Street:
    """People who walk past the cameras, of whom some are watched for."""

    def __init__(
        self, store: Store, model: str, feature: int, cameras: Sequence[str], sightings_an_hour: float
    ) -> None:
        self._store, self._model, self._feature, self._cameras = store, model, feature, cameras
        self._a_second = sightings_an_hour * len(cameras) / _HOUR_S
        self._rng = np.random.default_rng(0)
        self._sought = np.zeros((0, feature), np.float32)
        self._crop = self._rng.integers(0, 255, (160, 60, 3)).astype(np.uint8)
        self.num_walked = 0
        with store.begin() as connection:
            now = datetime.now(UTC)
            self._segments = [
                segments.register(connection, _DISTRICT, camera, f"stream {camera}", f"stream {camera}@", now).id
                for camera in cameras
            ]

    def walk(self, seconds: float) -> None:
        """Store their sightings, once a second."""
        begin_s, begun = time.monotonic(), self.num_walked
        for second in range(1, round(seconds) + 1):
            self._store_some(begun + round(second * self._a_second) - self.num_walked)
            time.sleep(max(0.0, begin_s + second - time.monotonic()))

    def watch(self, number: int, rejected: int) -> None:
        """Open `number` cases that each watch for a person, with one confirmed and `rejected` rejected sightings."""
        first, judged = self.num_walked, 1 + rejected
        self._store_some(number * judged)
        self._sought = self._people(number)
        with self._store.begin() as connection:
            for place, embedding in enumerate(self._sought):
                case = open_case(connection, _REVIEWER, f"Case {place}", operators=[]).id
                match, *others = range(first + place * judged, first + (place + 1) * judged)
                verdicts = {match: Verdict.CONFIRMED} | dict.fromkeys(others, Verdict.REJECTED)
                rows = [
                    {"case_id": case, "district": _DISTRICT, "tracklet_id": self._number(walked), "account": "reviewer",
                     "verdict": verdict}
                    for walked, verdict in verdicts.items()
                ]  # fmt: skip
                connection.execute(sa.insert(tables.verdicts), rows)
                sought = Sought(embedding, {}, None, self._model)
                open_watch(connection, _REVIEWER, case, "missing", {}, sought, 24, 0.9, None)

    def _number(self, walked: int) -> int:
        """Number of a sighting in the store."""
        return self._segments[walked % len(self._cameras)] * segments.IDS_A_SEGMENT + walked

    def _store_some(self, number: int) -> None:
        now = datetime.now(UTC)
        embeddings = self._people(number)
        of_camera: dict[int, list[Tracklet]] = {}
        for embedding in embeddings:
            walked, self.num_walked = self.num_walked, self.num_walked + 1
            if len(self._sought) and walked % _TOLD_EVERY == 0:
                embedding = self._sought[self._rng.integers(len(self._sought))]
                embedding = embedding + self._rng.normal(scale=_OWN_SPREAD / np.sqrt(self._feature), size=self._feature)
            of_camera.setdefault(walked % len(self._cameras), []).append(self._tracklet(walked, embedding, now))
        for camera, tracklets in of_camera.items():
            self._store.add_sightings(self._segments[camera], tracklets, self._model)

    def _people(self, number: int) -> np.ndarray:
        return unit_length(self._rng.normal(size=(number, self._feature)).astype(np.float32))

    def _tracklet(self, walked: int, embedding: np.ndarray, now: datetime) -> Tracklet:
        frames = np.arange(1, 51)
        return Tracklet(
            id=walked,
            camera_id=self._cameras[walked % len(self._cameras)],
            first_frame=1,
            last_frame=len(frames),
            first_seen=now - timedelta(seconds=12),
            last_seen=now - timedelta(seconds=7),
            frames=frames,
            boxes_xyxy=np.tile(np.array([[10, 20, 70, 180]], np.float32), (len(frames), 1)),
            scores=np.full(len(frames), 0.9, np.float32),
            embedding=unit_length(embedding.astype(np.float32)[None])[0],
            attributes={},
            quality=0.7,
            crops=[self._crop],
        )


def _cpu_s(store: Store) -> float:
    """Processor time of this process and of the database's."""
    with store.begin() as connection:
        backend = connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
    server = psutil.Process(backend).parent()
    assert server is not None, "the backend's parent is the server"
    times = [process.cpu_times() for process in (server, *server.children())]
    ended = times[0].children_user + times[0].children_system
    return time.process_time() + ended + sum(one.user + one.system for one in times)


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@contextmanager
def service_of(root: Path, folder: Path, cameras: Sequence[str]) -> Iterator[tuple[SearchService, Deployment]]:
    """The search service of the engines in `root`, with a store in `folder` that has the cameras."""
    deployment = Deployment.read(root)
    deployment = replace(deployment, settings=deployment.settings.model_copy(update={"store": folder / "store"}))
    service = deployment.open_search(deployment.load_engines())
    place = {"latitude": 35.85, "longitude": 128.6, "fps": 10, "width_px": 1280, "height_px": 720}
    try:
        with service.store().begin() as connection:
            described = [Camera.model_validate({"id": camera, "name": camera, **place}) for camera in cameras]
            add_cameras(connection, _DISTRICT, described, time_zone="UTC")
        yield service, deployment
    finally:
        service.close()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """The figures of ring, frames and watches, with a store in `folder`."""
    cameras = [f"c{number}" for number in range(1, options.cameras + 1)]
    video, pictures = encode(options.video, options.height, options.fps, options.mbit_s)
    with service_of(options.root, folder, cameras) as (service, deployment):
        feature = read_card(deployment.engine(deployment.reid)).feature
        assert feature is not None, "a re-ID card has it"
        settings = RingSettings(hours=1e5, gigabytes=1e6, piece_s=deployment.settings.streams.ring.piece_s)
        return {
            "ring": measure_ring(service.store(), video, cameras, options.seconds, settings),
            "frames": measure_frames(service.store(), pictures),
            "watches": measure_watches(service, deployment.settings.search, feature, cameras, options),
        }


def parser() -> argparse.ArgumentParser:
    """Of the command's options."""
    described = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    described.add_argument("--video", type=Path, required=True, help="of a street")
    described.add_argument("--root", type=Path, default=Path(), help="the folder with params.yaml and engines/")
    described.add_argument("--cameras", type=int, default=10)
    described.add_argument("--seconds", type=float, default=60, help="of each part")
    described.add_argument("--height", type=int, default=720, help="of the frames, pixels")
    described.add_argument("--fps", type=int, default=10)
    described.add_argument("--mbit-s", type=float, default=4.0, help="of a camera")
    described.add_argument("--watches", type=int, default=100)
    described.add_argument("--rejected", type=int, default=20, help="sightings of other people, of each case")
    described.add_argument("--sightings-an-hour", type=float, default=360, help="of a camera")
    return described


def main() -> None:
    """Print one JSON document."""
    options = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(options, Path(folder))
    metadata = {"machine": platform.machine(), "cores": available_cores()}
    metadata |= {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    json.dump({"metadata": metadata, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
