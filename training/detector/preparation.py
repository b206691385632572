"""Input of a detector training: a data folder that ultralytics may write to, and the network to start from."""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from districts.box_files import LabelledFrame
from domain.errors import InputError
from domain.images import letterbox, read_image
from training.detector.anchors import fit_anchors, with_anchors
from training.detector.darknet import load_weights
from training.detector.darknet_cfg import Definition
from training.detector.layers import Convolution
from training.detector.network import DarknetNetwork, read_definition

_PRIOR = 0.01  # probability that an anchor holds a person before training (Lin et al. 2017, focal loss)


def link_data(detection: Path, target: Path) -> None:
    """Make a data set in `target` of links to the pictures of `detection` and a copy of its labels.

    Ultralytics writes caches beside the labels; so the district's own folder is not changed.
    """
    for split in ("train", "val"):
        images = target / "images" / split
        images.parent.mkdir(parents=True, exist_ok=True)
        images.symlink_to((detection / "images" / split).resolve(), target_is_directory=True)
        labels = detection / "labels" / split
        if labels.is_dir():
            shutil.copytree(labels, target / "labels" / split, ignore=shutil.ignore_patterns("*.cache"))
        else:
            (target / "labels" / split).mkdir(parents=True)


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
