"""How long the data report of a large district takes, as JSON.

    python -m benchmarks.data_report --crops market1501 --videos vtest.avi … --num-crops 20000 --num-frames 2000

The district is made of `bounding_box_train`, `query` and `bounding_box_test` below `--crops`, once more mirrored as
other people until there are enough, and of the frames of the videos in turn. The time is that of `districts.prepare`,
which takes the data over, checks them and writes the report.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, redirect_stdout
from itertools import islice
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import yaml

from districts import prepare
from districts.importers.intake import link_or_copy
from districts.importing.description import CameraFacts, write_description
from districts.layout import DISTRACTOR_IDENTITY, SPLITS, find_pictures, identity_and_camera
from domain.cores import available_cores
from domain.images import read_image, write_image
from serving.video.files import VideoReader

_PARTS = ("bounding_box_train", "query", "bounding_box_test")
_FRAME_SIZE = (1280, 720)  # pixels, as many street cameras send
_OTHERS = 5000  # added to the identities of mirrored crops


def main(argv: Sequence[str] | None = None) -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_report", description=__doc__.split("\n")[0])
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--videos", type=Path, nargs="+", required=True)
    parser.add_argument("--num-crops", type=int, default=20_000)
    parser.add_argument("--num-frames", type=int, default=2000)
    chosen = parser.parse_args(argv)
    crops, videos = chosen.crops.resolve(), [video.resolve() for video in chosen.videos]
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write_crops(Path("source"), crops, chosen.num_crops)
        write_frames(Path("source"), videos, chosen.num_frames)
        cameras = [CameraFacts(f"c{number}", 25, 1920, 1080) for number in range(1, 7)]
        facts = {"schema": "market1501", "time_zone": "UTC", "source": "benchmark", "licence": "research"}
        write_description(Path("source"), "large", cameras, **facts)
        settings = {"name": "large", "importer": "folder", "source": "source"}
        Path("params.yaml").write_text(yaml.safe_dump({"district": settings}))
        print(json.dumps(measure(), indent=2))


def measure() -> dict[str, float]:
    """Seconds that `prepare` takes here, and what it found."""
    began, cpu_before = perf_counter(), _cpu_s()
    with redirect_stdout(sys.stderr):
        prepare.main()
    wall, cpu = perf_counter() - began, _cpu_s() - cpu_before
    report = json.loads(Path("data/large/data_report.json").read_text())
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "cores": available_cores(),
        "crops": sum(row["crops"] for row in report["counts"]["re-ID by part"]),
        "frames": sum(row["pictures"] for row in report["counts"]["detection by split"]),
        "warnings": report["num_warnings"],
    }


def _cpu_s() -> float:
    """Seconds of CPU that this process and those that it waited for have taken."""
    return sum(os.times()[:4])


def write_crops(target: Path, source: Path, number: int) -> None:
    """Write `number` crops: some of each part of `source`, or all, and then mirrored ones of other people."""
    files = [(part, file) for part in _PARTS for file in find_pictures(source / part)]
    for place in np.linspace(0, len(files) - 1, min(number, len(files))).astype(int).tolist():
        part, file = files[place]
        copy = target / "reid" / part / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(file, copy)
    people = [(part, file) for part, file in files if identity_and_camera(file)[0] > DISTRACTOR_IDENTITY]
    for part, file in people[: max(number - len(files), 0)]:
        identity, _ = identity_and_camera(file)
        name = f"{identity + _OTHERS:04d}{file.name[file.name.index('_') :]}"
        write_image(target / "reid" / part / name, np.ascontiguousarray(read_image(file)[:, ::-1]), 90)


def write_frames(target: Path, videos: Sequence[Path], number: int) -> None:
    """Write `number` frames of the videos, with a box in each: the first to train, the last to test."""
    for place, picture in enumerate(islice(frames_of(videos), number)):
        split = SPLITS[min(3 * place // number, 2)]
        write_image(target / "detection/images" / split / f"{place:06d}.jpg", cv2.resize(picture, _FRAME_SIZE), 90)
        label = target / "detection/labels" / split / f"{place:06d}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.1 0.4\n")


def frames_of(videos: Sequence[Path]) -> Iterator[np.ndarray]:
    """Frames of all videos, `uint8 [height, width, 3]` RGB."""
    for video in videos:
        with VideoReader(video) as reader:
            yield from (frame.image for frame in reader)


if __name__ == "__main__":
    main()
