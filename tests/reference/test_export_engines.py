"""Engines against the software their weights were made with, on real pictures and weights."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchreid.reid.models import build_model

from domain.detections import postprocess
from domain.embeddings import cosine_distances
from domain.images import read_image, resize_for
from evaluation.retrieval import evaluate_retrieval
from export.engines import load
from export.engines.engine import Engine
from export.import_weights import main as import_weights
from export.onnx_graph import EngineNetwork
from export.parity import output_differences, torch_outputs
from export.validation import Outputs, ValidationSample, sample_of
from training.detector.darknet import load_weights
from training.detector.network import build_yolov4


@pytest.fixture(scope="session")
def detector_folder(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, weights = tmp_path_factory.mktemp("engines") / "yolov4-tiny", real_data / "weights"
    import_weights(
        [
            "task=detector",
            f"cfg={weights}/yolov4-tiny.cfg",
            f"weights={weights}/yolov4-tiny.weights",
            f"names={weights}/coco.names",
            "max_batch=4",
            "precisions=[fp32, fp16, int8]",
            f"pictures={real_data}/pennfudan/images/train",
            f"out={folder}",
        ]
    )
    return folder


@pytest.fixture(scope="session")
def detector(detector_folder: Path) -> Engine:
    return load(detector_folder)


@pytest.fixture(scope="session")
def reid(reid_folder: Path) -> Engine:
    return load(reid_folder)


@pytest.fixture(scope="session")
def reid_folder(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines") / "osnet"
    weights = real_data / "weights" / "osnet_x0_25_msmt17.pth"
    command = ["task=reid", "backbone=osnet_x0_25", f"weights={weights}", "max_batch=4", f"out={folder}"]
    import_weights([*command, "precisions=[fp32, fp16, int8]", f"pictures={real_data}/pa100k/data"])
    return folder


@pytest.fixture(scope="session")
def frames(real_data: Path, detector: Engine) -> np.ndarray:
    files = sorted((real_data / "pennfudan" / "images" / "val").iterdir())[:6]
    return np.stack([resize_for(detector.card, read_image(file)).image for file in files])


@pytest.fixture(scope="session")
def crops(real_data: Path, reid: Engine) -> np.ndarray:
    files = sorted((real_data / "pa100k" / "data").iterdir())[:9]
    return np.stack([resize_for(reid.card, read_image(file)).image for file in files])


def opencv_scores(real_data: Path, frames: np.ndarray) -> np.ndarray:
    """The 50 best anchors' class scores of each frame, best first, by OpenCV's reader of Darknet files.

    OpenCV sets scores that are below the cfg's threshold to 0.
    """
    weights = real_data / "weights"
    network = cv2.dnn.readNetFromDarknet(str(weights / "yolov4-tiny.cfg"), str(weights / "yolov4-tiny.weights"))
    best = []
    for frame in frames:
        network.setInput(cv2.dnn.blobFromImage(frame, 1 / 255))
        rows = np.concatenate(network.forward(network.getUnconnectedOutLayersNames()))
        best.append(-np.sort(-rows[:, 5:].max(axis=1))[:50])
    return np.array(best)


def engine_scores(detector: Engine, frames: np.ndarray) -> np.ndarray:
    """As `opencv_scores`, by the engine and without its threshold."""
    return -np.sort(-detector(frames)["scores"].max(axis=2), axis=1)[:, :50]


def test_detector_scores_equal_opencv(real_data: Path, detector: Engine, frames: np.ndarray) -> None:
    expected = opencv_scores(real_data, frames)
    assert (expected > 0).sum() > 20
    np.testing.assert_allclose(np.where(expected > 0, engine_scores(detector, frames), 0), expected, atol=1e-4)


def test_the_comparison_would_notice_swapped_channels(real_data: Path, detector: Engine, frames: np.ndarray) -> None:
    expected = opencv_scores(real_data, frames)
    swapped = engine_scores(detector, frames[..., ::-1])
    assert np.abs(swapped - expected)[expected > 0].max() > 1e-2


def test_the_dog_the_person_and_the_horse_are_found(real_data: Path, detector: Engine) -> None:
    picture = resize_for(detector.card, read_image(real_data / "images" / "person.jpg"))
    outputs = detector(picture.image[None])
    found = postprocess(outputs["boxes"][0], outputs["scores"][0], picture, 0.25, 0.45)
    assert [detector.card.class_names[index] for index in found.classes] == ["person", "dog", "horse"]


def test_detector_is_within_a_ten_thousandth_of_torch(real_data: Path, detector: Engine, frames: np.ndarray) -> None:
    network = build_yolov4(real_data / "weights" / "yolov4-tiny.cfg")
    load_weights(network, real_data / "weights" / "yolov4-tiny.weights")
    expected = torch_outputs(EngineNetwork(network, detector.card), frames)
    differences = output_differences(detector.card, detector(frames), expected, [str(i) for i in range(len(frames))])
    assert max(difference.largest for difference in differences.values()) <= 1e-4


def torchreid_embeddings(real_data: Path, crops: np.ndarray) -> np.ndarray:
    """Unit-length features by torchreid's own network and its own order of preparation."""
    network = build_model("osnet_x0_25", num_classes=1041, loss="triplet", pretrained=False).eval()
    file = real_data / "weights" / "osnet_x0_25_msmt17.pth"
    network.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = ((torch.from_numpy(crops) / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return torch.nn.functional.normalize(network(images)).numpy()


@pytest.mark.parametrize("batch", [1, 7, 9])
def test_embeddings_equal_torchreid(real_data: Path, reid: Engine, crops: np.ndarray, batch: int) -> None:
    ours = reid(crops[:batch])["embeddings"]
    assert ours.shape == (batch, 512)
    np.testing.assert_allclose(ours, torchreid_embeddings(real_data, crops[:batch]), atol=1e-4)


def test_the_comparison_would_notice_a_missing_normalisation(real_data: Path, reid: Engine, crops: np.ndarray) -> None:
    darker = (crops * 0.5).astype(np.uint8)
    assert np.abs(reid(darker)["embeddings"] - torchreid_embeddings(real_data, crops)).max() > 1e-2


@pytest.fixture(scope="session")
def pennfudan(real_data: Path, detector: Engine, tmp_path_factory: pytest.TempPathFactory) -> ValidationSample:
    """All its 120 pictures as one split: on the 30 of `val` chance alone moves AP50-95 by more than int8 may."""
    district = tmp_path_factory.mktemp("pennfudan")
    for kind in ("images", "labels"):
        folder = district / "detection" / kind / "val"
        folder.mkdir(parents=True)
        for split in ("train", "val"):
            for file in (real_data / "pennfudan" / kind / split).iterdir():
                (folder / file.name).symlink_to(file)
    return sample_of(detector.card, district, 120, score_threshold=0.01)


@pytest.fixture(scope="session")
def seen_twice(real_data: Path, reid: Engine) -> ValidationSample:
    """150 people of PA-100K, each also darker, less sharp and a little aside, as another camera would have it."""
    files = sorted((real_data / "pa100k" / "data").iterdir())[::9][:150]
    first = np.stack([resize_for(reid.card, read_image(file)).image for file in files])
    aside = np.roll(first, (12, 8), axis=(1, 2))
    second = np.stack([cv2.GaussianBlur(image, (0, 0), 2.5) for image in (aside * 0.6).astype(np.uint8)])
    people, cameras = np.tile(np.arange(len(files)), 2), np.repeat([0, 1], len(files))

    def mean_average_precision(outputs: Outputs) -> float:
        distances = cosine_distances(outputs["embeddings"], outputs["embeddings"])
        return evaluate_retrieval(distances, people, people, cameras, cameras).mean_average_precision

    names = tuple(file.name for file in files) * 2
    return ValidationSample(names, np.concatenate([first, second]), "map", mean_average_precision)


@pytest.mark.parametrize(("file", "most"), [("model.fp16.onnx", 0.005), ("model.int8.onnx", 0.02)])
@pytest.mark.parametrize("task", ["detector", "reid"])
def test_the_metric_holds_in_fewer_bits(request: pytest.FixtureRequest, task: str, file: str, most: float) -> None:
    engine = request.getfixturevalue(task)
    sample = request.getfixturevalue("pennfudan" if task == "detector" else "seen_twice")
    expected = sample.metric(engine(sample.images))
    assert 0.4 < expected < 0.98  # neither lost nor so easy that nothing could be lost
    assert abs(sample.metric(load(request.getfixturevalue(f"{task}_folder") / file)(sample.images)) - expected) <= most


def test_the_card_names_the_source(reid: Engine, detector: Engine) -> None:
    assert reid.card.source == "osnet_x0_25_msmt17.pth"
    assert (reid.card.feature, reid.card.resize) == (512, "stretch")
    assert (detector.card.input_width_px, detector.card.class_names[0]) == (416, "person")
