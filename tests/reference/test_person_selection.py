"""Selection of the person in a photo, with the official YOLOv4-tiny on pictures of real people."""

from pathlib import Path

import numpy as np
import pytest
import torch

from districts.box_files import read_labelled_frame
from domain.boxes import pairwise_iou
from domain.images import crop_boxes, read_image
from domain.model_card import ModelCard
from serving.perception.perception import Perception
from serving.search.person_selection import select_person
from tests.helpers.walkers import ColourReid, settings
from training.detector.darknet import load_weights
from training.detector.network import DarknetNetwork, build_yolov4

LEAST_HEIGHT_PX = 100


class OfficialTiny:
    """The network as an engine."""

    def __init__(self, network: DarknetNetwork, class_names: tuple[str, ...]) -> None:
        self._network = network.eval()
        self.card = ModelCard(
            task="detector",
            architecture="yolov4_tiny",
            input_height_px=416,
            input_width_px=416,
            resize="letterbox",
            output_names=("boxes", "scores"),
            class_names=class_names,
            score_threshold=0.25,
            iou_threshold=0.45,
            district="coco",
        )

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            boxes, scores = self._network(pixels)
        return {"boxes": boxes.numpy(), "scores": scores.numpy()}


@pytest.fixture(scope="module")
def detector(real_data: Path) -> Perception:
    weights = real_data / "weights"
    network = build_yolov4(weights / "yolov4-tiny.cfg")
    load_weights(network, weights / "yolov4-tiny.weights")
    names = tuple((weights / "coco.names").read_text().split("\n")[:80])
    return Perception(OfficialTiny(network, names), ColourReid(), None, settings().perception)


def test_a_crop_of_a_person_is_searched_whole_and_a_scene_at_a_person(detector: Perception, real_data: Path) -> None:
    folder = real_data / "pennfudan"
    files = sorted((folder / "images" / "val").iterdir())
    frames = [read_labelled_frame(file, folder / "labels" / "val") for file in files]
    crops, standing = [], []
    for frame in frames:
        image = read_image(frame.image)
        box = select_person(detector, image)
        standing.append(box is not None and pairwise_iou(np.array([box]), frame.boxes_xyxy).max() > 0.5)
        heights = frame.boxes_xyxy[:, 3] - frame.boxes_xyxy[:, 1]
        crops += crop_boxes(image, frame.boxes_xyxy[heights >= LEAST_HEIGHT_PX])
    assert np.mean(standing) > 0.95
    assert len(crops) > 50
    assert np.mean([select_person(detector, crop) is None for crop in crops]) > 0.98
