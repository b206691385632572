"""Input of a detector training: a data folder that ultralytics may write to, and the network to start from."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from districts.box_files import LabelledFrame
from domain.atomic import atomic_file
from domain.errors import InputError
from domain.images import letterbox, read_image, write_image
from training.detector.anchors import fit_anchors, with_anchors
from training.detector.darknet import load_weights
from training.detector.darknet_cfg import Definition
from training.detector.layers import Convolution
from training.detector.network import DarknetNetwork, read_definition

_PRIOR = 0.01  # probability that an anchor holds a person before training (Lin et al. 2017, focal loss)
_JPEG, _END_OF_JPEG = b"\xff\xd8", b"\xff\xd9"
_LONGEST_PADDING = 1 << 16  # that cameras add to fill a block


def link_data(splits: Mapping[str, Sequence[LabelledFrame]], target: Path) -> None:
    """Make a data set in `target`: a link to each picture, and the boxes in one file of each split.

    Ultralytics rewrites pictures that it finds damaged, leaves others out, and reads and removes arrays (`.npy`) beside
    them. Here it is given the pictures and boxes that the checks took, and finds nothing of the district beside them.
    Of a JPEG that was cut short it is given a copy of what all other stages read of it, for it cannot read it itself.

    Args:
        splits: the frames of `train` and `val`.
        target: folder of the data set; what it held is replaced.
    """
    shutil.rmtree(target, ignore_errors=True)
    for split, frames in splits.items():
        images = target / "images" / split
        images.mkdir(parents=True)
        rows = [_row(frame) | {"image": _give(frame.image, images)} for frame in frames]
        with atomic_file(target / f"{split}.json") as aside:
            aside.write_text(json.dumps(rows))


def read_rows(target: Path, split: str) -> list[dict[str, Any]]:
    """The pictures of a data set of `link_data` as ultralytics takes them, in name order."""
    rows = json.loads((target / f"{split}.json").read_text())
    return [
        {
            "im_file": str(target / "images" / split / row["image"]),
            "shape": tuple(row["size"]),
            "cls": np.zeros((len(row["boxes"]), 1), np.float32),
            "bboxes": np.array(row["boxes"], np.float32).reshape(-1, 4),
            "segments": [],
            "keypoints": None,
            "normalized": True,
            "bbox_format": "xywh",
        }
        for row in rows
    ]


def _give(image: Path, folder: Path) -> str:
    """Name in `folder` of a link to `image`, or of a copy without loss if it is a JPEG that was cut short."""
    if _is_short(image):
        write_image(folder / f"{image.name}.png", read_image(image))
        return f"{image.name}.png"
    (folder / image.name).symlink_to(image.resolve())
    return image.name


def _is_short(image: Path) -> bool:
    content = image.read_bytes()
    return content.startswith(_JPEG) and _END_OF_JPEG not in content[-_LONGEST_PADDING:]


def _row(frame: LabelledFrame) -> dict[str, Any]:
    """Size, and each different box as centre, width and height, in fractions of the picture."""
    height, width = frame.size
    low, high = frame.boxes_xyxy[:, :2], frame.boxes_xyxy[:, 2:]
    boxes = np.concatenate([(low + high) / 2, high - low], axis=1) / np.array([width, height] * 2, np.float32)
    different = dict.fromkeys(tuple(map(float, box)) for box in boxes)
    return {"size": frame.size, "boxes": [*different]}


def start_network(
    definition: Definition, weights: Path | None, seed: int, weights_class: int | None = None
) -> DarknetNetwork:
    """The network at the start of a training: `weights`, and random values where they have none.

    Args:
        definition: of one class.
        weights: file of Darknet weights; None: random values everywhere.
        seed: of the random values.
        weights_class: the class that is a person if `weights` have several; None: random values for the heads.
    """
    torch.manual_seed(seed)
    network = DarknetNetwork(definition)
    expect_few_people(network)
    if weights is not None:
        classes = None if weights_class is None else [weights_class]
        print(f"{weights}: {load_weights(network, weights, classes)}")
    return network


def expect_few_people(network: DarknetNetwork) -> None:
    """Set the bias of each head so that objectness starts at 0.01: at 0.5 empty anchors would dominate the loss."""
    for head in network.yolo_heads:
        layer = network.layers[head.layer - 1]
        if isinstance(layer, Convolution) and layer.conv.bias is not None and not head.new_coords:
            with torch.no_grad():
                layer.conv.bias.view(len(head.mask), head.num_outputs)[:, 4] = math.log(_PRIOR / (1 - _PRIOR))


def define_network(
    cfg: str,
    size: tuple[int, int],
    anchors: str,
    loss_options: Mapping[str, float | None],
    frames: Sequence[LabelledFrame],
    seed: int,
) -> Definition:
    """The definition to train, with one class.

    Args:
        cfg: a `.cfg` file or the name of a definition that comes with the project.
        size: height and width of the input in pixels.
        anchors: `cfg`: the definition's; `fit`: fitted to the people of `frames`.
        loss_options: values for options of each `[yolo]`; None keeps the definition's.
        frames: the training split.
        seed: of the fit.

    Raises:
        InputError: if there is no such definition, or the input size does not fit the network's strides.
    """
    definition = read_definition(cfg).with_classes(1).with_input_size(*size)
    changed = {name: value for name, value in loss_options.items() if value is not None}
    definition = definition.with_yolo_options(**changed)
    network = DarknetNetwork(definition)
    if any(side % network.stride for side in size):
        raise InputError(f"the input's height and width must be multiples of {network.stride} px, got {size}")
    if anchors == "fit":
        num = sum(len(head.mask) for head in network.yolo_heads)
        fitted = fit_anchors(box_sizes(frames, size), num, seed)
        definition = with_anchors(definition, fitted, [head.stride for head in network.yolo_heads])
    return definition


def box_sizes(frames: Sequence[LabelledFrame], size: tuple[int, int]) -> np.ndarray:
    """Widths and heights `[box, 2]` of all people in pixels after letterboxing to `size` (height, width)."""
    sizes = [np.empty((0, 2))]
    for frame in frames:
        if len(frame.boxes_xyxy):
            scale = letterbox(read_image(frame.image), *size).scale_xy
            sizes.append((frame.boxes_xyxy[:, 2:] - frame.boxes_xyxy[:, :2]) * np.array(scale))
    return np.concatenate(sizes)
