"""Checks of a district's videos, their ground truth and the people to find in them."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from districts.box_files import ParsedTracks, parse_tracks
from districts.findings import Finding, fatal
from districts.layout import District, read_problems
from districts.pictures import PictureChecks
from domain.attributes import AttributeSchema
from domain.errors import InputError
from domain.video_probe import opened_video


def check_videos(folder: Path, district: District, schema: AttributeSchema) -> Iterator[Finding]:
    """Defects of the videos in `folder`."""
    identities: dict[int, set[str]] = {}
    num_tables = 0
    for camera in district.cameras:
        video, truth = folder / "videos" / f"{camera.id}.mp4", folder / "videos" / f"{camera.id}.txt"
        problem = _video_problem(video)
        if problem:
            yield Finding(True, str(video), problem)
        if camera.start is None or camera.start.tzinfo is None:
            message = f"camera {camera.id} must have a start with a time zone, got {camera.start}"
            yield Finding(True, str(folder / "district.yaml"), message)
        try:
            tracks = parse_tracks(truth)
        except InputError as error:
            yield fatal(truth, error)
            continue
        num_tables += not tracks.wrong
        yield from _check_truth(truth, tracks)
        for identity in np.unique(tracks.table.tracks[tracks.table.is_counted]):
            identities.setdefault(int(identity), set()).add(camera.id)
    if district.cameras and num_tables == len(district.cameras) and not identities:
        yield Finding(True, str(folder / "videos"), "the ground truth must have a person who counts, got nobody")
    yield from _check_problems(folder, schema, identities)


def _check_truth(file: Path, tracks: ParsedTracks) -> Iterator[Finding]:
    for line, message in tracks.wrong.items():
        yield Finding(True, f"{file}, line {line}", message)
    if tracks.left_out:
        kinds = ", ".join(f"{name} ({number} boxes)" for name, number in sorted(tracks.left_out.items()))
        message = (
            f"column 8 has other classes than person, which do not count: {kinds}; class 1 is a person unless "
            f"{file.parent.name}/labels.txt names the classes"
        )
        yield Finding(False, str(file), message)
    counted = tracks.table.is_counted
    if len(counted) and not counted.any():
        message = f"none of {len(counted)} boxes counts: column 7 is 0, or column 8 another class than person"
        yield Finding(False, str(file), message)
    first_lines: dict[tuple[int, int], int] = {}
    for row in np.flatnonzero(counted):
        key, line = (int(tracks.table.frames[row]), int(tracks.table.tracks[row])), tracks.lines[row]
        if first_lines.setdefault(key, line) != line:
            message = f"identity {key[1]} must have one box in frame {key[0]}, got another in line {first_lines[key]}"
            yield Finding(True, f"{file}, line {line}", message)


def _check_problems(folder: Path, schema: AttributeSchema, identities: dict[int, set[str]]) -> Iterator[Finding]:
    file = folder / "videos" / "problems.yaml"
    try:
        problems = read_problems(folder)
    except InputError as error:
        yield fatal(file, error)
        return
    for number, problem in enumerate(problems, start=1):
        place = f"{file}, entry {number}"
        cameras = identities.get(problem.identity, set())
        if problem.camera not in cameras:
            yield Finding(True, place, f"identity {problem.identity} must be in the ground truth of {problem.camera}")
        elif len(cameras) == 1:
            yield Finding(
                True,
                place,
                f"identity {problem.identity} must also be in the ground truth of another camera than {problem.camera}",
            )
        checks = PictureChecks(folder / "videos", is_evaluated=True)
        for crop in problem.crops:
            checks.look_at(folder / "videos" / crop, place)
        yield from checks.summary()
        for group, label in problem.attributes.items():
            if group not in schema.group_names or label not in schema.group(group).label_names:
                yield Finding(True, place, f"{group}={label} must be in the attribute schema {schema.name}")


def _video_problem(file: Path) -> str | None:
    """Defect of a video, or None; only the first frame is decoded."""
    if not file.is_file():
        others = [path.name for path in sorted(file.parent.iterdir()) if path.stem.casefold() == file.stem.casefold()]
        videos = [name for name in others if not name.lower().endswith(".txt")]
        return f"must exist; rename {', '.join(videos)}, or convert it to MP4" if videos else "must exist"
    try:
        with opened_video(file) as container:
            next(container.decode(video=0))
    except InputError as error:
        return str(error).removeprefix(f"{file} ")
    except (av.FFmpegError, StopIteration) as error:
        return f"must be a video that FFmpeg can decode, got {error or 'no frame'}"
    return None
