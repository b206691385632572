"""The stages `export` and `predict` and `export.parity`, on a tiny district and networks of a few weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from domain.attributes import AttributeSchema, Group, Label
from domain.errors import ArtifactError, InputError
from domain.images import write_image
from domain.match_calibration import read_calibration
from domain.model_card import ModelCard, read_card, write_card
from domain.predictions import AttributePredictions, DetectorPredictions, ReidPredictions
from domain.settings import read_params
from export import export, parity, predict
from export.engines import load
from export.onnx_graph import EngineNetwork
from tests.helpers.project import ROOT
from training.detector.network import build_yolov4

HEIGHT, WIDTH = 64, 32
LOGGED: list[tuple[ModelCard, list[Path], dict]] = []  # what went to the experiment log
CFG = f"""[net]
width={HEIGHT}
height={HEIGHT}
channels=3
[convolutional]
filters=8
size=3
stride=8
pad=1
activation=leaky
batch_normalize=1
[convolutional]
filters=12
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1
anchors=8,16, 16,32
classes=1
num=2
scale_x_y=1.05
"""
SCHEMA = AttributeSchema(
    name="two",
    groups=(
        Group(name="view", english="view", korean="방향", labels=tuple(Label(name=n, korean="가") for n in "ab")),
        Group(name="hat", english="hat", korean="모자", labels=tuple(Label(name=n, korean="나") for n in "xyz")),
    ),
)


class TinyTrunk(nn.Module):
    """Mean of a convolution's outputs."""

    def __init__(self, feature: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, feature, 3, stride=4)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images).mean(dim=(2, 3))


class TinyAttributes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = TinyTrunk(5)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        values = self.trunk(images).view(-1, 5)  # a value that the exporter calls like the group
        return {"view": values[:, :2], "hat": values[:, 2:]}


def tiny_card(task: str) -> ModelCard:
    if task == "detector":
        more = {"class_names": ("person",), "score_threshold": 0.3, "iou_threshold": 0.5, "resize": "letterbox"}
        more |= {"output_names": ("boxes", "scores"), "input_height_px": HEIGHT, "input_width_px": HEIGHT}
    else:
        more = {"resize": "stretch", "channel_mean": (0.5, 0.4, 0.3), "channel_std": (0.2, 0.25, 0.3)}
        more |= {"input_height_px": HEIGHT, "input_width_px": WIDTH}
        more |= (
            {"output_names": SCHEMA.group_names, "attribute_schema": SCHEMA}
            if task == "attributes"
            else {"output_names": ("embeddings",), "feature": 6}
        )
    return ModelCard.model_validate({"task": task, "architecture": "tiny", "district": "tiny", **more})


def tiny_network(folder: Path, card: ModelCard) -> EngineNetwork:
    torch.manual_seed(0)
    if card.task == "detector":
        (folder / "network.cfg").write_text(CFG)
        return EngineNetwork(build_yolov4(folder / "network.cfg"), card)
    return EngineNetwork(TinyAttributes() if card.task == "attributes" else TinyTrunk(6), card)


def write_district(folder: Path) -> None:
    rng = np.random.default_rng(0)

    def picture(file: Path, height: int, width: int) -> None:
        write_image(file, rng.integers(0, 256, (height, width, 3), dtype=np.uint8))

    for split in ("val", "test"):
        for number in range(5):
            picture(folder / "detection" / "images" / split / f"{number}.png", 48, 80)
            label = folder / "detection" / "labels" / split / f"{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("0 0.5 0.5 0.2 0.5\n")
        rows = ["image,identity,camera,view,hat"]
        for number in range(7):
            picture(folder / "attributes" / "images" / f"{split}{number}.png", 40, 20)
            rows.append(f"{split}{number}.png,{number},c1,{'ab'[number % 2]},{'xyz'[number % 3]}")
        (folder / "attributes" / f"{split}.csv").write_text("\n".join(rows) + "\n")
    for part in ("bounding_box_val", "query", "bounding_box_test"):
        for identity in range(1, 5):
            for camera in (1, 2):
                picture(folder / "reid" / part / f"{identity:04d}_c{camera}s1_000001_00.png", 40, 20)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A folder to run stages in; call it with a task to have a model of it, and get the model's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("export.export.load_network", tiny_network)
    monkeypatch.setattr("export.parity.load_network", tiny_network)
    monkeypatch.setattr("export.parity.compute_capability", lambda: None)
    monkeypatch.setattr("export.parity.log_engine", lambda *logged: LOGGED.append(logged))
    write_district(tmp_path / "data" / "tiny")
    section = read_params(file=ROOT / "params.yaml")["export"]
    section |= {"threads": 1, "predict_batch": 4}
    section["plan"] |= {"builder": "none"}
    section["parity"] |= {"images": 6}
    params = {
        "export": section,
        "district": {"name": "tiny"},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))

    def add_model(task: str) -> str:
        name = "reid-osnet" if task == "reid" else task
        write_card(tiny_card(task), tmp_path / "models" / "tiny" / name)
        (tmp_path / "models" / "tiny" / name / "weights.pt").write_bytes(b"weights")
        return name

    return add_model


@pytest.mark.parametrize("task", ["detector", "attributes", "reid"])
def test_a_model_becomes_an_engine_and_predictions(workplace: Callable[[str], str], task: str) -> None:
    model = workplace(task)
    export.main([f"export.model={model}"])
    found = json.loads(Path("engines", "tiny", model, "parity.json").read_text())
    assert found["num_images"] in {5, 6}
    onnx = found["engines"]["model.onnx"]
    assert onnx["checked"]
    assert set(onnx["outputs"]) == set(tiny_card(task).output_names)
    assert all(output["largest"] <= 1e-4 for output in onnx["outputs"].values())
    assert abs(onnx["metric_difference"]) <= 1e-3
    assert all(engine["checked"] for engine in found["engines"].values())
    assert [engine["precision"] for engine in found["engines"].values()] == ["fp32", "fp16", "int8"]
    card, files, numbers = LOGGED.pop()
    assert card.task == task
    assert {"card.json", "model.onnx", "parity.json"} <= {file.name for file in files}
    assert numbers["onnxruntime-fp32"]["metric_difference"] == onnx["metric_difference"]
    predict.main([f"export.model={model}"])
    folder = Path("predictions", "tiny", model)
    if task == "detector":
        boxes = DetectorPredictions.read(folder / "test.npz")
        assert list(boxes.images) == [f"{number}.png" for number in range(5)]
        assert len(boxes.image_index) == len(boxes.boxes_xyxy) == len(boxes.scores) > 0
        assert boxes.scores.min() >= 0.01
        assert boxes.boxes_xyxy.max() <= 80
    elif task == "attributes":
        attributes = AttributePredictions.read(folder / "val.npz")
        assert attributes.probabilities.shape == (7, 5)
        np.testing.assert_allclose(attributes.probabilities[:, :2].sum(axis=1), 1, atol=1e-5)
        assert list(attributes.groups) == ["view", "hat"]
    else:
        query = ReidPredictions.read(folder / "query.npz")
        assert query.embeddings.shape == (8, 6)
        np.testing.assert_allclose(np.linalg.norm(query.embeddings, axis=1), 1, atol=1e-5)
        assert len(ReidPredictions.read(folder / "gallery.npz").images) == 8
        validation = sorted(file.name for file in Path("data/tiny/reid/bounding_box_val").iterdir())
        assert ReidPredictions.read(folder / "validation.npz").images.tolist() == validation
    calibration = read_calibration(Path("engines", "tiny", model))
    if task == "reid":
        assert calibration is not None
        assert (calibration.prior, calibration.num_identities) == (0.02, 4)
        assert (calibration.num_same, calibration.num_different) == (8, 8 * 3)
    else:
        assert calibration is None


def test_a_calibration_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"calibration\.json must hold a calibration; export the model again"):
        read_calibration(tmp_path)


def test_without_validation_people_nothing_is_calibrated(workplace: Callable[[str], str]) -> None:
    model = workplace("reid")
    shutil.rmtree("data/tiny/reid/bounding_box_val")
    export.main([f"export.model={model}"])
    assert read_calibration(Path("engines", "tiny", model)) is None


@pytest.mark.parametrize("task", ["attributes", "reid"])
def test_a_plan_that_cannot_run_here_is_marked_as_not_checked(workplace: Callable[[str], str], task: str) -> None:
    pytest.importorskip("tensorrt_rtx")
    model = workplace(task)
    export.main([f"export.model={model}", "export.plan.builder=tensorrt_rtx"])
    engines = json.loads(Path("engines", "tiny", model, "parity.json").read_text())["engines"]
    assert engines["model.onnx"]["checked"]
    assert not engines["model.plan"]["checked"]
    assert "this machine has no NVIDIA GPU" in engines["model.plan"]["reason"]
    files = [entry.file for entry in read_card(Path("engines", "tiny", model)).engines]
    assert files == ["model.onnx", "model.fp16.onnx", "model.int8.onnx", "model.plan"]


def test_parity_is_measured_again_by_its_own_command(workplace: Callable[[str], str]) -> None:
    model = workplace("reid")
    export.main([f"export.model={model}"])
    file = Path("engines", "tiny", model, "parity.json")
    first = without_speed(json.loads(file.read_text()))
    file.unlink()
    parity.main([f"export.model={model}"])
    assert without_speed(json.loads(file.read_text())) == first


def without_speed(measured: dict[str, Any]) -> dict[str, Any]:
    """Parity without the milliseconds, which differ from run to run."""
    engines = {
        file: {key: value for key, value in engine.items() if not key.startswith("ms_")}
        for file, engine in measured["engines"].items()
    }
    return measured | {"engines": engines}


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (
            "output",
            r"model.onnx of reid-osnet \(fp32\) must be within 1e-12 of torch, output embeddings differs by .*png",
        ),
        ("metric", r"model.onnx of reid-osnet \(fp32\) must keep map within 1e-12 of torch, it differs by [+-]"),
    ],
)
def test_an_engine_far_from_torch_fails_and_leaves_nothing(
    workplace: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, limit: str, message: str
) -> None:
    model = workplace("reid")
    exact = parity.torch_outputs

    def shifted(network: EngineNetwork, images: np.ndarray) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        return {name: rng.normal(size=value.shape) for name, value in exact(network, images).items()}

    monkeypatch.setattr("export.parity.torch_outputs", shifted)
    loose = {"output": "metric", "metric": "output"}[limit]
    with pytest.raises(ArtifactError, match=message):
        export.main([f"export.model={model}", f"export.parity.fp32.{limit}=1e-12", f"export.parity.fp32.{loose}=9"])
    assert not Path("engines", "tiny", model).exists()


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_limits_are_those_of_the_precision(workplace: Callable[[str], str], precision: str) -> None:
    model = workplace("reid")
    with pytest.raises(
        ArtifactError, match=rf"model\.{precision}\.onnx of reid-osnet \({precision}\) must be within 0"
    ):
        export.main([f"export.model={model}", f"export.parity.{precision}.output=0"])


def test_what_a_cpu_runs_is_chosen_by_the_configuration(workplace: Callable[[str], str]) -> None:
    model = workplace("reid")
    export.main([f"export.model={model}", "export.precisions.reid=[int8, fp32, fp16]"])
    assert load(Path("engines", "tiny", model), threads=1).file.precision == "int8"
    predict.main([f"export.model={model}"])
    assert ReidPredictions.read(Path("predictions", "tiny", model, "query.npz")).embeddings.shape == (8, 6)


@pytest.mark.parametrize("precisions", ["[fp16]", "[fp32, fp32, fp16]", "[]"])
def test_precisions_hold_fp32_once(workplace: Callable[[str], str], precisions: str) -> None:
    with pytest.raises(InputError, match=r"precisions\.reid must hold fp32, and each once, got"):
        export.main([f"export.model={workplace('reid')}", f"export.precisions.reid={precisions}"])


def test_precisions_hold_the_plans(workplace: Callable[[str], str]) -> None:
    command = [f"export.model={workplace('reid')}", "export.precisions.reid=[fp32]"]
    with pytest.raises(InputError, match=r"precisions\.reid must hold the plan's, fp16, got fp32"):
        export.main([*command, "export.plan.builder=tensorrt_rtx"])


def test_a_card_without_what_its_task_needs_is_refused(workplace: Callable[[str], str]) -> None:
    model = workplace("detector")
    write_card(tiny_card("detector").model_copy(update={"iou_threshold": None}), Path("models", "tiny", model))
    with pytest.raises(ArtifactError, match="the detector's card must have iou_threshold; rerun train_detector"):
        export.main([f"export.model={model}"])


def test_the_graph_carries_its_card(workplace: Callable[[str], str]) -> None:
    import onnx

    model = workplace("attributes")
    export.main([f"export.model={model}"])
    folder = Path("engines", "tiny", model)
    properties = {item.key: item.value for item in onnx.load(folder / "model.onnx").metadata_props}
    assert ModelCard.model_validate_json(properties["dongseon.card"]) == tiny_card("attributes")
    assert len(properties["dongseon.weights_sha256"]) == 64
    assert list(folder.glob("*.data")) == []
    assert load(folder, threads=1)(np.zeros((3, HEIGHT, WIDTH, 3), np.uint8))["hat"].shape == (3, 3)
