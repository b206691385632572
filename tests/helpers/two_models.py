"""A district of noise with many people, and predictions of models that are as good as one says."""

import zlib
from pathlib import Path

import cv2
import numpy as np
import yaml

from districts.layout import read_reid_folder
from domain.attributes import AttributeSchema
from domain.embeddings import unit_length
from domain.model_card import ModelCard, write_card
from domain.predictions import AttributePredictions, DetectorPredictions, ReidPredictions
from domain.schemas import read_schema
from domain.settings import read_params
from tests.helpers.project import ROOT

SCHEMA = read_schema("market1501")
NUM_PEOPLE, _NUM_FRAMES, _BOX = 60, 80, (8.0, 8.0, 24.0, 56.0)
_TASKS = {"detector": "detector", "attributes": "attributes", "reid-osnet": "reid"}


def write_project(folder: Path) -> None:
    """`params.yaml` and data/noise with 60 people, each in two cameras, of whom attributes tell gender and age."""
    params = read_params(file=ROOT / "params.yaml")
    params["district"] |= {"name": "noise"}
    params["stages"]["predict"] = {f"{name}-noise": {"model": name} for name in _TASKS}
    params["evaluation"]["bootstrap_repeats"] = 300
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    data = folder / "data/noise"
    camera: dict[str, object] = {"latitude": 35.8, "longitude": 128.6, "fps": 2, "width_px": 64, "height_px": 64}
    camera |= {"start": "2026-05-12T18:40:00+09:00"}
    described = {
        "name": "noise", "time_zone": "Asia/Seoul", "attribute_schema": SCHEMA.name, "source": "a test",
        "licence": "CC0-1.0", "cameras": [camera | {"id": name, "name": name} for name in ("c1", "c2")],
    }  # fmt: skip
    data.mkdir(parents=True)
    (data / "district.yaml").write_text(yaml.safe_dump(described))
    lines = [",".join(["image", "identity", "camera", *SCHEMA.group_names])]
    for person in range(1, NUM_PEOPLE + 1):
        _draw(data / f"reid/query/{person:04d}_c1s1_000001_00.jpg")
        for crop in range(2):
            _draw(data / f"reid/bounding_box_test/{person:04d}_c2s1_00000{crop}_00.jpg")
        for crop in range(3):
            _draw(data / f"attributes/images/{person}-{crop}.jpg")
            labels = [group.label_names[_label(person, group.labels)] for group in SCHEMA.groups]
            lines.append(",".join([f"{person}-{crop}.jpg", str(person), f"c{crop % 2 + 1}", *labels]))
    (data / "attributes/test.csv").write_text("\n".join(lines) + "\n")
    (data / "attributes/train.csv").write_text("\n".join(lines) + "\n")
    (data / "detection/labels/test").mkdir(parents=True)
    for frame in range(_NUM_FRAMES):
        _draw(data / f"detection/images/test/c{frame % 2 + 1}_{frame:02d}.jpg", 64)
        (data / f"detection/labels/test/c{frame % 2 + 1}_{frame:02d}.txt").write_text("0 0.25 0.5 0.25 0.75\n")


def write_models(
    folder: Path, quality: float, version: str, seed: int, worse_for: int = 0, schema: AttributeSchema = SCHEMA
) -> Path:
    """Predictions of a detector, an attribute model and a re-ID model.

    Args:
        folder: parent of theirs.
        quality: share of correct answers, 0..1.
        version: a hexadecimal digit, from which their versions are made.
        seed: of their mistakes.
        worse_for: people of odd number get so many wrong answers more, in percent.
        schema: of the attribute model.
    """
    rng = np.random.default_rng(seed)
    for name, task in _TASKS.items():
        outputs = {"detector": ("boxes", "scores"), "attributes": SCHEMA.group_names, "reid": ("embeddings",)}[task]
        card = ModelCard(
            task=task, architecture="toy", input_height_px=64, input_width_px=32, resize="stretch", district="noise",
            output_names=outputs, weights_sha256=version * 64, score_threshold=0.5 if task == "detector" else None,
            attribute_schema=schema if task == "attributes" else None,
        )  # fmt: skip
        (folder / name).mkdir(parents=True)
        write_card(card, folder / name)
    _detector(rng, quality).write(folder / "detector/test.npz")
    _attributes(rng, quality - 0.01 * worse_for * (np.arange(1, NUM_PEOPLE + 1) % 2)).write(
        folder / "attributes/test.npz"
    )
    centres = np.random.default_rng(0).normal(size=(NUM_PEOPLE + 1, 16))
    for part, source in (("query", "query"), ("gallery", "bounding_box_test")):
        table = read_reid_folder(Path("data/noise"), source)  # type: ignore[arg-type]
        noise = rng.normal(size=(len(table.images), 16)) * (2 - 1.7 * quality)
        noise[table.identities % 2 == 1] *= 1 + 0.02 * worse_for
        embeddings = unit_length(centres[table.identities] + noise)
        ReidPredictions(np.array(table.images), embeddings).write(folder / f"reid-osnet/{part}.npz")
    return folder


def _draw(file: Path, side: int = 32) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((side, side, 3), 60 + 90 * (zlib.crc32(file.name.encode()) % 2), np.uint8))


def _label(person: int, labels: object) -> int:
    return person % len(labels)  # type: ignore[arg-type]  # odd people have the second label: female, where that is a group


def _detector(rng: np.random.Generator, quality: float) -> DetectorPredictions:
    names = sorted(f"c{frame % 2 + 1}_{frame:02d}.jpg" for frame in range(_NUM_FRAMES))
    found = np.flatnonzero(rng.random(_NUM_FRAMES) < quality)
    boxes = np.tile(np.array(_BOX, np.float32), (len(found), 1))
    scores = rng.uniform(0.6, 1, len(found)).astype(np.float32)
    return DetectorPredictions(np.array(names), found.astype(np.int64), boxes, scores)


def _attributes(rng: np.random.Generator, quality: np.ndarray) -> AttributePredictions:
    images = [f"{person}-{crop}.jpg" for person in range(1, NUM_PEOPLE + 1) for crop in range(3)]
    parts = []
    for group in SCHEMA.groups:
        size = len(group.labels)
        true = np.array([_label(person, group.labels) for person in range(1, NUM_PEOPLE + 1)]).repeat(3)
        is_right = rng.random(len(images)) < quality.repeat(3)
        answered = np.where(is_right, true, (true + 1) % size)
        sure = 0.8 * np.eye(size)[answered]
        parts.append((sure + 0.2 / size).astype(np.float32))
    return AttributePredictions(np.array(images), np.array(SCHEMA.group_names), np.concatenate(parts, axis=1))
