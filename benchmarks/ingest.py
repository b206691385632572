"""Following people in many videos beside ultralytics' BoT-SORT with re-ID: frames a second and memory, as JSON.

    python -m benchmarks.ingest                                       # after make demo: ten videos of five minutes
    python -m benchmarks.ingest --cameras 2 --seconds 60

The videos are those of a district, repeated until they are long enough. All sides get the same decoder, the same
detector and re-ID engines and all cores, each in a process of its own, one after the other. BoT-SORT runs as
ultralytics runs it, one camera after the other and one frame at a time; without its motion compensation, which is for
moving cameras, unless `--gmc` names one. `ours` is what `serving.worker` does, but for the store; `gated` is that with
the motion gate, `described` with attributes, which the peer does not have, `two_models` with embeddings by a second
re-ID engine, as while a model is rolled out: the same one again, unless `--previous` names another. Peak memory is of
the process, `memory_mb` what it held after each tenth of the frames; `cpu_seconds` are of all cores, and tell more than
the clock where other work runs beside.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import threading
import types
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import av
import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from domain.boxes import Detections
from domain.cores import available_cores
from domain.images import crop_boxes
from serving.deployment import Deployment
from serving.ingestion.following import CameraVideo, StageClock, TrackingSettings, follow
from serving.ingestion.settings import IngestSettings
from serving.perception.batching import SharedPerception
from serving.perception.perception import Engines, Perception, open_engine
from serving.video.files import VideoReader

_START = datetime(2026, 5, 12, tzinfo=UTC)
_TENTHS = 10
_SIDES = ("ours", "gated", "described", "bot_sort")
_MORE_SIDES = ("two_models",)
_OVERRIDES = {"gated": ["tracking.motion_gate.enabled=true"]}


class Progress:
    """Frames passed by all threads, and the memory that the process held on the way."""

    def __init__(self, num_frames: int) -> None:
        """None yet, of `num_frames`."""
        self._num_frames, self.passed = num_frames, 0
        self._lock = threading.Lock()
        self.memory_mb: list[float] = []

    def add(self, frames: int) -> None:
        """Some more frames were passed."""
        with self._lock:
            self.passed += frames
            if self.passed * _TENTHS >= self._num_frames * (len(self.memory_mb) + 1):
                self.memory_mb.append(round(_memory_mb(), 1))


def ours(
    videos: Sequence[Path],
    root: Path,
    progress: Progress,
    *,
    describes: bool,
    overrides: Sequence[str],
    previous: Path | None = None,
) -> dict[str, Any]:
    """As `serving.worker` follows: a thread a camera, batches over all of them."""
    ingest = IngestSettings.from_params("serving.ingest", overrides)
    threads = max(1, available_cores() // ingest.batches_at_once)
    tracking, engines = _engines(root, describes, threads, overrides)
    perception = SharedPerception(
        *engines,
        tracking.perception,
        open_engine(previous, "reid", tracking.perception.without_plan, threads) if previous is not None else None,
        max_wait_s=ingest.batch_wait_s,
        batches_at_once=ingest.batches_at_once,
    )
    _warm_up(perception)
    clocks = [StageClock() for _ in videos]

    def work(number: int) -> int:
        camera = CameraVideo(videos[number].stem, videos[number], _START)
        with perception.user():
            [followed] = follow([camera], perception, tracking, on_frames=progress.add, clock=clocks[number])
        return len(followed.tracklets)

    start, cpu_start = perf_counter(), process_time()
    with ThreadPoolExecutor(ingest.cameras_at_once) as pool:
        tracklets = sum(pool.map(work, range(len(videos))))
    seconds, cpu_s = perf_counter() - start, process_time() - cpu_start
    stages = sorted({stage for clock in clocks for stage in clock.seconds})
    spent = {stage: round(sum(clock.seconds.get(stage, 0.0) for clock in clocks), 2) for stage in stages}
    return {"seconds": seconds, "cpu_seconds": cpu_s, "tracklets": tracklets, "seconds_in_threads": spent}


def bot_sort(
    videos: Sequence[Path], root: Path, progress: Progress, *, gmc: str, overrides: Sequence[str]
) -> dict[str, Any]:
    """As ultralytics' `track` runs it, the re-ID engine in place of its encoder."""
    tracking, engines = _engines(root, False, available_cores(), overrides)
    perception = Perception(*engines, tracking.perception)
    _warm_up(perception)
    make_tracker = _bot_sort_maker(gmc, perception)
    clock = StageClock()
    tracks = 0
    start, cpu_start = perf_counter(), process_time()
    for video in videos:
        tracker = make_tracker()
        ids: set[int] = set()
        with VideoReader(video) as reader:
            frames = iter(reader)
            while True:
                with clock.timed("decode"):
                    frame = next(frames, None)
                if frame is None:
                    break
                with clock.timed("detect"):
                    [found] = perception.detect([frame.image])
                with clock.timed("track and embed"):
                    rows = tracker.update(_as_results(found), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
                ids.update(int(row[4]) for row in rows)
                progress.add(1)
        tracks += len(ids)
    seconds, cpu_s = perf_counter() - start, process_time() - cpu_start
    spent = {stage: round(stage_s, 2) for stage, stage_s in clock.seconds.items()}
    return {"seconds": seconds, "cpu_seconds": cpu_s, "tracklets": tracks, "seconds_in_threads": spent}


def repeat_video(source: Path, target: Path, seconds: float) -> int:
    """Write `source` again and again into `target`, packets as they are, until it is `seconds` long; how many."""
    num_frames, shift = 0, Fraction(0)
    with av.open(str(target), "w") as output:
        stream = None
        while shift < seconds:
            with av.open(str(source)) as container:
                template = container.streams.video[0]
                frame_s = 1 / Fraction(template.average_rate or 25)
                stream = stream or output.add_stream_from_template(template)
                first = num_frames
                for packet in container.demux(template):
                    if packet.dts is None or shift + packet.dts * packet.time_base >= seconds:
                        continue
                    offset = round(shift / packet.time_base)
                    packet.dts, packet.pts = packet.dts + offset, (packet.pts or packet.dts) + offset
                    packet.stream = stream
                    output.mux(packet)
                    num_frames += 1
                shift += (num_frames - first) * frame_s
    return num_frames


def _engines(root: Path, describes: bool, threads: int, overrides: Sequence[str]) -> tuple[TrackingSettings, Engines]:
    deployment = replace(Deployment.read(Path(), overrides), root=root)
    tracking = TrackingSettings.from_params("tracking", overrides)
    cv2.setNumThreads(available_cores())  # importing ultralytics sets it to one
    wanted = deployment if describes else replace(deployment, attributes=None)
    return tracking, wanted.open_engines(threads)


def _warm_up(perception: Perception) -> None:
    grey = np.full((64, 32, 3), 128, np.uint8)
    perception.detect([grey])
    perception.embed([grey])
    perception.attributes([grey])
    perception.embed_as_before([grey])


class _Results:
    """Detections as ultralytics' trackers read them."""

    def __init__(self, boxes_xyxy: np.ndarray, scores: np.ndarray) -> None:
        self.xyxy, self.conf = boxes_xyxy, scores
        self.cls = np.zeros(len(scores))
        sizes = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
        self.xywh = np.concatenate([boxes_xyxy[:, :2] + sizes / 2, sizes], axis=1)

    def __len__(self) -> int:
        return len(self.conf)

    def __getitem__(self, chosen: np.ndarray) -> "_Results":
        return _Results(self.xyxy[chosen], self.conf[chosen])


def _as_results(found: Detections) -> _Results:
    return _Results(found.boxes_xyxy.astype(np.float64), found.scores)


def _bot_sort_maker(gmc: str, perception: Perception) -> Callable[[], Any]:
    """Makes trackers with ultralytics' default settings but for re-ID, and thresholds that fit the detector."""
    if "lap" not in sys.modules:
        sys.modules["lap"] = _lap()
    os.environ["YOLO_CONFIG_DIR"] = str(Path(".ultralytics").resolve())  # not in the user's home; read at the import
    from ultralytics.trackers.bot_sort import BOTSORT
    from ultralytics.utils import YAML, IterableSimpleNamespace
    from ultralytics.utils.checks import check_yaml

    cv2.setNumThreads(available_cores())
    strong = perception.strong_score
    defaults = YAML.load(check_yaml("botsort.yaml"))
    defaults |= {"gmc_method": gmc, "track_high_thresh": strong, "new_track_thresh": strong, "model": "engine"}

    def encode(image: np.ndarray, boxes_xywh: np.ndarray) -> list[np.ndarray]:
        centres, sizes = boxes_xywh[:, :2], boxes_xywh[:, 2:4]
        boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
        return list(perception.embed(crop_boxes(image[:, :, ::-1], boxes)))

    def make() -> Any:
        tracker = BOTSORT(IterableSimpleNamespace(**defaults))
        tracker.args.with_reid, tracker.encoder = True, encode
        return tracker

    return make


def _lap() -> types.ModuleType:
    """What ultralytics' trackers take from the package lap, by SciPy: theirs is not among the requirements."""

    def lapjv(costs: np.ndarray, extend_cost: bool, cost_limit: float) -> tuple[float, np.ndarray, np.ndarray]:
        rows, columns = costs.shape
        extended = np.full((rows + columns, rows + columns), cost_limit / 2)
        extended[:rows, :columns], extended[rows:, columns:] = costs, 0
        of_row, of_column = np.full(rows, -1), np.full(columns, -1)
        for row, column in zip(*linear_sum_assignment(extended), strict=True):
            if row < rows and column < columns:
                of_row[row], of_column[column] = column, row
        return 0.0, of_row, of_column

    module = types.ModuleType("lap")
    module.__dict__.update(lapjv=lapjv, __version__="0.5.12")
    return module


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _measure(side: str, videos: Sequence[Path], num_frames: int, options: argparse.Namespace) -> dict[str, Any]:
    progress = Progress(num_frames)
    if side == "bot_sort":
        figures = bot_sort(videos, options.root, progress, gmc=options.gmc, overrides=options.overrides)
    else:
        overrides = [*options.overrides, *_OVERRIDES.get(side, [])]
        deployment = replace(Deployment.read(Path(), overrides), root=options.root)
        previous = (options.previous or deployment.engine(deployment.reid)) if side == "two_models" else None
        figures = ours(
            videos,
            options.root,
            progress,
            describes=side == "described",
            overrides=overrides,
            previous=previous,
        )
    return figures | {
        "frames": progress.passed,
        "frames_a_second": progress.passed / figures["seconds"],
        "real_time_factor": len(videos) * options.seconds / figures["seconds"],
        "memory_mb": progress.memory_mb,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def _in_process(side: str, videos: Sequence[Path], num_frames: int, options: argparse.Namespace) -> dict[str, Any]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, side, videos, num_frames, options).result()


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(), help="the folder with engines/")
    parser.add_argument("--videos", type=Path, help="a folder of .mp4 files; data/demo/videos below --root")
    parser.add_argument("--cameras", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=300, help="length of each video")
    parser.add_argument("--gmc", default="none", help="motion compensation of BoT-SORT; its default is sparseOptFlow")
    parser.add_argument("--sides", nargs="+", default=_SIDES, choices=_SIDES + _MORE_SIDES)
    parser.add_argument("--previous", type=Path, help="re-ID engine of the side two_models")
    parser.add_argument("overrides", nargs="*", help="settings, such as serving.ingest.cameras_at_once=2")
    options = parser.parse_args()
    sources = sorted((options.videos or options.root / "data" / "demo" / "videos").glob("*.mp4"))
    if not sources:
        parser.error("--videos must be a folder of .mp4 files; run make demo first")
    with tempfile.TemporaryDirectory() as folder:
        videos = [Path(folder) / f"camera{number}.mp4" for number in range(options.cameras)]
        num_frames = sum(
            repeat_video(sources[number % len(sources)], video, options.seconds) for number, video in enumerate(videos)
        )
        results = {side: _in_process(side, videos, num_frames, options) for side in options.sides}
    metadata = {
        "machine": platform.machine(),
        "cores": available_cores(),
        "cameras": options.cameras,
        "seconds_each": options.seconds,
        "settings": options.overrides,
    }
    json.dump({"metadata": metadata, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
