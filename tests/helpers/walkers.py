"""People as plain coloured boxes who walk through a video, and engines that see exactly those."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import yaml

from domain.attributes import AttributeSchema, Group, Label
from domain.model_card import ModelCard
from serving.ingestion.following import CameraVideo, FollowedVideo, StageClock, TrackingSettings, follow
from serving.perception.perception import Engines, Perception
from serving.video.files import video_writer
from tests.helpers.project import ROOT

START = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)
HEIGHT, WIDTH = 120, 320
COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
_GROUND = (128, 128, 128)
_ANCHORS = 8


@dataclass(frozen=True)
class Walker:
    """A box of 16 × 48 pixels whose left edge moves from `start_x` by `speed_px_s`, seen within `seen_s`."""

    colour: str
    start_x: float
    speed_px_s: float
    top: int = 40
    seen_s: tuple[float, float] = (0.0, 1e9)

    def left(self, time_s: float) -> int | None:
        x = round(self.start_x + self.speed_px_s * time_s)
        inside = self.seen_s[0] <= time_s <= self.seen_s[1] and 0 <= x <= WIDTH - 16
        return x if inside else None


RED, GREEN, BLUE = Walker("red", 20, 40), Walker("green", 280, -40), Walker("blue", 100, 0, top=70)


def picture(walkers: Sequence[Walker], time_s: float) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), _GROUND, np.uint8)
    for walker in walkers:
        left = walker.left(time_s)
        if left is not None:
            image[walker.top : walker.top + 48, left : left + 16] = COLOURS[walker.colour]
    return image


def write_video(file: Path, walkers: Sequence[Walker], *, fps: float = 10, seconds: float = 3) -> Path:
    with video_writer(file, fps) as write:
        for number in range(round(fps * seconds)):
            write(picture(walkers, number / fps))
    return file


def settings(**tracker: float) -> TrackingSettings:
    content = yaml.safe_load((ROOT / "conf" / "tracking" / "tracklets.yaml").read_text())
    content["tracker"] |= tracker
    return TrackingSettings.model_validate(content)


def write_params(folder: Path, **sections: Mapping[str, object]) -> None:
    content = {"tracking": yaml.safe_load((ROOT / "conf" / "tracking" / "tracklets.yaml").read_text()), **sections}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))


class ColourDetector:
    """Boxes around saturated regions; a class scores of a COCO-like detector of two classes."""

    def __init__(self, class_names: tuple[str, ...] = ("dog", "person")) -> None:
        self.card = ModelCard(
            task="detector",
            architecture="colours",
            weights_sha256="c0" * 32,
            input_height_px=HEIGHT,
            input_width_px=WIDTH,
            resize="stretch",
            output_names=("boxes", "scores"),
            class_names=class_names,
            score_threshold=0.5,
            iou_threshold=0.5,
            district="none",
        )
        self.batches: list[int] = []

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self.batches.append(len(images))
        boxes = np.zeros((len(images), _ANCHORS, 4), np.float32)
        scores = np.zeros((len(images), _ANCHORS, len(self.card.class_names)), np.float32)
        for i, image in enumerate(images):
            seen = 0
            for colour in COLOURS.values():  # one mask a colour, so that people who meet stay two boxes
                distance = np.abs(image.astype(int) - colour).max(axis=2)
                _, _, stats, _ = cv2.connectedComponentsWithStats((distance < 90).astype(np.uint8))
                for left, top, width, height, area in stats[1:]:
                    if area < 100 or seen == _ANCHORS:
                        continue
                    boxes[i, seen] = left, top, left + width, top + height
                    scores[i, seen, -1] = 0.9
                    seen += 1
        return {"boxes": boxes, "scores": scores}


class ColourReid:
    """The mean colour of a crop's middle, as a vector of unit length."""

    def __init__(self) -> None:
        self.card = ModelCard(
            task="reid",
            architecture="colours",
            weights_sha256="c0" * 32,
            input_height_px=32,
            input_width_px=16,
            resize="stretch",
            output_names=("embeddings",),
            feature=3,
            match_distance=0.3,
            district="none",
        )

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        means = images[:, 8:24, 4:12].reshape(len(images), -1, 3).mean(axis=1, dtype=np.float32)
        return {"embeddings": means / np.linalg.norm(means, axis=1, keepdims=True)}


class ColourAttributes:
    """Says of a crop which of the three colours it is."""

    def __init__(self) -> None:
        labels = tuple(Label(name=name, korean=name) for name in COLOURS)
        group = Group(name="upper_colour", english="Upper colour", korean="상의 색", colour=True, labels=labels)
        self.card = ModelCard(
            task="attributes",
            architecture="colours",
            weights_sha256="c0" * 32,
            input_height_px=32,
            input_width_px=16,
            resize="stretch",
            output_names=("upper_colour",),
            attribute_schema=AttributeSchema(name="colours", groups=(group,)),
            district="none",
        )

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        means = images[:, 8:24, 4:12].reshape(len(images), -1, 3).mean(axis=1, dtype=np.float32)
        return {"upper_colour": means / means.sum(axis=1, keepdims=True)}


def engines(
    detector: ColourDetector | None = None, reid: ColourReid | None = None, *, describes: bool = True
) -> Engines:
    return Engines(detector or ColourDetector(), reid or ColourReid(), ColourAttributes() if describes else None)


def perception(detector: ColourDetector | None = None, *, describes: bool = True) -> Perception:
    return Perception(*engines(detector, describes=describes), settings().perception)


def follow_files(
    files: Sequence[Path], eyes: Perception | None = None, chosen: TrackingSettings | None = None
) -> list[FollowedVideo]:
    """The people of each video, whose camera is called as the file."""
    videos = [CameraVideo(file.stem, file, START) for file in files]
    return follow(videos, eyes or perception(), chosen or settings(), on_frames=lambda count: None, clock=StageClock())
