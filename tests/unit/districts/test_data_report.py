"""The data report: one content as page, text and JSON, with the user's files and their pictures."""

import base64
import json
import re
import shutil
import stat
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from districts import prepare
from districts.checks.district import check_district
from districts.data_report import DataReport
from districts.findings import Finding, Shown
from districts.importers.intake import Intake
from domain.errors import InputError
from tests.helpers.districts import draw_picture, write_district

REPORTS = Path("data/mine")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound district, and the settings that take it over as `mine`."""
    monkeypatch.chdir(tmp_path)
    folder = write_district(tmp_path / "source")
    settings = {"name": "mine", "importer": "folder", "source": str(folder)}
    Path("params.yaml").write_text(yaml.safe_dump({"district": settings}))
    return folder


def thumbnails(page: str) -> list[np.ndarray]:
    return [
        np.asarray(Image.open(BytesIO(base64.b64decode(text))))
        for text in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    ]


def test_refused_data_leave_page_text_and_json_with_the_users_files(source: Path) -> None:
    picture = source / "detection/images/val/a.png"
    (source / "detection/labels/val/a.txt").write_text("0 0.5 0.5 1 0.99\n0 x 0 0 0\n")
    with pytest.raises(InputError, match=r"got 1 fatal defects, all listed in data/mine/data_report\.html"):
        prepare.main()
    content = json.loads((REPORTS / "data_report.json").read_text())
    found = {finding["message"].partition(",")[0]: finding for finding in content["findings"]}
    whole = found["the box covers 99% of the picture"]
    assert whole["place"] == f"{source}/detection/labels/val/a.txt, line 1"
    assert whole["pictures"] == [{"file": str(picture), "box": [0.5, 0.5, 1.0, 0.99]}]
    assert (content["num_fatal"], content["district"], content["source"]) == (1, "mine", str(source))
    page = (REPORTS / "data_report.html").read_text()
    assert "the box covers 99% of the picture" in page
    assert f'title="{picture}"' in page
    assert len(thumbnails(page)) >= 2
    for text in (page, json.dumps(content), (REPORTS / "data_report.md").read_text()):
        assert ".partial" not in text
    assert stat.S_IMODE((REPORTS / "data_report.html").stat().st_mode) == 0o600
    assert stat.S_IMODE(REPORTS.stat().st_mode) == 0o700


def test_the_data_are_counted(source: Path) -> None:
    draw_picture(source / "detection/images/train/empty.png")
    prepare.main()
    counts = json.loads((REPORTS / "data_report.json").read_text())["counts"]
    assert counts["detection by split"][0] == {"split": "train", "pictures": 2, "person": 1, "without people": 1}
    assert counts["re-ID by part"][0] | {"part": ""} == {
        "part": "",
        "crops": 2,
        "identities": 1,
        "cameras": 2,
        "junk": 0,
        "distractors": 0,
    }
    assert counts["attributes by split"][2] == {"split": "test", "pictures": 12, "identities": 2, "cameras": 1}
    assert counts["data by camera"][1]["attributes"] == 0
    assert counts["data by camera"][0]["boxes in video"] == 1
    (male,) = [record for record in counts["labels"] if record["label"] == "male"]
    assert male == {"group": "gender", "label": "male", "한국어": "성별: 남성", "train": 12, "val": 12, "test": 12}
    assert {"part": "query", "identity": 5, "crops": 1, "cameras": 1} in counts["re-ID by identity"]
    page = (REPORTS / "data_report.html").read_text()
    assert "성별: 남성" in page
    assert "Not looked at" in page


def test_a_box_is_drawn_and_names_of_users_are_text(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    cv2.imwrite(str(file), np.full((100, 200, 3), 255, np.uint8))
    finding = Finding(False, "<b>a.png", "<script>alert(1)</script>", (Shown(file, (0.5, 0.5, 0.5, 0.5), "<i>"),))
    DataReport("mine", "Checked.", tmp_path, {}, [finding]).write(tmp_path / "report")
    page = (tmp_path / "report/data_report.html").read_text()
    assert not re.search("<script|<b>|<i>", page)
    (small,) = thumbnails(page)
    assert small.shape == (64, 128, 3)
    red = (small[..., 0] > 150) & (small[..., 2] < 140)
    assert red[16, 32:96].mean() > 0.8
    assert not red[:14].any()
    assert not red[24:40, 40:88].any()


@pytest.mark.slow
def test_a_report_of_many_pictures_stays_small(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(700)]
    draw_picture(files[0])
    for file in files[1:]:
        shutil.copy(files[0], file)
    findings = [Finding(False, str(file), "is odd", (Shown(file),)) for file in files]
    findings.append(Finding(False, "all", "are odd", tuple(Shown(file) for file in files)))
    DataReport("mine", "Checked.", tmp_path, {}, findings).write(tmp_path / "report")
    page = (tmp_path / "report/data_report.html").read_text()
    assert "Only the first 600 pictures are shown" in page
    assert len(thumbnails(page)) == 600 + 12
    assert page.count("is odd") == 700


def test_a_folder_that_the_district_arranges_otherwise_is_the_users(tmp_path: Path) -> None:
    intake = Intake(tmp_path / "source", tmp_path / "district", tmp_path / "data")
    for name in ("a.png", "b.png"):
        draw_picture(tmp_path / "source/photos" / name)
        intake.take(tmp_path / "source/photos" / name, f"attributes/images/{name}")
    images = tmp_path / "district/attributes/images"
    (finding,) = intake.of_user([Finding(False, str(images), "1 is blurred", (Shown(images / "b.png"),))])
    assert finding.place == str(tmp_path / "source/photos")
    assert finding.pictures[0].name == str(tmp_path / "source/photos/b.png")


def markdown(folder: Path, findings: list[Finding]) -> str:
    DataReport("tiny", "Checked.", folder, {}, findings).write(folder / "report")
    return (folder / "report" / "data_report.md").read_text()


def test_the_report_lists_places_relative_to_the_district(tmp_path: Path) -> None:
    folder = write_district(tmp_path)
    (folder / "videos" / "c2.mp4").unlink()
    report = markdown(folder, check_district(folder))
    assert "| videos/c2.mp4 | must exist |" in report
    assert "1 fatal defects" in report
    assert str(folder) not in report.replace(folder.name, "")


def test_the_report_lists_every_name_and_the_screen_some(tmp_path: Path) -> None:
    folder = write_district(tmp_path)
    for number in range(90):
        draw_picture(folder / f"detection/images/train/{number}.png")
    (found,) = [finding for finding in check_district(folder) if "have no labels" in finding.message]
    assert found.message.startswith("90 pictures have no labels and count as pictures without people: 0.txt, 1.txt, ")
    assert found.message.endswith(", 89.txt, 9.txt")
    assert len(str(found)) < 700
    assert found.message in markdown(folder, [found])
