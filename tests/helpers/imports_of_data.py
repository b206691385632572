"""Small sources in foreign formats, and what an import makes of them."""

from pathlib import Path

import cv2
import numpy as np

from districts import import_data
from districts.box_files import read_labelled_frame
from districts.demo.video import VideoWriter
from districts.layout import find_pictures

WIDTH, HEIGHT = 40, 20


def draw(file: Path, width: int = WIDTH, height: int = HEIGHT) -> Path:
    """A picture like no other."""
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(str(file).encode())).integers(0, 255, (height, width, 3), dtype=np.uint8)
    cv2.imwrite(str(file), noise)
    return file


def write_video(file: Path, num_frames: int = 20, fps: int = 2, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """A video of `size` (width, height), each frame of which is a little lighter than the one before."""
    with VideoWriter(file, fps, size) as video:
        for number in range(1, num_frames + 1):
            video.write(np.full((size[1], size[0], 3), 200 * number // num_frames, np.uint8))
    return file


def run_import(kind: str, source: Path, *options: str, name: str = "town") -> Path:
    """Import into the working directory; returns the district's folder."""
    import_data.main([kind, str(source), name, *options])
    return Path("districts-in") / name


def boxes_in(district: Path) -> dict[str, list[list[float]]]:
    """Boxes in pixels of each picture of the detection set, by `split/name`."""
    return {
        f"{split}/{picture.name}": read_labelled_frame(picture, district / "detection/labels" / split)
        .boxes_xyxy.round(2)
        .tolist()
        for split in ("train", "val", "test")
        if (district / "detection/images" / split).is_dir()
        for picture in find_pictures(district / "detection/images" / split)
    }
