"""Our networks against OpenCV's own Darknet reader."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from districts.box_files import read_labelled_frame
from domain.boxes import Detections
from domain.detections import postprocess
from domain.images import read_image, stretch
from evaluation.detection import score_detections
from training.detector.darknet import load_weights, save_weights
from training.detector.network import DarknetNetwork, build_yolov4

# Single precision sums over thousands of products differ in their last digits: 1e-4 of the largest value, at most.
TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}


def opencv_heads(cfg: Path, weights: Path, network: DarknetNetwork, images: np.ndarray) -> list[np.ndarray]:
    """What OpenCV's convolutions before each yolo layer put out."""
    reader = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    reader.enableWinograd(False)  # which is quicker and less exact
    reader.setInput(images)
    return list(reader.forward([f"conv_{head.layer - 1}" for head in network.yolo_heads]))


def our_heads(network: DarknetNetwork, images: np.ndarray) -> list[np.ndarray]:
    with torch.inference_mode():
        return [head.numpy() for head in network.eval().heads(torch.from_numpy(images))]


def close(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return all(np.allclose(a, b, **TOLERANCE) for a, b in zip(ours, theirs, strict=True))


def picture(file: Path, size: int) -> np.ndarray:
    pixels = stretch(read_image(file), size, size).image
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255)


@pytest.fixture(scope="module")
def tiny(real_data: Path) -> DarknetNetwork:
    network = build_yolov4(real_data / "weights" / "yolov4-tiny.cfg")
    loaded = load_weights(network, real_data / "weights" / "yolov4-tiny.weights")
    assert loaded.num_values * 4 + 20 == (real_data / "weights" / "yolov4-tiny.weights").stat().st_size
    return network


@pytest.mark.parametrize("name", ["dog", "horses", "person", "noise"])
def test_official_tiny_weights_give_opencvs_heads(name: str, tiny: DarknetNetwork, real_data: Path) -> None:
    if name == "noise":
        images = np.random.default_rng(0).random((1, 3, 416, 416), np.float32)
    else:
        images = picture(real_data / "images" / f"{name}.jpg", 416)
    weights = real_data / "weights"
    theirs = opencv_heads(weights / "yolov4-tiny.cfg", weights / "yolov4-tiny.weights", tiny, images)
    assert close(our_heads(tiny, images), theirs)


def test_the_comparison_would_notice_swapped_colours(tiny: DarknetNetwork, real_data: Path) -> None:
    images = picture(real_data / "images" / "dog.jpg", 416)
    weights = real_data / "weights"
    theirs = opencv_heads(weights / "yolov4-tiny.cfg", weights / "yolov4-tiny.weights", tiny, images)
    assert not close(our_heads(tiny, np.ascontiguousarray(images[:, ::-1])), theirs)


def opencv_boxes(
    real_data: Path, images: np.ndarray, size: tuple[int, int], lowest_score: float = 0.3
) -> list[tuple[int, float, np.ndarray]]:
    """Class, score and box xyxy of what OpenCV's reader and its suppression within each class find."""
    weights = real_data / "weights"
    reader = cv2.dnn.readNetFromDarknet(str(weights / "yolov4-tiny.cfg"), str(weights / "yolov4-tiny.weights"))
    reader.setInput(images)
    rows = np.concatenate(reader.forward(reader.getUnconnectedOutLayersNames()))
    boxes = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]], 1) * np.array(size[::-1] * 2)
    found = []
    for label in range(rows.shape[1] - 5):
        scores = rows[:, 5 + label]
        for index in cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), lowest_score, 0.45):
            left, top, width, height = boxes[index]
            found.append((label, float(scores[index]), np.array([left, top, left + width, top + height])))
    return sorted(found, key=lambda item: (item[0], -item[1]))


@pytest.mark.parametrize("name", ["dog", "horses", "person"])
def test_boxes_after_suppression_are_opencvs(name: str, tiny: DarknetNetwork, real_data: Path) -> None:
    image = read_image(real_data / "images" / f"{name}.jpg")
    images = picture(real_data / "images" / f"{name}.jpg", 416)
    with torch.inference_mode():
        boxes, scores = (output[0].numpy() for output in tiny.eval()(torch.from_numpy(images)))
    ours = postprocess(boxes, scores, stretch(image, 416, 416), score_threshold=0.3, iou_threshold=0.45)
    theirs = opencv_boxes(real_data, images, image.shape[:2])

    order = np.lexsort((-ours.scores, ours.classes))
    assert len(theirs) > 0
    assert ours.classes[order].tolist() == [label for label, _, _ in theirs]
    np.testing.assert_allclose(ours.scores[order], [score for _, score, _ in theirs], atol=1e-4)
    limits = np.array(image.shape[1::-1] * 2)
    expected = np.clip(np.stack([box for _, _, box in theirs]), 0, limits)
    np.testing.assert_allclose(ours.boxes_xyxy[order], expected, atol=0.05)  # pixels


def test_untrained_on_penn_fudan_people_are_found_as_well_as_by_opencv(tiny: DarknetNetwork, real_data: Path) -> None:
    folder = real_data / "pennfudan"
    files = sorted((folder / "images" / "val").iterdir())
    frames = [read_labelled_frame(file, folder / "labels" / "val") for file in files]
    ours, theirs = [], []
    for frame in frames:
        images, image = picture(frame.image, 416), read_image(frame.image)
        with torch.inference_mode():
            boxes, scores = (output[0].numpy() for output in tiny.eval()(torch.from_numpy(images)))
        ours.append(postprocess(boxes, scores[:, :1], stretch(image, 416, 416), 0.01, 0.45))
        people = [found for found in opencv_boxes(real_data, images, image.shape[:2], 0.01) if found[0] == 0]
        theirs.append(
            Detections(
                np.array([box for _, _, box in people], np.float32).reshape(-1, 4),
                np.array([score for _, score, _ in people], np.float32),
                np.zeros(len(people), np.int64),
            )
        )
    true_boxes = [frame.boxes_xyxy for frame in frames]
    assert len(frames) == 30
    expected = score_detections(theirs, true_boxes)
    assert expected.ap50 > 0.8
    assert score_detections(ours, true_boxes).ap50 == pytest.approx(expected.ap50, abs=0.02)


def with_random_weights(network: DarknetNetwork) -> DarknetNetwork:
    """Random weights and batch statistics with which values neither vanish nor explode on their way."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.uniform_(module.weight, 0.5, 1.1)
            torch.nn.init.uniform_(module.bias, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def test_the_full_network_with_random_weights_gives_opencvs_heads(real_data: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(1).random((1, 3, 96, 160), np.float32)
    network = with_random_weights(build_yolov4(real_data / "weights" / "yolov4.cfg"))
    save_weights(network, tmp_path / "random.weights")
    theirs = opencv_heads(real_data / "weights" / "yolov4.cfg", tmp_path / "random.weights", network, images)
    assert all(0.3 < float(np.abs(head).max()) < 100 for head in theirs)
    assert close(our_heads(network, images), theirs)
