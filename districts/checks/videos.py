"""Checks of a district's videos, their ground truth and the people to find in them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np

from districts.box_files import ParsedTracks, parse_tracks
from districts.checks.pictures import PictureChecks
from districts.checks.readings import Readings
from districts.findings import Finding, fatal, listed
from districts.layout import District, read_problems
from districts.placeholders import unknown_facts
from domain.attributes import AttributeSchema
from domain.cameras import Camera
from domain.errors import InputError
from domain.video_probe import opened_video

_SAME_RATE = 0.05  # relative
_LEAST_COVERED = 0.5  # of the video by its ground truth
_Seen = dict[int, dict[str, tuple[int, int]]]  # identity -> camera -> first and last frame


def check_videos(folder: Path, district: District, schema: AttributeSchema) -> Iterator[Finding]:
    """Defects of the videos in `folder`."""
    seen: _Seen = {}
    num_tables = 0
    unfilmed, unannotated = [], []
    for camera in district.cameras:
        video, truth = folder / "videos" / f"{camera.id}.mp4", folder / "videos" / f"{camera.id}.txt"
        if not video.exists() and not truth.exists() and not _other_forms(video):
            unfilmed.append(camera.id)
            continue
        size, num_frames, findings = _check_video(video, camera)
        yield from findings
        if camera.start is None or camera.start.tzinfo is None:
            message = f"camera {camera.id} must have a start with a time zone, got {camera.start}"
            yield Finding(True, str(folder / "district.yaml"), message)
        if not truth.exists():
            unannotated.append(camera.id)
            continue
        try:
            tracks = parse_tracks(truth)
        except InputError as error:
            yield fatal(truth, error)
            continue
        num_tables += not tracks.wrong
        yield from _check_truth(truth, tracks, size)
        yield from _check_length(truth, tracks, num_frames)
        counted = tracks.table.is_counted
        for identity in np.unique(tracks.table.tracks[counted]):
            frames = tracks.table.frames[counted & (tracks.table.tracks == identity)]
            seen.setdefault(int(identity), {})[camera.id] = int(frames.min()), int(frames.max())
    yield from _check_coverage(folder / "videos", district, unfilmed, unannotated)
    num_annotated = len(district.cameras) - len(unfilmed) - len(unannotated)
    if num_annotated and num_tables == num_annotated and not seen:
        yield Finding(True, str(folder / "videos"), "the ground truth must have a person who counts, got nobody")
    yield from _check_problems(folder, schema, seen)


def _check_coverage(
    videos: Path, district: District, unfilmed: Sequence[str], unannotated: Sequence[str]
) -> Iterator[Finding]:
    """Cameras without video, and videos without ground truth."""
    if len(unfilmed) == len(district.cameras):
        yield Finding(True, str(videos), "must hold <camera>.mp4 of a camera in district.yaml, got none")
        return
    if unfilmed:
        yield Finding(False, str(videos), f"cameras without video, in which nobody is followed: {listed(unfilmed)}")
    if unannotated:
        message = f"videos without ground truth, on which tracking is not measured: {listed(unannotated)}"
        yield Finding(False, str(videos), message)
    if not (videos / "problems.yaml").exists():
        yield Finding(False, str(videos / "problems.yaml"), "is missing: search and routes are not measured")


def _check_truth(file: Path, tracks: ParsedTracks, size: tuple[int, int] | None) -> Iterator[Finding]:
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
    centres = (tracks.table.boxes_xyxy[:, :2] + tracks.table.boxes_xyxy[:, 2:]) / 2
    # Either side, since the video may be a turned one.
    if size is not None and (outside := (counted & ((centres < 0) | (centres > max(size))).any(axis=1)).sum()):
        message = f"{outside} of {counted.sum()} boxes are outside of the video, which has {size[0]} × {size[1]} pixels"
        yield Finding(False, str(file), message)
    first_lines: dict[tuple[int, int], int] = {}
    for row in np.flatnonzero(counted):
        key, line = (int(tracks.table.frames[row]), int(tracks.table.tracks[row])), tracks.lines[row]
        if first_lines.setdefault(key, line) != line:
            message = f"identity {key[1]} must have one box in frame {key[0]}, got another in line {first_lines[key]}"
            yield Finding(True, f"{file}, line {line}", message)


def _check_length(file: Path, tracks: ParsedTracks, num_frames: int) -> Iterator[Finding]:
    """Ground truth that goes on behind the end of the video, or covers less than half of it; 0 frames: unknown."""
    frames = tracks.table.frames
    if not num_frames or not len(frames):
        return
    if beyond := int((frames > num_frames).sum()):
        message = (
            f"{beyond} of {len(frames)} boxes are behind the end of the video, which has {num_frames} frames: the "
            f"ground truth goes on to frame {frames.max()}. It may belong to another video or another frame rate"
        )
        yield Finding(False, str(file), message)
    elif frames.max() < _LEAST_COVERED * num_frames:
        message = f"ends at frame {frames.max()} of {num_frames}: people behind it must be labelled, or there are none"
        yield Finding(False, str(file), message)


def _check_problems(folder: Path, schema: AttributeSchema, seen: _Seen) -> Iterator[Finding]:
    file = folder / "videos" / "problems.yaml"
    try:
        problems = read_problems(folder)
    except InputError as error:
        yield fatal(file, error)
        return
    for number, problem in enumerate(problems, start=1):
        place = f"{file}, entry {number}"
        cameras = seen.get(problem.identity, {})
        if problem.camera not in cameras:
            yield Finding(True, place, f"identity {problem.identity} must be in the ground truth of {problem.camera}")
        elif len(cameras) == 1:
            yield Finding(
                True,
                place,
                f"identity {problem.identity} must also be in the ground truth of another camera than {problem.camera}",
            )
        first, last = cameras.get(problem.camera, (problem.frame, problem.frame))
        if not first <= problem.frame <= last:
            message = f"frame must be one in which {problem.camera} sees identity {problem.identity}, {first} to {last}"
            yield Finding(True, place, f"{message}, got {problem.frame}")
        checks = PictureChecks(folder / "videos", Readings(), is_evaluated=True)
        for crop in problem.crops:
            checks.look_at(folder / "videos" / crop, place)
        yield from checks.summary()
        for group, label in problem.attributes.items():
            if group not in schema.group_names or label not in schema.group(group).label_names:
                yield Finding(True, place, f"{group}={label} must be in the attribute schema {schema.name}")


def _check_video(file: Path, camera: Camera) -> tuple[tuple[int, int] | None, int, list[Finding]]:
    """Width and height of a camera's video, its number of frames (0: unknown), and its defects.

    Only the first frame is decoded.
    """
    if not file.is_file():
        videos = _other_forms(file)
        problem = f"must exist; rename {', '.join(videos)}, or convert it to MP4" if videos else "must exist"
        return None, 0, [Finding(True, str(file), problem)]
    try:
        with opened_video(file) as container:
            stream = container.streams.video[0]
            frame, rate, num_frames = next(container.decode(video=0)), stream.average_rate, stream.frames
    except InputError as error:
        return None, 0, [fatal(file, error)]
    except (av.FFmpegError, StopIteration) as error:
        problem = f"must be a video that FFmpeg can decode, got {error or 'no frame'}"
        return None, 0, [Finding(True, str(file), problem)]
    size, unknown = (frame.width, frame.height), unknown_facts(camera)
    findings = []
    if "fps" not in unknown and rate is not None and abs(float(rate) / camera.fps - 1) > _SAME_RATE:
        message = f"has {float(rate):.3g} frames a second; district.yaml says {camera.fps:g} for {camera.id}"
        findings.append(Finding(False, str(file), message))
    if "width_px and height_px" not in unknown and {*size} != {camera.width_px, camera.height_px}:
        message = f"has {size[0]} × {size[1]} pixels; district.yaml says {camera.width_px} × {camera.height_px}"
        findings.append(Finding(False, str(file), message))
    return size, num_frames, findings


def _other_forms(video: Path) -> list[str]:
    """Names of files that may be the missing `video` in another form."""
    same = [path.name for path in sorted(video.parent.iterdir()) if path.stem.casefold() == video.stem.casefold()]
    return [name for name in same if not name.lower().endswith(".txt")]
