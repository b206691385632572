"""Renders the demo district: films each session with each camera, then cuts the data sets from the videos."""

import csv
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml
from tqdm import tqdm

from districts.demo.crop_sets import CropSets, cut_crops, gap_frames, roaming_identities, times_of_crops
from districts.demo.cuts import Cut, write_cuts
from districts.demo.detection_set import choose_frames, cut_detection
from districts.demo.filming import film
from districts.demo.ground_truth import GroundTruth, write_ground_truth
from districts.demo.problems import pose_problems
from districts.demo.sessions import SCHEMA, SPLITS, TIME_ZONE, Session, plan_session, start_of
from districts.demo.settings import DemoSettings
from districts.demo.streets import camera_of
from districts.importing.crop_sets import write_times
from districts.layout import District, Split
from domain.schemas import read_schema

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _Job:
    """A video to film."""

    settings: DemoSettings
    split: Split
    number: int  # of the camera
    folder: Path


def render_demo(name: str, settings: DemoSettings, folder: Path) -> None:
    """Write the district into `folder`: videos, ground truth, problems and the three data sets."""
    sessions = {split: plan_session(split, settings) for split in SPLITS}
    jobs = [_Job(settings, split, number, folder) for split in SPLITS for number in range(settings.num_cameras)]
    jobs.sort(key=lambda job: -sessions[job.split].num_frames)
    truths = dict(
        zip(
            [(job.split, job.number) for job in jobs],
            _in_processes(_film, jobs, settings.num_processes, "filming"),
            strict=True,
        )
    )
    _write_district(name, settings, folder)
    cuts: dict[Path, list[Cut]] = {}
    times: dict[str, float] = {}
    for split, session in sessions.items():
        _cut_session(session, settings, folder, [truths[split, n] for n in range(settings.num_cameras)], cuts)
        videos = [_video(folder, session, number) for number in range(settings.num_cameras)]
        times |= times_of_crops(session, [cut for video in videos for cut in cuts[video]])
    tasks = [(folder, video, cuts[video]) for video in sorted(cuts)]
    _in_processes(_write_cuts, tasks, settings.num_processes, "cutting")
    write_times(folder / "reid" / "times.csv", times)


def _in_processes(
    work: Callable[[Any], _Result], tasks: Iterable[Any], num_processes: int, title: str
) -> list[_Result]:
    """Results of `work` on each of `tasks`, in order, with a progress bar."""
    tasks = list(tasks)
    if num_processes == 1:
        return [work(task) for task in tqdm(tasks, desc=title, unit="video", disable=None)]
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn")) as pool:
        return list(tqdm(pool.map(work, tasks), total=len(tasks), desc=title, unit="video", disable=None))


def _film(job: _Job) -> GroundTruth:
    session = plan_session(job.split, job.settings)
    video = _video(job.folder, session, job.number)
    truth = film(session, job.number, video)
    write_ground_truth(video.with_suffix(".txt"), truth)
    return truth


def _write_cuts(task: tuple[Path, Path, list[Cut]]) -> None:
    write_cuts(*task)


def _video(folder: Path, session: Session, number: int) -> Path:
    parent = folder / "videos" if session.split == "test" else folder / "recordings" / session.split
    return parent / f"{session.plan.places[number].id}.mp4"


def _cut_session(
    session: Session, settings: DemoSettings, folder: Path, truths: list[GroundTruth], cuts: dict[Path, list[Cut]]
) -> None:
    """Write the labels of one session and add its pictures to `cuts`, by video."""
    rng = np.random.default_rng([*session.seed, 300])
    roaming = roaming_identities(truths, gap_frames(session))
    rows: list[dict[str, str]] = []
    share = -(-session.settings.num_frames // len(truths))
    for number, truth in enumerate(truths):
        frames = choose_frames(truth, share, session.num_frames, rng)
        camera = session.plan.places[number].id
        sets: CropSets = cut_crops(session, number, truth, roaming, settings.unknown_share, rng)
        rows.extend(sets.attribute_rows)
        cuts[_video(folder, session, number)] = [
            *cut_detection(folder, session.split, camera, truth, frames),
            *sets.cuts,
        ]
    _write_attributes(folder / "attributes" / f"{session.split}.csv", rows)
    if session.split == "test":
        problems, crops = pose_problems(session, truths, settings.num_problems, rng)
        for number, pictures in crops.items():
            cuts[_video(folder, session, number)].extend(pictures)
        content = {"problems": [problem.model_dump(mode="json") for problem in problems]}
        (folder / "videos" / "problems.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _write_attributes(file: Path, rows: list[dict[str, str]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, ["image", "identity", "camera", *read_schema(SCHEMA).group_names])
        writer.writeheader()
        writer.writerows(rows)


def _write_district(name: str, settings: DemoSettings, folder: Path) -> None:
    session = plan_session("test", settings)
    district = District(
        name=name,
        time_zone=TIME_ZONE,
        attribute_schema=SCHEMA,
        source=f"rendered by districts.demo from seed {settings.seed}; nobody in it exists",
        licence="CC0-1.0",
        cameras=tuple(
            camera_of(place, session.settings.fps, start_of("test").isoformat()) for place in session.plan.places
        ),
    )
    content = district.model_dump(mode="json")
    (folder / "district.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
