"""A small district in which nothing is wrong, of noise."""

import csv
import zlib
from pathlib import Path

import cv2
import numpy as np
import yaml

from districts.demo.video import VideoWriter
from domain.schemas import read_schema

SCHEMA = read_schema("suseong")
LABELS = {group.name: group.label_names[0] for group in SCHEMA.groups}
COLUMNS = ["image", "identity", "camera", *SCHEMA.group_names]


def draw_picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(str(file).encode()))
    cv2.imwrite(str(file), rng.integers(0, 256, (32, 16, 3), np.uint8))


def write_table(file: Path, rows: list[dict[str, str]], columns: list[str] | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, columns or COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def write_district(folder: Path) -> Path:
    """A district of two cameras and six people in `folder`."""
    cameras = [
        {
            "id": name,
            "name": name,
            "latitude": 35.8,
            "longitude": 128.6,
            "fps": 2,
            "width_px": 32,
            "height_px": 32,
            "start": "2026-05-12T18:40:00+09:00",
        }
        for name in ("c1", "c2")
    ]
    described = {
        "name": "tiny",
        "time_zone": "Asia/Seoul",
        "attribute_schema": "suseong",
        "source": "a test",
        "licence": "CC0-1.0",
        "cameras": cameras,
    }
    folder.mkdir(exist_ok=True)
    (folder / "district.yaml").write_text(yaml.safe_dump(described))
    identity = 0
    for split in ("train", "val", "test"):
        draw_picture(folder / "detection" / "images" / split / "a.png")
        labels = folder / "detection" / "labels" / split
        labels.mkdir(parents=True)
        (labels / "a.txt").write_text("0 0.5 0.5 0.2 0.4\n")
        rows = []
        for _ in range(2):
            identity += 1
            rows += [
                {"image": f"{identity}_{i}.png", "identity": str(identity), "camera": "c1", **LABELS} for i in range(6)
            ]
        for row in rows:
            draw_picture(folder / "attributes" / "images" / row["image"])
        write_table(folder / "attributes" / f"{split}.csv", rows)
    for name in (
        "bounding_box_train/0001_c1s1_000001_00",
        "bounding_box_train/0001_c2s1_000002_00",
        "query/0005_c1s1_000001_00",
        "bounding_box_test/0005_c2s1_000002_00",
    ):
        draw_picture(folder / "reid" / f"{name}.png")
    for camera in ("c1", "c2"):
        with VideoWriter(folder / "videos" / f"{camera}.mp4", 2, (32, 32)) as video:
            video.write(np.zeros((32, 32, 3), np.uint8))
        (folder / "videos" / f"{camera}.txt").write_text("1,5,2,2,8,20,1,1,1\n")
    draw_picture(folder / "videos" / "problems" / "p1.png")
    problem = {
        "id": "p1",
        "identity": 5,
        "crops": ["problems/p1.png"],
        "attributes": {"gender": "male"},
        "camera": "c1",
        "frame": 1,
    }
    (folder / "videos" / "problems.yaml").write_text(yaml.safe_dump({"problems": [problem]}))
    return folder
