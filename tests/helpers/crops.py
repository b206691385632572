"""Tiny sets of synthetic crops: people in clothes of their own colours, seen by two cameras of different light."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from domain.images import write_image
from tests.helpers.project import section

HEIGHT, WIDTH = 64, 32
_SMALL: dict[str, Any] = {
    "input_height_px": HEIGHT,
    "input_width_px": WIDTH,
    "validation_batch": 64,
    "validate_every_epochs": 1,
}


def small_settings(name: str, option: str, **changes: Any) -> dict[str, Any]:
    """The section `name` of `conf/<name>/<option>.yaml` in sizes for a test, with `changes` on top."""
    values = section(name, option)
    values["hardware"] |= {"accelerator": "cpu", "num_workers": 0}
    return values | _SMALL | changes


def draw_person(colours: np.ndarray, camera: int, rng: np.random.Generator) -> np.ndarray:
    """A crop `uint8 [height, width, 3]`: head, upper and lower garment (`colours` `[2, 3]`) before a grey wall."""
    image = np.full((HEIGHT, WIDTH, 3), 110 + 15 * (camera % 2), np.float64)
    left = rng.integers(6, 11)
    image[6:16, left + 5 : left + 12] = (200, 160, 130)
    image[16:38, left : left + 16] = colours[0]
    image[38:60, left + 2 : left + 14] = colours[1]
    lit = image * (0.9 + 0.1 * (camera % 2)) + rng.normal(0, 8, image.shape)
    return lit.clip(0, 255).astype(np.uint8)


def write_reid_set(folder: Path, *, shuffle_seed: int | None = None, num_train: int = 12, num_val: int = 12) -> Path:
    """`reid/bounding_box_train` and `bounding_box_val` below `folder`: each person 4 times in each of 2 cameras.

    With `shuffle_seed` the pictures of a part are dealt out among its people at random.
    """
    rng = np.random.default_rng(7)
    first = 1
    for part, num_people in (("bounding_box_train", num_train), ("bounding_box_val", num_val)):
        colours = rng.integers(0, 256, (num_people, 2, 3))
        shown = [(person, camera) for person in range(num_people) for camera in (1, 2) for _ in range(4)]
        named = list(shown)
        if shuffle_seed is not None:
            named = [shown[index] for index in np.random.default_rng(shuffle_seed).permutation(len(shown))]
        for number, ((person, camera), (name, its_camera)) in enumerate(zip(shown, named, strict=True)):
            file = f"{first + name:04d}_c{its_camera}s1_{number:06d}_00.jpg"
            write_image(folder / "reid" / part / file, draw_person(colours[person], camera, rng))
        first += num_people
    return folder / "reid"


def write_attribute_set(folder: Path, num_images: int = 48) -> None:
    """`district.yaml`, a schema of two groups, and the splits of `attributes/` below `folder`; every fifth unknown."""
    upper = {"red": (220, 30, 30), "blue": (30, 30, 220), "white": (240, 240, 240)}
    lower = {"dark": (20, 20, 20), "light": (200, 200, 180)}
    groups = [
        {"name": name, "english": name, "korean": name, "labels": [{"name": n, "korean": n} for n in labels]}
        for name, labels in (("upper", upper), ("lower", lower))
    ]
    camera = {"id": "c1", "name": "one", "latitude": 35.8, "longitude": 128.6, "fps": 5, "width_px": 640}
    district = {
        "name": folder.name,
        "time_zone": "Asia/Seoul",
        "attribute_schema": "clothes.yaml",
        "source": "drawn",
        "licence": "none",
        "cameras": [camera | {"height_px": 360}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "district.yaml").write_text(yaml.safe_dump(district))
    (folder / "clothes.yaml").write_text(yaml.safe_dump({"name": "clothes", "groups": groups}))
    rng = np.random.default_rng(3)
    for split in ("train", "val"):
        rows = []
        for number in range(num_images):
            worn = str(rng.choice(list(upper))), str(rng.choice(list(lower)))
            name = f"{split}_{number:03d}.jpg"
            crop = draw_person(np.array([upper[worn[0]], lower[worn[1]]]), number, rng)
            write_image(folder / "attributes" / "images" / name, crop)
            rows.append((name, number, "c1", "" if number % 5 == 0 else worn[0], worn[1]))
        with (folder / "attributes" / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("image", "identity", "camera", "upper", "lower"), *rows])
