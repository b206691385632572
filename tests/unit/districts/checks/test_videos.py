"""Defects of videos, their ground truth and the people to find in them."""

from pathlib import Path

import pytest
import yaml

from districts.checks.district import check_district
from tests.helpers.damages import (
    Damage,
    both,
    fatal,
    film,
    overwrite,
    remove,
    rename,
    replace,
    require_fatal,
    require_warning,
)

pytestmark = pytest.mark.slow

FATAL = [
    pytest.param(overwrite("videos/c1.txt", "0,5,2,2,8,20\n"), "videos/c1.txt, line 1", "count from 1", id="frame 0"),
    pytest.param(
        overwrite("videos/c1.txt", "1,5,2,2,8,20\n1,6,2,2,8,20\n1,5,9,9,8,20\n"),
        "videos/c1.txt, line 3",
        "identity 5 must have one box in frame 1, got another in line 1",
        id="two boxes of one person",
    ),
    pytest.param(
        both(*(overwrite(f"videos/{name}.txt", "1,5,2,2,8,20,0,1,1\n") for name in ("c1", "c2"))),
        "videos",
        "must have a person who counts, got nobody",
        id="nobody counts",
    ),
    pytest.param(
        overwrite("videos/labels.txt", "car\nbicycle\n"), "videos/c1.txt", "must name a class person", id="no person"
    ),
    pytest.param(
        replace("videos/problems.yaml", "frame: 1", "frame: 9"),
        "videos/problems.yaml, entry 1",
        "frame must be one in which c1 sees identity 5, 1 to 1, got 9",
        id="frame of a problem",
    ),
    pytest.param(rename("videos/c2.mp4", "videos/c2.MP4"), "videos/c2.mp4", "must exist; rename c2.MP4", id="MP4"),
    pytest.param(remove("videos/c2.mp4"), "videos/c2.mp4", "must exist", id="no video"),
    pytest.param(
        overwrite("videos/c2.mp4", "x"), "videos/c2.mp4", "must be a video that PyAV can read", id="unreadable video"
    ),
    pytest.param(
        overwrite("videos/c2.txt", "1,5,2\n"),
        "videos/c2.txt, line 1",
        "must have at least 6 numbers",
        id="ground truth too short",
    ),
    pytest.param(
        replace("videos/problems.yaml", "identity: 5", "identity: 9"),
        "videos/problems.yaml, entry 1",
        "identity 9 must be in the ground truth of c1",
        id="person not in the ground truth",
    ),
    pytest.param(
        overwrite("videos/c2.txt", ""),
        "videos/problems.yaml, entry 1",
        "identity 5 must also be in the ground truth of another camera than c1",
        id="seen by one camera",
    ),
    pytest.param(
        replace("videos/problems.yaml", "problems/p1.png", "problems/p2.png"),
        "videos/problems.yaml, entry 1",
        "p2.png must be a readable picture",
        id="no crop",
    ),
    pytest.param(
        replace("videos/problems.yaml", "gender: male", "gender: man"),
        "videos/problems.yaml, entry 1",
        "gender=man must be in the attribute schema",
        id="label of a problem",
    ),
    pytest.param(
        overwrite("videos/problems.yaml", "problems: 3\n"),
        "videos/problems.yaml",
        "must have a list `problems`",
        id="no problems",
    ),
]


WARNINGS = [
    pytest.param(
        overwrite("videos/c1.txt", "1,5,2,2,8,20\n2,5,2,2,8,20\n9,5,2,2,8,20\n"),
        "c1.txt: 2 of 3 boxes are behind the end of the video, which has 1 frames: the ground truth goes on to frame 9",
        id="ground truth of a longer video",
    ),
    pytest.param(
        film("videos/c1.mp4", 9),
        "c1.txt: ends at frame 1 of 9: people behind it must be labelled, or there are none",
        id="ground truth of the beginning",
    ),
    pytest.param(
        replace("district.yaml", "fps: 2", "fps: 25"), "c1.mp4: has 2 frames a second; district.yaml says 25", id="rate"
    ),
    pytest.param(
        replace("district.yaml", "width_px: 32", "width_px: 64"),
        "c1.mp4: has 32 × 32 pixels; district.yaml says 64 × 32",
        id="size of the video",
    ),
    pytest.param(
        overwrite("videos/c2.txt", "1,5,2,2,8,20\n1,6,900,400,80,200\n"),
        "c2.txt: 1 of 2 boxes are outside of the video, which has 32 × 32 pixels",
        id="ground truth of a larger video",
    ),
    pytest.param(
        overwrite("videos/c1.txt", "1,5,2,2,8,20,1,1,1\n1,6,2,2,8,20,1,2,1\n1,7,2,2,8,20,1,2,1\n"),
        "c1.txt: column 8 has other classes than person, which do not count: class 2 (2 boxes)",
        id="cars in the ground truth",
    ),
]


@pytest.mark.parametrize(("damage", "place", "message"), FATAL)
def test_a_fatal_defect_is_named(district: Path, damage: Damage, place: str, message: str) -> None:
    require_fatal(district, damage, place, message)


@pytest.mark.parametrize(("damage", "message"), WARNINGS)
def test_a_lesser_defect_is_a_warning(district: Path, damage: Damage, message: str) -> None:
    require_warning(district, damage, message)


def test_cameras_without_video_or_ground_truth_are_told(district: Path) -> None:
    described = yaml.safe_load((district / "district.yaml").read_text())
    cameras = described["cameras"]
    cameras += [cameras[0] | {"id": f"c{number}", "start": None} for number in range(3, 9)]
    (district / "district.yaml").write_text(yaml.safe_dump(described))
    (district / "videos/c2.txt").unlink()
    (district / "videos/problems.yaml").unlink()
    found = {finding.message for finding in check_district(district) if "videos" in finding.place}
    assert found == {
        "cameras without video, in which nobody is followed: c3, c4, c5, c6, c7, c8",
        "videos without ground truth, on which tracking is not measured: c2",
        "is missing: search and routes are not measured",
    }
    assert fatal(district) == []


def test_videos_of_no_camera_are_refused(district: Path) -> None:
    for file in (district / "videos").glob("c*"):
        file.rename(district / "videos" / f"other-{file.name}")
    (district / "videos/problems.yaml").unlink()
    assert ["must hold <camera>.mp4 of a camera" in finding.message for finding in fatal(district)] == [True]
