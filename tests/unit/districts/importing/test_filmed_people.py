"""Crops that are cut from tracks: whose they are, when they were taken, and that nobody is trained on and tested."""

from pathlib import Path

import numpy as np
import pytest

from districts.checks.district import check_district
from districts.importing.annotated import Annotated, Recording, TrackBox
from districts.importing.district_folder import import_annotated
from districts.importing.options import Options
from districts.importing.source_files import SourceFiles
from districts.layout import read_district, read_reid_folder
from domain.errors import InputError
from domain.images import read_image
from tests.helpers.imports_of_data import write_video

STARTS = ("north=2026-05-12T18:40:00+09:00", "south=2026-05-12T18:41:00+09:00")
EARLY, MIDDLE, LATE = range(1, 13), range(14, 16), range(17, 21)  # frames of training, validation and test


@pytest.fixture
def source(tmp_path: Path) -> SourceFiles:
    """Two recordings of twenty frames, two a second."""
    for camera in ("north", "south"):
        write_video(tmp_path / f"in/{camera}.mp4")
    return SourceFiles(tmp_path / "in")


def walk(track: int, frames: range) -> list[TrackBox]:
    return [TrackBox(frame, track, "person", (0.1, 0.2, 0.4, 0.8)) for frame in frames]


def recordings(source: SourceFiles, north: list[TrackBox], south: list[TrackBox]) -> Annotated:
    both = {"north": north, "south": south}
    whole = range(1, 21)
    return Annotated(
        recordings=[
            Recording(name, source.root / f"{name}.mp4", boxes, annotated=whole) for name, boxes in both.items()
        ]
    )


def three_people(source: SourceFiles) -> Annotated:
    """1 and 2 walk early, 3 in the middle, 4 and 5 late, each before both cameras; 5 was there early, too."""
    boxes = [*walk(1, EARLY), *walk(2, EARLY), *walk(3, MIDDLE), *walk(4, LATE), *walk(5, EARLY), *walk(5, LATE)]
    return recordings(source, boxes, boxes)


def options(**more: object) -> Options:
    return Options("town", shared_identities=True, starts=STARTS, every_s=1.0, **more)  # type: ignore[arg-type]


def test_people_of_the_tested_time_are_not_trained_on(source: SourceFiles, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    import_annotated(three_people(source), source, options(), folder)
    people = {
        part: set(read_reid_folder(folder, part).identities.tolist())  # type: ignore[arg-type]
        for part in ("bounding_box_train", "bounding_box_val", "query", "bounding_box_test")
    }
    assert people == {
        "bounding_box_train": {1, 2}, "bounding_box_val": {3}, "query": {4, 5}, "bounding_box_test": {4, 5},
    }  # fmt: skip
    unfilled = [finding for finding in check_district(folder) if finding.is_fatal and "filled in" in finding.message]
    assert [finding.message.partition(" must")[0] for finding in unfilled] == [
        "camera north: latitude and longitude", "camera south: latitude and longitude",
    ]  # fmt: skip


def test_crops_are_of_the_box_and_have_the_time_of_their_frame(source: SourceFiles, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    import_annotated(three_people(source), source, options(), folder)
    rows = [line.split(",") for line in (folder / "reid/times.csv").read_text().splitlines()[1:]]
    times = {name: float(time) for name, time in rows}
    start = read_district(folder).cameras[0].start
    assert start is not None
    recording = start.timestamp() - 16 / 2  # the tested video begins with frame 17
    assert times["0001_c1s1_000003_01.jpg"] == pytest.approx(recording + 1.0)
    assert times["0001_c2s1_000003_01.jpg"] == pytest.approx(recording + 61.0)
    crop = read_image(folder / "reid/bounding_box_train/0001_c1s1_000003_01.jpg")
    assert crop.shape == (12, 12, 3)
    assert int(np.median(crop)) == pytest.approx(30, abs=4)  # frame 3
    names = [file.name for file in (folder / "reid/bounding_box_train").glob("0001_c1*")]
    assert sorted(int(name.split("_")[2]) for name in names) == [1, 3, 5, 7, 9, 11]  # one a second


def test_without_starts_there_is_no_common_clock(source: SourceFiles, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    import_annotated(three_people(source), source, Options("town", shared_identities=True), folder)
    assert (folder / "reid").is_dir()
    assert not (folder / "reid/times.csv").exists()


def test_a_track_number_is_another_person_in_another_recording(source: SourceFiles) -> None:
    said = import_annotated(three_people(source), source, Options("town"), None)
    assert any("--shared-identities, if a track id is the same person in all recordings" in line for line in said)
    assert not any(line.startswith("re-ID") for line in said)


def test_without_videos_people_are_split_by_identity(source: SourceFiles) -> None:
    boxes = [box for track in range(1, 11) for box in walk(track, range(1, 21))]
    everywhere = recordings(source, boxes, boxes)
    said = import_annotated(everywhere, source, options(), None)
    assert not any(line.startswith("re-ID") for line in said)  # everybody is in the tested time
    said = import_annotated(everywhere, source, options(parts=("reid",)), None)
    assert said[0].startswith(
        "re-ID: 120 crops of 6 people in bounding_box_train, 40 crops of 2 people in bounding_box_val"
    )
    assert len([line for line in said if line.startswith(("detection", "videos"))]) == 0


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        (("east=2026-05-12T18:40:00+09:00",), "--start must name a camera, north, south; got 'east'"),
        (("2026-05-12T18:40:00",), "--start must have a time zone"),
        (("north=noon",), "--start must be a time such as"),
    ],
)
def test_wrong_starts_are_named(starts: tuple[str, ...], message: str, source: SourceFiles) -> None:
    with pytest.raises(InputError, match=message):
        import_annotated(three_people(source), source, Options("town", starts=starts), None)


def test_two_recordings_of_one_camera_are_refused(source: SourceFiles) -> None:
    first = recordings(source, walk(1, EARLY), []).recordings[0]
    with pytest.raises(InputError, match="each recording must have a camera of its own, got 2 called north"):
        import_annotated(Annotated(recordings=[first, first]), source, Options("town"), None)


def test_a_video_that_ends_early_is_named(source: SourceFiles, tmp_path: Path) -> None:
    late = Recording("north", source.root / "north.mp4", walk(1, range(1, 60)), annotated=range(1, 61))
    with pytest.raises(InputError, match="the boxes of north must be within its 20 annotated frames, got frame 60"):
        import_annotated(Annotated(recordings=[late]), source, Options("town"), None)
