"""The faults that real data have, planted in a sound district of real pictures: each is named with its file.

The numbers are those of the list that the checks were made for.
"""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from districts import prepare
from districts.layout import find_pictures, identity_and_camera
from domain.errors import InputError
from domain.images import read_image, write_image
from domain.settings import read_params
from export import check_labels
from export.import_weights import main as import_weights
from tests.helpers.districts import COLUMNS, LABELS, write_table
from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow
SOURCE = Path("source")
TRAIN, QUERY, GALLERY = (SOURCE / "reid" / part for part in ("bounding_box_train", "query", "bounding_box_test"))
IMAGES, TEXTS = SOURCE / "detection/images", SOURCE / "detection/labels"
ATTRIBUTES = SOURCE / "attributes"


@pytest.fixture
def district(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """People of Market-1501 and scenes of Penn-Fudan, nothing of which is wrong."""
    monkeypatch.chdir(tmp_path)
    market, scenes = real_data / "market1501", real_data / "pennfudan"
    for part, first, last in (("bounding_box_train", 0, 40), ("query", 0, 25), ("bounding_box_test", 0, 25)):
        files = [file for file in find_pictures(market / part) if identity_and_camera(file)[0] > 0]
        people = sorted({identity_and_camera(file)[0] for file in files})[first:last]
        taken = Counter[int]()
        for file in files:
            identity = identity_and_camera(file)[0]
            taken[identity] += 1
            if identity in people and taken[identity] <= 16:
                copy(file, SOURCE / "reid" / part / file.name)
    for split, pictures in (("train", slice(0, 12)), ("val", slice(12, 18)), ("test", slice(18, 24))):
        for picture in sorted((scenes / "images/train").iterdir())[pictures]:
            copy(picture, IMAGES / split / picture.name)
            copy(scenes / f"labels/train/{picture.stem}.txt", TEXTS / split / f"{picture.stem}.txt")
    write_attributes()
    cameras = [camera(number) | {"latitude": 35.8 + number / 1000} for number in range(1, 7)]
    describe(cameras)
    params = read_params(file=ROOT / "params.yaml")
    params["district"] = {"name": "planted", "importer": "folder", "source": str(SOURCE)}
    params["inputs"]["source"] = str(tmp_path / SOURCE)
    params["check_labels"]["engine"] = "engines/msmt17"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    return real_data


def copy(file: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    return target


def write_attributes() -> None:
    """Six crops of two people in each split."""
    people = sorted({identity_and_camera(file)[0] for file in find_pictures(TRAIN)})
    for number, split in enumerate(("train", "val", "test")):
        rows = []
        for identity in people[2 * number : 2 * number + 2]:
            for file in [file for file in find_pictures(TRAIN) if identity_and_camera(file)[0] == identity][:6]:
                copy(file, ATTRIBUTES / "images" / file.name)
                rows.append({"image": file.name, "identity": str(identity), "camera": "c1", **LABELS})
        write_table(ATTRIBUTES / f"{split}.csv", rows, COLUMNS)


def camera(number: int) -> dict[str, Any]:
    named = {"id": f"c{number}", "name": f"c{number}", "latitude": 35.8, "longitude": 128.6}
    return named | {"fps": 25, "width_px": 1920, "height_px": 1080}


def describe(cameras: list[dict[str, Any]]) -> None:
    described = {
        "name": "planted",
        "time_zone": "Asia/Seoul",
        "attribute_schema": "suseong",
        "source": "",
        "licence": "",
    }
    (SOURCE / "district.yaml").write_text(yaml.safe_dump(described | {"cameras": cameras}))


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text().rstrip("\n") + "\n" + text)


def again(file: Path, target: Path) -> Path:
    """`file` encoded again, and shifted by a few pixels."""
    write_image(target, read_image(file)[2:, 3:], 75)
    return target


def cut(file: Path) -> Path:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return file


def plant() -> dict[int, tuple[str, str]]:
    """Plant all faults that pixels show; returns a pattern of each one's message, and of its picture's name."""
    scenes, crops = find_pictures(IMAGES / "train"), find_pictures(TRAIN)
    texts = [TEXTS / "train" / f"{scene.stem}.txt" for scene in scenes]
    texts[0].unlink()
    (TEXTS / "train/classes.txt").write_text("car\nperson\n")
    copy(scenes[4], IMAGES / "test/exact.png")
    again(scenes[5], IMAGES / "test/shifted.jpg")
    for picture in find_pictures(IMAGES / "val"):
        copy(picture, IMAGES / "test" / f"val_{picture.name}")
    append(texts[1], "0 0.95 0.5 0.5 0.9\n")
    append(texts[2], "0 0.5 0.5 0.001 0.001\n")
    texts[3].write_text(texts[3].read_text().rstrip("\n") + "\n" + texts[3].read_text())
    dark = IMAGES / "train/dark.jpg"
    write_image(dark, np.zeros((300, 400, 3), np.uint8))
    (TEXTS / "train/dark.txt").write_text("0 0.5 0.5 0.2 0.6\n")
    append(texts[6], "0 0.5 0.5 1 1\n")
    queries = find_pictures(QUERY)
    copy(queries[0], GALLERY / queries[0].name.replace("_00.", "_09."))
    write_image(TRAIN / "0800_c1s1_000001_00.jpg", read_image(crops[0])[:2, :3])
    write_image(TRAIN / "0800_c1s1_000002_00.jpg", np.zeros((128, 64, 3), np.uint8))
    lonely = [copy(crops[1], TRAIN / f"0801_c2s1_00000{number}_00.jpg") for number in range(2)]
    write_image(lonely[1], read_image(lonely[1])[:, ::-1])
    train, test = (ATTRIBUTES / f"{split}.csv" for split in ("train", "test"))
    row = train.read_text().splitlines()[1].split(",")
    append(test, ",".join([row[0], "900", row[2], *row[3:]]).replace(",male,", ",female,") + "\n")
    copy(crops[2], ATTRIBUTES / "images/unnamed.jpg")
    describe([camera(number) for number in range(1, 9)])
    cut(scenes[7])
    write_image(TRAIN / "0802_c1s1_000001_00.jpg", read_image(crops[40]))
    cut(TRAIN / "0802_c1s1_000001_00.jpg")
    return {
        1: ("pictures have no labels", scenes[0].name),
        2: (r"class 0 counts as a person, but is named 'car'", ""),
        3: ("must be a whole picture", scenes[7].name),
        4: ("must be a whole picture", "0802_c1s1_000001_00.jpg"),
        5: ("byte for byte", "exact.png"),
        6: ("shows the same as", "shifted.jpg"),
        7: (r"of 14 pictures of test are byte for byte in val|this one is byte for byte", "val_"),
        8: ("out of the picture", scenes[1].name),
        9: (r"the box is 0\.\d × 0\.\d pixels", scenes[2].name),
        10: ("there twice|is also in line", scenes[3].name),
        11: ("people are labelled in .*black", "dark.jpg"),
        12: ("the box covers 100%", scenes[6].name),
        14: ("byte for byte", queries[0].name),
        16: ("smaller than 10 × 20", "0800_c1s1_000001_00.jpg"),
        17: ("are black", "0800_c1s1_000002_00.jpg"),
        18: ("seen by one camera only", "0801_c2s1_"),
        19: ("gender=", row[0]),
        20: ("are in no table", "unnamed.jpg"),
        21: ("nearly all pictures of their group", ""),
        22: (r"2 of 8 cameras have no video", ""),
        23: (r"8 cameras are all at 35\.8, 128\.6", ""),
    }


def unequal() -> None:
    """Fault 21: 95 to 5, in a table of twenty rows."""
    file = ATTRIBUTES / "train.csv"
    lines = file.read_text().splitlines()
    rows = [lines[1 + number % (len(lines) - 1)] for number in range(20)]
    for number, line in enumerate(rows):
        cells = line.split(",")
        cells[0] = copy(ATTRIBUTES / "images" / cells[0], ATTRIBUTES / f"images/u{number}.jpg").name
        write_image(
            ATTRIBUTES / "images" / cells[0], cv2.flip(read_image(ATTRIBUTES / "images" / cells[0]), number % 3 - 1)
        )
        rows[number] = ",".join(cells).replace(",male,", ",female,") if number == 0 else ",".join(cells)
    append(file, "\n".join(rows) + "\n")


def is_named(findings: list[dict[str, Any]], pattern: str, picture: str) -> bool:
    return any(
        re.search(pattern, finding["message"])
        and (not picture or any(picture in Path(shown["file"]).name for shown in finding["pictures"]))
        for finding in findings
    )


def test_all_faults_of_pixels_and_tables_are_named_with_file_and_picture(district: Path) -> None:
    unequal()
    expected = plant()
    with pytest.raises(InputError, match="fatal defects"):
        prepare.main()
    findings = json.loads(Path("data/planted/data_report.json").read_text())["findings"]
    assert [number for number, fault in expected.items() if not is_named(findings, *fault)] == []


def test_labels_that_looks_contradict_are_named(district: Path) -> None:
    """13: crops of a training person also in query and gallery, as another; 15: a number of two people."""
    people = sorted({identity_and_camera(file)[0] for file in find_pictures(TRAIN)})
    for file in find_pictures(TRAIN):
        identity, _ = identity_and_camera(file)
        if identity == people[4]:
            again(file, (GALLERY, QUERY)[int(file.name[9] == "1")] / file.name.replace(f"{identity:04d}", "0950"))
        if identity == people[10]:
            file.rename(file.with_name(file.name.replace(f"{identity:04d}", f"{people[20]:04d}")))
    prepare.main()
    weights = district / "weights/osnet_x0_25_msmt17.pth"
    import_weights(["task=reid", "backbone=osnet_x0_25", f"weights={weights}", "out=engines/msmt17"])
    check_labels.main()
    findings = json.loads(Path("label_reports/planted/label_report.json").read_text())["findings"]
    messages = "\n".join(finding["message"] for finding in findings)
    assert re.search(rf"identities {people[4]} \(bounding_box_train\) and 950 .* may be one person", messages)
    assert f"identity {people[20]} may be two people" in messages
    assert len(findings) <= 10, messages
