"""The stage `check_labels`, with an engine that sees colours, on people who are colours."""

import colorsys
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from domain.errors import ArtifactError, InputError
from domain.images import write_image
from domain.settings import read_params
from export import check_labels
from tests.helpers.districts import COLUMNS, LABELS, write_table
from tests.helpers.project import ROOT
from tests.helpers.tiny_engines import write_engines

pytestmark = pytest.mark.slow
REID = Path("data/town/reid")
COLOURS = [np.array(colorsys.hsv_to_rgb(hue / 27, 0.8, 0.8)) * 255 for hue in range(27)]


@pytest.fixture(autouse=True)
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A district of 27 people, each of another colour: four crops from each of two cameras."""
    monkeypatch.chdir(tmp_path)
    params = read_params(file=ROOT / "params.yaml")
    params["district"]["name"] = "town"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    write_engines(Path("engines/town"))
    for identity in range(1, len(COLOURS) + 1):
        part = "bounding_box_train" if identity % 2 else "bounding_box_test"
        for camera in (1, 2):
            for number in range(4):
                draw(REID / part / f"{identity:04d}_c{camera}s1_{number:06d}_00.png", identity)
    draw(REID / "query/0002_c1s1_000009_00.png", 2)
    draw(REID / "bounding_box_test/-1_c1s1_000009_00.png", 3)


def draw(file: Path, person: int) -> Path:
    """A crop of `person`, whose colour the light changes a little."""
    light = np.random.default_rng(list(file.name.encode())).normal(0, 2, 3)
    picture = np.clip(COLOURS[person - 1] + light, 0, 255).astype(np.uint8)
    write_image(file, np.broadcast_to(picture, (32, 16, 3)).copy())
    return file


def warnings() -> list[dict]:
    """Findings of the report that the stage writes."""
    check_labels.main()
    content = json.loads(Path("label_reports/town/label_report.json").read_text())
    assert content["num_fatal"] == 0
    return content["findings"]


def test_right_labels_give_no_warning_and_the_report_says_what_was_compared() -> None:
    assert warnings() == []
    content = json.loads(Path("label_reports/town/label_report.json").read_text())
    (compared,) = content["counts"]["what was compared"]
    assert compared["crops"] == 27 * 8 + 1
    assert compared["crops of nobody named, left out"] == 1
    assert compared["crops whose nearest one is of their identity"] == "100.0%"
    page = Path("label_reports/town/label_report.html").read_text()
    assert "Label report of town" in page
    assert "labels of attributes, which a re-ID engine does not know" in page
    assert "engines/town/reid-osnet" in page


def test_a_crop_of_another_person_is_named_with_pictures() -> None:
    wrong = draw(REID / "bounding_box_train/0001_c2s1_000099_00.png", 14)
    (finding,) = warnings()
    assert finding["place"] == str(wrong)
    assert "is identity 1, but resembles" in finding["message"]
    assert "of identity 14" in finding["message"]
    shown = [Path(picture["file"]).name[:4] for picture in finding["pictures"]]
    assert shown == ["0001", "0014", "0001"]
    assert Path("label_reports/town/label_report.html").read_text().count("<figure>") == 3


def test_a_person_of_two_numbers_in_two_splits_is_named() -> None:
    for file in sorted((REID / "bounding_box_train").glob("0005_*"))[::2]:
        file.rename(REID / "bounding_box_test" / file.name.replace("0005", "0900"))
    (finding,) = warnings()
    expected = "identities 5 (bounding_box_train) and 900 (bounding_box_test) may be one person: of 8 crops"
    assert finding["message"].startswith(expected)
    assert {Path(picture["file"]).name[:4] for picture in finding["pictures"]} == {"0005", "0900"}


def test_a_number_of_two_people_is_named() -> None:
    for file in sorted((REID / "bounding_box_train").glob("0015_*")):
        file.rename(file.with_name(file.name.replace("0015", "0001").replace("s1_", "s2_")))
    (finding,) = warnings()
    assert finding["message"].startswith("identity 1 may be two people: 8 of its 16 crops resemble the others")
    assert len(finding["pictures"]) == 12


def test_crops_of_attributes_are_looked_at_unless_they_are_the_same_files() -> None:
    reid = sorted((REID / "bounding_box_train").glob("0001_*"))
    rows = []
    for number, file in enumerate(reid):
        linked = Path("data/town/attributes/images") / file.name
        linked.parent.mkdir(parents=True, exist_ok=True)
        linked.hardlink_to(file)
        rows.append({"image": file.name, "identity": "1", "camera": "c1", **LABELS})
        for person in (4, 9):
            own = draw(linked.with_name(f"{person}_{number}.png"), person)
            rows.append({"image": own.name, "identity": str(person), "camera": "c1", **LABELS})
    for split, chosen in (("train", rows), ("val", []), ("test", [])):
        write_table(Path("data/town/attributes") / f"{split}.csv", chosen, COLUMNS)
    described = {"name": "town", "time_zone": "UTC", "attribute_schema": "suseong", "source": "", "licence": ""}
    Path("data/town/district.yaml").write_text(yaml.safe_dump(described | {"cameras": []}))
    warnings()
    records = json.loads(Path("label_reports/town/label_report.json").read_text())["counts"]["what was compared"]
    assert [(record["set"], record["crops"], record["identities"]) for record in records][1] == ("attributes", 16, 2)


def test_another_engine_may_look(tmp_path: Path) -> None:
    write_engines(Path("elsewhere"))
    check_labels.main(["check_labels.engine=elsewhere/reid-osnet"])
    assert "elsewhere/reid-osnet" in Path("label_reports/town/label_report.md").read_text()
    with pytest.raises(InputError, match=r"must be a re-ID engine, got .*elsewhere/detector for the task detector"):
        check_labels.main(["check_labels.engine=elsewhere/detector"])
    with pytest.raises(ArtifactError, match=r"nowhere must be a re-ID engine; train and export it, or set"):
        check_labels.main(["check_labels.engine=nowhere"])


def test_an_engine_that_tells_nobody_apart_says_so() -> None:
    for file in REID.rglob("*.png"):
        write_image(file, np.full((32, 16, 3), int(file.name[15]) * 20 + 60, np.uint8))
    (finding,) = warnings()
    assert finding["message"].startswith("this engine does not tell these people apart")


def test_a_district_without_crops_of_two_people_is_refused() -> None:
    for file in REID.rglob("*.png"):
        if not file.name.startswith("0002"):
            file.unlink()
    draw(REID / "bounding_box_train/0002_c1s1_000077_00.png", 2)
    with pytest.raises(InputError, match=r"data/town must have crops of two people in reid/ or attributes/"):
        check_labels.main()
