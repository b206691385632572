import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from districts.layout import read_district
from domain.errors import InputError
from serving.video.recordings import Naming, passed_over_in_district, recordings_of_district
from tests.helpers.project import ROOT
from tests.helpers.recordings import START, write_district

FILE_NAME = yaml.safe_load((ROOT / "conf" / "serving" / "deployment.yaml").read_text())["ingest"]["file_name"]
EVENING = datetime(2026, 5, 12, 9, 40, tzinfo=UTC)  # 18:40 in Seoul


def naming(camera_id: str | None = None, start: str | None = None, file_name: str = FILE_NAME) -> Naming:
    return Naming(file_name, "Asia/Seoul", camera_id, start)


@pytest.mark.parametrize(
    ("name", "camera"), [("c1_20260512T184000.mkv", "c1"), ("gate_2_20260512T184000.mp4", "gate_2")]
)
def test_a_file_name_says_camera_and_local_time(tmp_path: Path, name: str, camera: str) -> None:
    recording = naming().recording(tmp_path / name)
    assert (recording.camera_id, recording.start, recording.file) == (camera, EVENING, (tmp_path / name).resolve())


@pytest.mark.parametrize(
    "name",
    [
        "c1_20260512184000.mp4",
        "c1_20260512_184000.MP4",
        "c1-2026-05-12-18-40-00.ts",
        "c1 2026-05-12 18.40.00.avi",
        "c1.2026-05-12T18_40_00.flv",
        "c1_20260512T094000Z.mp4",
        "c1_20260512T114000+0200.mp4",
        "c1_20260512184000_20260512190000.dav",
        "c1-20260512-184000-190000.mkv",
        "c1/2026-05-12/18-40-00.mp4",
        "c1/20260512_184000.mp4",
    ],
)
def test_names_that_recorders_give_say_camera_and_time(tmp_path: Path, name: str) -> None:
    by_folder = Naming(FILE_NAME, "Asia/Seoul", cameras={"c1", "c2"})
    if "-00.mp4" in name and "/2026" in name:  # the day is in the folder's name, the time alone in the file's
        with pytest.raises(InputError, match="must have a known start"):
            by_folder.recording(tmp_path / name, tmp_path)
        return
    recording = by_folder.recording(tmp_path / name, tmp_path)
    assert (recording.camera_id, recording.start) == ("c1", EVENING)


def test_a_folder_above_the_one_that_was_given_says_no_camera(tmp_path: Path) -> None:
    folder = tmp_path / "c1" / "today"
    with pytest.raises(InputError, match="must have a known camera"):
        Naming(FILE_NAME, "Asia/Seoul", cameras={"c1"}).recording(folder / "20260512T184000.mp4", folder)


@pytest.mark.parametrize(
    ("zone", "local", "choices"),
    [
        ("Europe/Berlin", "20251026T023000", ["2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00+01:00"]),
        ("America/New_York", "20251102T013000", ["2025-11-02T01:30:00-04:00", "2025-11-02T01:30:00-05:00"]),
        ("Australia/Lord_Howe", "20260405T014500", ["2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30"]),
    ],
)
def test_an_hour_that_clocks_show_twice_is_asked_about(
    tmp_path: Path, zone: str, local: str, choices: list[str]
) -> None:
    named, file = Naming(FILE_NAME, zone), tmp_path / f"c1_{local}.mp4"
    with pytest.raises(InputError, match=f"clocks in {zone} show .* twice on that day") as asked:
        named.recording(file)
    assert all(choice in str(asked.value) for choice in choices)
    for choice in choices:
        sidecar = file.with_name(f"{file.name}.yaml")
        sidecar.write_text(f"start: {choice}\n")
        assert named.recording(file).start.isoformat() == choice
        sidecar.unlink()
        assert Naming(FILE_NAME, zone, start=choice).recording(file).start == datetime.fromisoformat(choice)


@pytest.mark.parametrize(
    ("zone", "local"), [("Europe/Berlin", "20260329T023000"), ("America/New_York", "20260308T020000")]
)
def test_an_hour_that_clocks_never_show_is_refused_and_its_neighbours_are_not(
    tmp_path: Path, zone: str, local: str
) -> None:
    with pytest.raises(InputError, match=r"never on that day: write .* as start: in"):
        Naming(FILE_NAME, zone).recording(tmp_path / f"c1_{local}.mp4")
    for hour in ("01", "03", "04"):
        named = Naming(FILE_NAME, zone).recording(tmp_path / f"c1_{local[:9]}{hour}5900.mp4")
        assert f"T{hour}:59:00" in named.start.isoformat()


def test_any_pattern_may_be_set(tmp_path: Path) -> None:
    pattern = r"(?P<day>\d\d)\.(?P<month>\d\d)\.(?P<year>\d{4}) (?P<hour>\d\d)-(?P<minute>\d\d)-(?P<second>\d\d)"
    recording = naming("c7", file_name=pattern).recording(tmp_path / "12.05.2026 18-40-00.avi")
    assert (recording.camera_id, recording.start) == ("c7", EVENING)


def test_a_sidecar_goes_before_the_name_and_arguments_before_both(tmp_path: Path) -> None:
    file = tmp_path / "c1_20200101T000000.mp4"
    (tmp_path / f"{file.name}.yaml").write_text("camera: c2\nstart: 2026-05-12T11:40:00+02:00\n")
    recording = naming().recording(file)
    assert (recording.camera_id, recording.start) == ("c2", EVENING)
    recording = naming("c3", "2026-05-12T09:40:01Z").recording(file)
    assert (recording.camera_id, recording.start) == ("c3", EVENING + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("name", "said", "complaint"),
    [
        ("holiday.mp4", None, "must have a known camera and start: give it a name that matches"),
        ("holiday.mp4", "camera: c1", "must have a known start: give it a name that matches"),
        ("c1_20261312T184000.mp4", None, "must have a start time in ISO 8601.* got '2026-13-12T18:40:00'"),
        ("holiday.mp4", "camera: c1\nstart: noon", "must have a start time in ISO 8601.* got 'noon'"),
        ("holiday.mp4", "camera: c1\nbegin: 1", "must have only camera: and start:, got"),
        ("holiday.mp4", "- c1", "must have only camera: and start:, got"),
        ("holiday.mp4", "camera: [", "must be YAML: "),
        ("holiday.mp4", "camera: [c1]\nstart: 2026-05-12", "must have only camera: and start:, got"),
    ],
)
def test_what_cannot_be_understood_is_refused(tmp_path: Path, name: str, said: str | None, complaint: str) -> None:
    if said is not None:
        (tmp_path / f"{name}.yaml").write_text(said)
    with pytest.raises(InputError, match=complaint):
        naming().recording(tmp_path / name)


def test_a_districts_videos_may_have_endings_in_capitals_and_others_are_told(tmp_path: Path) -> None:
    folder = write_district(tmp_path / "demo", num_cameras=2)
    (folder / "videos" / "c2.mp4").rename(folder / "videos" / "c2.MP4")
    for name in ("c1.mkv", "c3.mp4", "c1.txt", ".c4.mp4"):
        (folder / "videos" / name).touch()
    district = read_district(folder)
    found = list(recordings_of_district(district, folder))
    assert [one.file.name for one in found if not isinstance(one, InputError)] == ["c1.mp4", "c2.MP4"]
    [remark] = passed_over_in_district(district, folder)
    assert "2 videos in" in remark
    assert "not called <camera>.mp4: c1.mkv, c3.mp4;" in remark


def test_a_districts_videos_start_as_it_says(tmp_path: Path) -> None:
    folder = write_district(tmp_path / "demo", num_cameras=2)
    described = yaml.safe_load((folder / "district.yaml").read_text())
    del described["cameras"][1]["start"]
    (folder / "district.yaml").write_text(yaml.safe_dump(described))
    first, second = recordings_of_district(read_district(folder), folder)
    assert not isinstance(first, InputError)
    assert (first.camera_id, first.start, first.file.name) == ("c1", START + timedelta(minutes=1), "c1.mp4")
    assert "must say when the video of camera c2 starts" in str(second)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("a0: &a0 [x]\na1: [*a0, *a0]\n", "anchors and aliases are not taken at line 1", id="aliases"),
        pytest.param("camera: c1\nstart: &x 2026-05-12T18:40:00\n", "are not taken at line 2", id="an anchor"),
        pytest.param("[" * 50_000, "more than 20 levels are not taken", id="brackets"),
        pytest.param("camera: " + "x" * 65_000, "must have at most 64000 bytes, got more", id="much"),
        pytest.param("camera: c1\nstart: " + "9" * 60_000, "must have a start time in ISO 8601", id="digits"),
        pytest.param("camera: c1\nother: " + "x" * 60_000, "must have only camera: and start:", id="a long value"),
    ],
)
def test_a_hostile_sidecar_is_one_refused_file_with_a_short_reason(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "gate.mp4"
    file.with_name("gate.mp4.yaml").write_text(content)
    with pytest.raises(InputError, match=rf"gate\.mp4.* {reason}") as caught:
        naming().recording(file)
    assert len(str(caught.value)) < 500


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"c1_20260512T184000\xff.mp4")
    with pytest.raises(InputError, match=r"\\udcff\.mp4' must have a name in UTF-8"):
        naming().recording(file)


@pytest.mark.parametrize(
    "start", ["2150-01-01", "1989-12-31T23:59:59+00:00", "9999-12-31T23:59:59-23:59", "0001-01-01"]
)
@pytest.mark.parametrize("place", ["argument", "sidecar", "name", "district"])
def test_a_recording_that_starts_in_the_future_is_refused_wherever_it_says_so(
    tmp_path: Path, start: str, place: str
) -> None:
    file = tmp_path / "gate.mp4"
    if place == "district":
        folder = write_district(tmp_path / "demo", num_cameras=1)
        described = yaml.safe_load((folder / "district.yaml").read_text())
        described["cameras"][0]["start"] = f"{start[:10]}T00:00:00+00:00"
        (folder / "district.yaml").write_text(yaml.safe_dump(described))
        [error] = recordings_of_district(read_district(folder), folder)
        assert "must lie between 1990 and a day from now by this machine's clock" in str(error)
        return
    if place == "name":
        file = tmp_path / f"c1_{start[:10].replace('-', '')}T000000.mp4"
    if place == "sidecar":
        file.with_name("gate.mp4.yaml").write_text(f"camera: c1\nstart: {start}\n")
    given = naming("c1", start) if place == "argument" else naming()
    with pytest.raises(InputError, match=r"the start of .* must lie between 1990 and a day from now"):
        given.recording(file)


def test_a_recording_of_this_moment_is_taken(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    assert naming("c1", now.isoformat()).recording(tmp_path / "gate.mp4").start == now
