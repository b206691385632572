import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from domain.errors import InputError
from export.engines import load
from export.import_weights import main
from training.detector.darknet import save_weights
from training.detector.network import build_yolov4

SIZE = 64
HAS_RTX = importlib.util.find_spec("tensorrt_rtx") is not None


def write_cfg(file: Path, classes: int) -> Path:
    sections = [
        f"[net]\nwidth={SIZE}\nheight={SIZE}\nchannels=3",
        "[convolutional]\nfilters=8\nsize=3\nstride=8\npad=1\nactivation=leaky\nbatch_normalize=1",
        f"[convolutional]\nfilters={2 * (5 + classes)}\nsize=1\nstride=1\npad=1\nactivation=linear",
        f"[yolo]\nmask=0,1\nanchors=8,16, 16,32\nclasses={classes}\nnum=2",
    ]
    file.write_text("\n".join(sections) + "\n")
    return file


@pytest.fixture
def darknet(tmp_path: Path) -> tuple[Path, Path]:
    """A definition of three classes and weights for it."""
    torch.manual_seed(0)
    cfg = write_cfg(tmp_path / "three.cfg", classes=3)
    save_weights(build_yolov4(cfg), tmp_path / "three.weights")
    return cfg, tmp_path / "three.weights"


@pytest.mark.parametrize(
    "plan", ["null", pytest.param("fp16", marks=pytest.mark.skipif(not HAS_RTX, reason="no builder"))]
)
def test_darknet_weights_become_an_engine(darknet: tuple[Path, Path], tmp_path: Path, plan: str) -> None:
    cfg, weights = darknet
    names = tmp_path / "three.names"
    names.write_text("person\ncar\ndog\n", encoding="utf-8-sig")  # as Notepad does
    out = tmp_path / "engine"
    inputs = [f"cfg={cfg}", f"weights={weights}", f"names={names}", "nms=diou"]
    main(["task=detector", *inputs, f"out={out}", f"plan={plan}"])
    engine = load(out, runtime="onnxruntime", threads=1)
    assert engine.card.class_names == ("person", "car", "dog")
    assert (engine.card.resize, engine.card.nms) == ("stretch", "diou")
    assert (engine.card.score_threshold, engine.card.iou_threshold) == (0.25, 0.45)
    outputs = engine(np.zeros((3, SIZE, SIZE, 3), np.uint8))
    anchors = 2 * (SIZE // 8) ** 2
    assert outputs["boxes"].shape == (3, anchors, 4)
    assert outputs["scores"].shape == (3, anchors, 3)
    files = [entry.file for entry in engine.card.engines]
    assert files == ["model.onnx", "model.fp16.onnx", "model.plan"][: 1 if plan == "null" else 3]


def test_without_names_the_first_class_is_person(darknet: tuple[Path, Path], tmp_path: Path) -> None:
    cfg, weights = darknet
    main(["task=detector", f"cfg={cfg}", f"weights={weights}", f"out={tmp_path}/engine"])
    assert load(tmp_path / "engine", threads=1).card.class_names == ("person", "class_1", "class_2")


def test_int8_needs_pictures(darknet: tuple[Path, Path], tmp_path: Path) -> None:
    cfg, weights = darknet
    command = ["task=detector", f"cfg={cfg}", f"weights={weights}", f"out={tmp_path}/e", "precisions=[fp32, int8]"]
    with pytest.raises(InputError, match="int8 needs pictures like those it will see, from which to take ranges"):
        main(command)
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InputError, match=r"pictures must hold pictures \(.*\), got none"):
        main([*command, f"pictures={tmp_path}/pictures"])
    assert not (tmp_path / "e").exists()


def test_precisions_without_fp32_are_refused(darknet: tuple[Path, Path], tmp_path: Path) -> None:
    cfg, weights = darknet
    with pytest.raises(InputError, match="precisions must hold fp32, from which the others are made, got"):
        main(["task=detector", f"cfg={cfg}", f"weights={weights}", f"out={tmp_path}/e", "precisions=[int8]"])


def test_a_wrong_number_of_names_is_refused(darknet: tuple[Path, Path], tmp_path: Path) -> None:
    cfg, weights = darknet
    (tmp_path / "one.names").write_text("person\n")
    with pytest.raises(InputError, match=r"one\.names must name 3 classes, one a line, got 1"):
        main(["task=detector", f"cfg={cfg}", f"weights={weights}", f"names={tmp_path}/one.names", f"out={tmp_path}/e"])
    assert not (tmp_path / "e").exists()


def test_weights_of_another_number_of_classes_are_refused(darknet: tuple[Path, Path], tmp_path: Path) -> None:
    other = write_cfg(tmp_path / "one.cfg", classes=1)
    message = r"three\.weights must hold the whole network of .*one\.cfg with its 1 classes, got one of 3 classes"
    with pytest.raises(InputError, match=message):
        main(["task=detector", f"cfg={other}", f"weights={darknet[1]}", f"out={tmp_path}/e"])


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth must hold weights of the same architecture"):
        main(["task=reid", "backbone=osnet_x0_25", f"weights={tmp_path}/other.pth", f"out={tmp_path}/e"])
