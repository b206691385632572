"""What a detector's training starts from, and the threshold it ends with."""

from pathlib import Path

import numpy as np
import pytest
import torch

from districts.box_files import LabelledFrame
from domain.boxes import Detections
from domain.errors import ArtifactError, InputError
from domain.images import write_image
from training.detector.anchors import fit_anchors
from training.detector.darknet import save_weights
from training.detector.network import DarknetNetwork, build_yolov4, load_detector
from training.detector.operating_point import best_f1_threshold
from training.detector.preparation import define_network, link_data, start_network


def frames_with(sizes: list[tuple[int, int]], folder: Path) -> list[LabelledFrame]:
    write_image(folder / "frame.png", np.zeros((360, 640, 3), np.uint8))
    boxes = np.array([[10, 20, 10 + width, 20 + height] for width, height in sizes], np.float32)
    return [LabelledFrame(folder / "frame.png", boxes)]


def test_the_districts_folder_stays_as_it_is(tmp_path: Path) -> None:
    detection = tmp_path / "detection"
    for split in ("train", "val"):
        write_image(detection / "images" / split / "a.png", np.zeros((8, 8, 3), np.uint8))
    (detection / "labels" / "train").mkdir(parents=True)
    (detection / "labels" / "train" / "a.txt").write_text("0 .5 .5 .1 .1\n")
    link_data(detection, tmp_path / "data")
    assert (tmp_path / "data" / "images" / "train" / "a.png").is_file()
    (tmp_path / "data" / "labels" / "train" / "a.txt").write_text("changed")
    (tmp_path / "data" / "labels" / "val" / "b.cache").write_text("")
    assert (detection / "labels" / "train" / "a.txt").read_text() == "0 .5 .5 .1 .1\n"
    assert not (detection / "labels" / "val").exists()


def test_anchors_are_fitted_at_the_input_size_small_ones_to_the_fine_head(tmp_path: Path) -> None:
    sizes = [(20 * k, 50 * k) for k in range(1, 7)]
    definition = define_network(
        "yolov4-tiny",
        (192, 320),
        "fit",
        {"iou_normalizer": 0.5, "iou_thresh": None},
        frames_with(sizes, tmp_path),
        seed=0,
    )
    with torch.device("meta"):
        coarse, fine = DarknetNetwork(definition).yolo_heads
    assert definition.input_size == (192, 320)
    assert fine.anchors_px == ((10, 25), (20, 50), (30, 75))  # half size: 640 px wide become 320
    assert coarse.anchors_px == ((40, 100), (50, 125), (60, 150))
    assert fine.section.number("iou_normalizer") == 0.5


def test_an_input_size_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be multiples of 32 px, got \(200, 320\)"):
        define_network("yolov4-tiny", (200, 320), "cfg", {}, [], seed=0)


def test_too_few_sizes_for_the_anchors_are_refused() -> None:
    with pytest.raises(InputError, match="fitting 6 anchors needs 6 different box sizes, got 1"):
        fit_anchors(np.ones((9, 2)), 6, seed=0)


def test_heads_begin_by_expecting_few_people_and_weights_come_on_top(tmp_path: Path) -> None:
    definition = build_yolov4("yolov4-tiny").definition
    network = start_network(definition, None, seed=3)
    with torch.inference_mode():
        _, scores = network.eval().decoded(torch.rand(1, 3, 64, 64))
    assert 0.001 < float(scores.mean()) < 0.05
    save_weights(network, tmp_path / "a.weights")
    other = start_network(definition, tmp_path / "a.weights", seed=4)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())
    again = start_network(definition, None, seed=3)
    assert torch.equal(again.layers[0].conv.weight, network.layers[0].conv.weight)


def found(*boxes: tuple[float, float, float]) -> Detections:
    corners = np.array([[left, 20, left + 40, 120] for left, _, _ in boxes], np.float32).reshape(-1, 4)
    return Detections(corners, np.array([score for _, score, _ in boxes], np.float32), np.zeros(len(boxes), np.int64))


def test_the_threshold_is_that_of_best_f1(tmp_path: Path) -> None:
    (frame,) = frames_with([(40, 100), (40, 100)], tmp_path)
    frame.boxes_xyxy[1, [0, 2]] += 200
    detections = found((10, 0.9, 0), (210, 0.6, 0), (400, 0.3, 0))
    threshold, f1 = best_f1_threshold([frame], [detections])
    assert (threshold, f1) == (pytest.approx(0.6), pytest.approx(1.0))


def test_where_nothing_is_found_or_nobody_is_there_the_threshold_is_one_half(tmp_path: Path) -> None:
    (frame,) = frames_with([(40, 100)], tmp_path)
    empty = LabelledFrame(frame.image, np.zeros((0, 4), np.float32))
    assert best_f1_threshold([frame], [found()]) == (0.5, 0.0)
    assert best_f1_threshold([empty], [found((10, 0.9, 0))]) == (0.5, 0.0)


def test_a_folder_without_a_detector_names_the_stage(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"network\.cfg must define a network; rerun train_detector"):
        load_detector(tmp_path)
    build_yolov4("yolov4-tiny").definition.write(tmp_path / "network.cfg")
    (tmp_path / "weights.pt").write_bytes(b"not weights")
    with pytest.raises(ArtifactError, match="must be readable weights; rerun train_detector"):
        load_detector(tmp_path)
