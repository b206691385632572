"""What a detector's training starts from, and the threshold it ends with."""

from pathlib import Path

import numpy as np
import pytest
import torch

from districts.box_files import LabelledFrame, read_detection_split
from domain.boxes import Detections
from domain.errors import ArtifactError, InputError
from domain.images import write_image
from training.detector.anchors import fit_anchors
from training.detector.darknet import save_weights
from training.detector.network import DarknetNetwork, build_yolov4, load_detector
from training.detector.operating_point import best_f1_threshold
from training.detector.preparation import define_network, link_data, read_rows, start_network


def frames_with(sizes: list[tuple[int, int]], folder: Path) -> list[LabelledFrame]:
    write_image(folder / "frame.png", np.zeros((360, 640, 3), np.uint8))
    boxes = np.array([[10, 20, 10 + width, 20 + height] for width, height in sizes], np.float32)
    return [LabelledFrame(folder / "frame.png", boxes, (360, 640))]


def write_split(detection: Path, split: str, labels: dict[str, str]) -> list[LabelledFrame]:
    for name, text in labels.items():
        write_image(detection / "images" / split / name, np.zeros((20, 40, 3), np.uint8))
        file = (detection / "labels" / split / name).with_suffix(".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return read_detection_split(detection.parent, "train" if split == "train" else "val")


def test_ultralytics_sees_the_pictures_and_boxes_that_the_checks_took(tmp_path: Path) -> None:
    detection, data = tmp_path / "구 1 #" / "detection", tmp_path / "data"
    train = write_split(detection, "train", {"a.png": "0 .5 .5 .1 .2\n0 .25 .5 .1 .2\n0 .5 .5 .1 .2\n", "b.png": ""})
    (detection / "images" / "train" / "a.npy").write_bytes(b"another picture")
    link_data({"train": train, "val": []}, data)
    first, second = read_rows(data, "train")
    assert Path(first["im_file"]) == data / "images" / "train" / "a.png"
    assert Path(first["im_file"]).read_bytes() == train[0].image.read_bytes()
    assert sorted(path.name for path in (data / "images" / "train").iterdir()) == ["a.png", "b.png"]
    assert first["shape"] == (20, 40)
    assert first["bboxes"] == pytest.approx(np.array([[0.5, 0.5, 0.1, 0.2], [0.25, 0.5, 0.1, 0.2]]))
    assert (first["cls"].shape, second["cls"].shape, second["bboxes"].shape) == ((2, 1), (0, 1), (0, 4))


def test_a_second_start_sees_the_pictures_of_then(tmp_path: Path) -> None:
    train = write_split(tmp_path / "detection", "train", {"a.png": "", "b.png": ""})
    link_data({"train": train, "val": []}, tmp_path / "data")
    link_data({"train": train[1:], "val": []}, tmp_path / "data")
    assert [path.name for path in (tmp_path / "data" / "images" / "train").iterdir()] == ["b.png"]
    assert all(frame.image.is_file() for frame in train)


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
    empty = LabelledFrame(frame.image, np.zeros((0, 4), np.float32), frame.size)
    assert best_f1_threshold([frame], [found()]) == (0.5, 0.0)
    assert best_f1_threshold([empty], [found((10, 0.9, 0))]) == (0.5, 0.0)


def test_a_folder_without_a_detector_names_the_stage(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"network\.cfg must define a network; rerun train_detector"):
        load_detector(tmp_path)
    build_yolov4("yolov4-tiny").definition.write(tmp_path / "network.cfg")
    (tmp_path / "weights.pt").write_bytes(b"not weights")
    with pytest.raises(ArtifactError, match="must be readable weights; rerun train_detector"):
        load_detector(tmp_path)
