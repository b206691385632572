"""Labels of cases become people in the re-ID training set; people of the evaluation sets are left out."""

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from districts.importers.intake import Intake
from districts.labels import add_labels
from districts.layout import read_reid_folder
from domain.errors import InputError
from tests.helpers.stamped_videos import write_stamped

COLUMNS = ("file", "identity", "case", "verdict", "district", "camera_id", "tracklet_id", "first_seen", "last_seen")


def row(identity: int, tracklet: int, camera: str, **changes: Any) -> dict[str, Any]:
    """Confirmed in case 10 x `identity`, after the district's videos."""
    seen = {"first_seen": "2026-05-02T09:00:00+09:00", "last_seen": "2026-05-02T09:00:05+09:00"}
    case = {"file": f"{identity}_{tracklet}.jpg", "identity": identity, "case": 10 * identity, "verdict": "confirmed"}
    return case | {"district": "mine", "camera_id": camera, "tracklet_id": tracklet} | seen | changes


def write_labels(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A folder as `serving.labels` writes it; the picture of a tracklet is as bright as its number."""
    (folder / "bounding_box_train").mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as lines:
        table = csv.DictWriter(lines, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    for one in rows:
        draw(folder / "bounding_box_train" / one["file"], one["tracklet_id"])
    return folder


def draw(file: Path, brightness: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((32, 16, 3), brightness, np.uint8))


@pytest.fixture
def district(tmp_path: Path) -> Path:
    """Cameras c1 and c2, whose videos show people for ten seconds from nine on the first of May; identities up to 7."""
    folder = tmp_path / "mine"
    places = {"latitude": 35.8, "longitude": 128.6, "fps": 2, "width_px": 32, "height_px": 32}
    cameras = [{"id": name, "name": name, "start": "2026-05-01T09:00:00+09:00"} | places for name in ("c1", "c2")]
    described = {"name": "mine", "time_zone": "Asia/Seoul", "attribute_schema": "suseong"}
    folder.mkdir()
    rest = {"source": "a test", "licence": "CC0-1.0", "cameras": cameras}
    (folder / "district.yaml").write_text(yaml.safe_dump(described | rest))
    for name in (
        "bounding_box_train/0003_c1s1_000001_00",
        "query/0007_c1s1_000001_00",
        "bounding_box_test/0007_c2s1_000002_00",
    ):
        draw(folder / "reid" / f"{name}.jpg", 200)
    (folder / "videos").mkdir()
    for camera in cameras:
        (folder / "videos" / f"{camera['id']}.txt").write_text("20,7,2,2,8,20,1,1,1\n")
    return folder


def added(district: Path) -> list[tuple[int, int, int]]:
    """Identity, camera and brightness of the new training crops."""
    table = read_reid_folder(district, "bounding_box_train")
    folder = district / "reid" / "bounding_box_train"
    brightness = [int(cv2.imread(str(folder / name)).mean().round()) for name in table.images]
    rows = sorted(zip(table.identities.tolist(), table.cameras.tolist(), brightness, strict=True))
    return [one for one in rows if one[0] > 3]


def messages(labels: Path, district: Path) -> list[str]:
    findings = add_labels(labels, Intake(district, district))
    assert not any(finding.is_fatal for finding in findings)
    assert {finding.place for finding in findings} <= {str(labels / "labels.csv")}
    return [finding.message for finding in findings]


def test_confirmed_crops_of_a_case_are_a_new_person_of_the_training_set(tmp_path: Path, district: Path) -> None:
    elsewhere = row(2, 40, "c1", district="other")
    rows = [row(1, 10, "c1"), row(1, 20, "c2"), row(2, 30, "c2"), elsewhere, row(2, 50, "c9", district="other")]
    assert messages(write_labels(tmp_path / "labels", rows), district) == []
    assert added(district) == [(8, 1, 10), (8, 2, 20), (9, 2, 30), (9, 3, 40), (9, 4, 50)]


def test_other_parts_get_nothing(tmp_path: Path, district: Path) -> None:
    parts = ("query", "bounding_box_test")
    before = [read_reid_folder(district, part).images for part in parts]
    add_labels(write_labels(tmp_path / "labels", [row(1, 10, "c1"), row(1, 20, "c2")]), Intake(district, district))
    assert [read_reid_folder(district, part).images for part in parts] == before


GOOD = [row(5, 50, "c1"), row(5, 60, "c2")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            [row(0, 10, "c1", verdict="rejected", case=50)],
            "1 rejected crops show unknown people; left out",
            id="rejected",
        ),
        pytest.param(
            [row(1, 10, "c1")],
            "case 10: a person needs at least two confirmed crops for a positive pair; left out",
            id="single crop",
        ),
        pytest.param(
            [row(1, 10, "c1"), row(1, 20, "c2", first_seen="2026-05-01T00:00:09+00:00")],
            "case 10: the person was seen in a video on which tracking is tested; left out",
            id="seen in an evaluated video",
        ),
        pytest.param(
            [row(1, 10, "c1"), row(1, 200, "c2")],
            "case 10: a crop is also a picture of validation, query or gallery; left out",
            id="picture of the query",
        ),
    ],
)
def test_a_case_that_cannot_be_trained_on_is_left_out_as_a_whole_and_reported(
    tmp_path: Path, district: Path, rows: list[dict[str, Any]], message: str
) -> None:
    assert messages(write_labels(tmp_path / "labels", [*rows, *GOOD]), district) == [message]
    assert added(district) == [(8, 1, 50), (8, 2, 60)]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"first_seen": "2026-05-01T09:00:11+09:00"}, id="after its last person"),
        pytest.param({"last_seen": "2026-05-01T08:59:59+09:00"}, id="before it starts"),
        pytest.param({"first_seen": "2026-05-01T09:00:00+09:00", "district": "other"}, id="another district"),
        pytest.param({"first_seen": "2026-05-01T09:00:00+09:00", "camera_id": "c9"}, id="a camera without video"),
    ],
)
def test_only_the_evaluated_time_of_a_camera_of_the_district_counts(
    tmp_path: Path, district: Path, changes: dict[str, str]
) -> None:
    if "last_seen" in changes:
        changes = changes | {"first_seen": "2026-05-01T08:59:00+09:00"}
    rows = [row(1, 10, "c1"), row(1, 20, "c2", **changes)]
    assert messages(write_labels(tmp_path / "labels", rows), district) == []


def test_a_person_of_one_camera_is_trained_on_and_named(tmp_path: Path, district: Path) -> None:
    labels = write_labels(tmp_path / "labels", [row(1, 10, "c1"), row(1, 20, "c1")])
    assert messages(labels, district) == ["case 10: only one camera saw the person, who teaches nothing across cameras"]
    assert added(district) == [(8, 1, 10), (8, 1, 20)]


def test_cases_that_confirm_the_same_sighting_are_one_person(tmp_path: Path, district: Path) -> None:
    rows = [row(1, 10, "c1"), row(2, 30, "c2"), row(3, 10, "c1"), row(3, 30, "c2")]
    labels = write_labels(tmp_path / "labels", rows)
    assert messages(labels, district) == [
        "cases 10, 20, 30: joined into one person, for they confirm the same sighting"
    ]
    assert added(district) == [(8, 1, 10), (8, 2, 30)]


def test_a_picture_that_was_removed_from_the_export_is_left_out(tmp_path: Path, district: Path) -> None:
    labels = write_labels(tmp_path / "labels", [row(1, 10, "c1"), row(1, 20, "c2"), row(1, 30, "c2")])
    (labels / "bounding_box_train" / "1_20.jpg").unlink()
    assert messages(labels, district) == ["the picture 1_20.jpg is missing; left out"]
    assert added(district) == [(8, 1, 10), (8, 2, 30)]


def test_a_video_that_is_longer_than_its_rate_says_is_evaluated_to_its_end(tmp_path: Path, district: Path) -> None:
    """The ground truth ends with frame 20, which its camera's video has 40 minutes after the first."""
    write_stamped(district / "videos" / "c2.mp4", [120.0 * number for number in range(25)])
    late = row(1, 30, "c2", first_seen="2026-05-01T09:37:50+09:00", last_seen="2026-05-01T09:37:59+09:00")
    labels = write_labels(tmp_path / "labels", [row(1, 10, "c1"), late, *GOOD])
    assert messages(labels, district) == [
        "case 10: the person was seen in a video on which tracking is tested; left out"
    ]


def test_a_removed_picture_still_tells_that_the_person_is_evaluated(tmp_path: Path, district: Path) -> None:
    filmed = row(1, 30, "c2", first_seen="2026-05-01T09:00:00+09:00")
    labels = write_labels(tmp_path / "labels", [row(1, 10, "c1"), row(1, 20, "c2"), filmed, *GOOD])
    (labels / "bounding_box_train" / "1_30.jpg").unlink()
    assert messages(labels, district)[1:] == [
        "case 10: the person was seen in a video on which tracking is tested; left out"
    ]
    assert added(district) == [(8, 1, 50), (8, 2, 60)]


def test_labels_without_a_usable_person_stop_the_run(tmp_path: Path, district: Path) -> None:
    labels = write_labels(tmp_path / "labels", [row(1, 10, "c1")])
    expected = r"must hold a person with two confirmed crops .* district\.labels=null; got:\ncase 10: a person needs"
    with pytest.raises(InputError, match=expected):
        add_labels(labels, Intake(district, district))
    with pytest.raises(InputError, match="got:\nno crops"):
        add_labels(write_labels(tmp_path / "empty", []), Intake(district, district))


def test_a_folder_that_is_no_export_is_named(tmp_path: Path, district: Path) -> None:
    with pytest.raises(InputError, match=r"district\.labels must be a folder .*nowhere/labels\.csv is missing"):
        add_labels(tmp_path / "nowhere", Intake(district, district))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"first_seen": ""}, "line 2: first_seen: Input should be a valid datetime", id="no time"),
        pytest.param({"first_seen": "2026-05-02T09:00:00"}, "line 2: first_seen: .* timezone", id="no time zone"),
        pytest.param({"file": "../1_10.jpg"}, "line 2: file: a name must have", id="outside of the folder"),
        pytest.param({"verdict": "perhaps"}, "line 2: verdict: .*'confirmed' or 'rejected'", id="no verdict"),
        pytest.param({"identity": -1}, "line 2: identity: .* greater than or equal to 0", id="identity"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, district: Path, changes: dict[str, Any], message: str) -> None:
    labels = write_labels(tmp_path / "labels", [row(1, 10, "c1"), row(1, 20, "c2")])
    with (labels / "labels.csv").open("w", newline="", encoding="utf-8") as lines:
        table = csv.DictWriter(lines, COLUMNS)
        table.writeheader()
        table.writerow(row(1, 10, "c1") | changes)
    with pytest.raises(InputError, match=message):
        add_labels(labels, Intake(district, district))
