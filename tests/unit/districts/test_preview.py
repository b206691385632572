"""The contact sheet shows whatever a district has."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from districts.preview import contact_sheet
from domain.errors import InputError
from domain.schemas import read_schema
from tests.helpers.districts import draw_picture, write_district

pytestmark = pytest.mark.slow

FRAME, PERSON = (278, 495), (316, 330)  # height and width of a tile


@pytest.fixture
def district(tmp_path: Path) -> Path:
    return write_district(tmp_path / "tiny")


def drop(folder: Path, *parts: str) -> None:
    for part in parts:
        shutil.rmtree(folder / part)


def test_a_whole_district(district: Path) -> None:
    sheet = contact_sheet(district)
    assert sheet.shape == (FRAME[0] + PERSON[0], max(4 * FRAME[1], 6 * PERSON[1]), 3)
    assert np.unique(sheet[FRAME[0] :]).size > 10  # people


@pytest.mark.parametrize(
    ("missing", "rows", "columns"),
    [
        pytest.param(["detection", "attributes", "reid"], FRAME[0], 4 * FRAME[1], id="videos alone"),
        pytest.param(["videos", "attributes", "reid"], FRAME[0], 4 * FRAME[1], id="detection alone"),
        pytest.param(["videos", "detection", "reid"], PERSON[0], 6 * PERSON[1], id="attributes alone"),
        pytest.param(["videos", "detection", "attributes"], PERSON[0], 6 * PERSON[1], id="re-ID alone"),
        pytest.param(["videos"], FRAME[0] + PERSON[0], 4 * FRAME[1], id="no videos"),
        pytest.param(["attributes"], FRAME[0] + PERSON[0], 4 * FRAME[1], id="no attributes"),
    ],
)
def test_parts_of_a_district(missing: list[str], rows: int, columns: int, district: Path) -> None:
    drop(district, *missing)
    sheet = contact_sheet(district)
    assert sheet.shape == (rows, columns, 3)
    assert len(np.unique(sheet)) > 10


def test_boxes_are_drawn_where_they_are(district: Path) -> None:
    drop(district, "videos", "attributes", "reid")
    for file in (district / "detection/labels").glob("*/*.txt"):
        file.write_text("")
    without = contact_sheet(district)
    for file in (district / "detection/labels").glob("*/*.txt"):
        file.write_text("0 0.5 0.5 0.5 0.5\n")
    changed = np.flatnonzero((contact_sheet(district) != without).any(axis=(1, 2)))
    assert changed.min() == pytest.approx(278 / 4, abs=10)
    assert changed.max() == pytest.approx(278 * 3 / 4, abs=10)


def test_cameras_without_video_and_videos_without_or_with_longer_ground_truth(district: Path) -> None:
    (district / "videos/c1.txt").unlink()
    (district / "videos/c2.txt").write_text("9,5,2,2,8,20,1,1,1\n")  # the video ends before
    described = yaml.safe_load((district / "district.yaml").read_text())
    described["cameras"].append(described["cameras"][0] | {"id": "c3"})
    (district / "district.yaml").write_text(yaml.safe_dump(described))
    assert contact_sheet(district).shape[0] == FRAME[0] + PERSON[0]


@pytest.mark.parametrize("schema", ["market1501", "pa100k"])
def test_schemas_with_and_without_a_view(schema: str, district: Path) -> None:
    drop(district, "videos", "detection", "reid")
    described = yaml.safe_load((district / "district.yaml").read_text())
    (district / "district.yaml").write_text(yaml.safe_dump(described | {"attribute_schema": schema}))
    names = read_schema(schema).group_names
    rows = [",".join(["image", "identity", "camera", *names])]
    for place in range(4):
        draw_picture(district / f"attributes/images/{place}.png")
        rows.append(",".join([f"{place}.png", "7", "c1", *[""] * len(names)]))
    (district / "attributes/test.csv").write_text("\n".join(rows) + "\n")
    assert contact_sheet(district).shape[0] == PERSON[0]


def test_a_district_without_pictures_is_refused(district: Path) -> None:
    drop(district, "videos", "detection", "attributes", "reid")
    with pytest.raises(InputError, match="with pictures to show, got none"):
        contact_sheet(district)
