"""Ways to damage a sound district, and what its checks must say of it."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from districts.checks.district import check_district
from districts.demo.video import VideoWriter
from districts.findings import Finding
from tests.helpers.districts import draw_picture

TRAIN, QUERY, GALLERY = "reid/bounding_box_train/", "reid/query/", "reid/bounding_box_test/"
Damage = Callable[[Path], object]


def fatal(folder: Path) -> list[Finding]:
    return [finding for finding in check_district(folder) if finding.is_fatal]


def require_fatal(folder: Path, damage: Damage, place: str, message: str) -> None:
    """Require of the damaged district in `folder` a fatal finding at `place` whose message matches `message`."""
    damage(folder)
    matching = [finding for finding in fatal(folder) if finding.place.endswith(place)]
    assert matching, f"nothing fatal at {place}: {[*map(str, fatal(folder))]}"
    assert re.search(message, "; ".join(finding.message for finding in matching))


def require_warning(folder: Path, damage: Damage, message: str) -> None:
    """Require of the damaged district a warning with `message`, in which {} is `folder`."""
    damage(folder)
    wanted = message.replace("{}", str(folder))
    matching = [finding for finding in check_district(folder) if wanted in f"{finding.place}: {finding.message}"]
    assert matching
    assert not any(finding.is_fatal for finding in matching)


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return damage


def overwrite(file: str, text: str) -> Damage:
    return lambda folder: (folder / file).write_text(text)


def remove(file: str) -> Damage:
    return lambda folder: (folder / file).unlink()


def draw(file: str) -> Damage:
    return lambda folder: draw_picture(folder / file)


def rename(file: str, other: str) -> Damage:
    return lambda folder: (folder / file).rename(folder / other)


def add(file: str, **saved: Any) -> Damage:
    """Another picture, saved by Pillow with these options."""

    def write(folder: Path) -> None:
        draw_picture(folder / file)
        picture = Image.open(folder / file).convert(saved.pop("mode", "RGB"))
        picture.save(folder / file, **saved)

    return write


def cut(file: str, share: float = 0.6) -> Damage:
    """Another picture, of which the end is missing."""

    def write(folder: Path) -> None:
        draw_picture(folder / file)
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: int(share * len(content))])

    return write


def copy(file: str, other: str) -> Damage:
    return lambda folder: shutil.copy(folder / file, folder / other)


def film(file: str, num_frames: int) -> Damage:
    def write(folder: Path) -> None:
        with VideoWriter(folder / file, 2, (32, 32)) as video:
            for _ in range(num_frames):
                video.write(np.zeros((32, 32, 3), np.uint8))

    return write


def more_cameras(number: int, **changed: float) -> Damage:
    def describe(folder: Path) -> None:
        described = yaml.safe_load((folder / "district.yaml").read_text())
        camera = described["cameras"][0] | changed
        described["cameras"] += [camera | {"id": f"x{i}"} for i in range(number)]
        (folder / "district.yaml").write_text(yaml.safe_dump(described))

    return describe


def both(*damages: Damage) -> Damage:
    return lambda folder: [damage(folder) for damage in damages]


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # by a quarter
    return exif
