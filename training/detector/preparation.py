"""What a training starts from: a folder of data that ultralytics may write to, and a network with its first weights."""

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

_PRIOR = 0.01  # how likely an anchor holds a person before anything is learned (Lin et al. 2017, focal loss)


def link_data(detection: Path, target: Path) -> None:
    """A stand-in for the folder `detection` in `target`: links to its pictures, a copy of its labels.

    Ultralytics writes caches beside the labels; the district's own folder stays as it is.
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
    """A network with random weights from `seed`, its heads expecting few people, then `weights` where there are any.

    Args:
        definition: of one class.
        weights: Darknet's.
        seed: of the random weights.
        weights_class: of `weights` trained for several classes, the one that is a person; None starts the heads anew.
    """
    torch.manual_seed(seed)
    network = DarknetNetwork(definition)
    expect_few_people(network)
    if weights is not None:
        classes = None if weights_class is None else [weights_class]
        print(f"{weights}: {load_weights(network, weights, classes)}")
    return network


def expect_few_people(network: DarknetNetwork) -> None:
    """Set each head's bias so that objectness begins at 0.01: else thousands of empty anchors drown the first steps."""
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
        cfg: a `.cfg` file or the name of a definition of ours.
        size: height and width of the input, px.
        anchors: `cfg`, or `fit`: to the people of `frames`.
        loss_options: instead of those in each `[yolo]`; None keeps the definition's.
        frames: of the training split.
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
    """Widths and heights `[box, 2]` of all people as they are after letterboxing to `size` (height, width)."""
    sizes = [np.empty((0, 2))]
    for frame in frames:
        if len(frame.boxes_xyxy):
            scale = letterbox(read_image(frame.image), *size).scale_xy
            sizes.append((frame.boxes_xyxy[:, 2:] - frame.boxes_xyxy[:, :2]) * np.array(scale))
    return np.concatenate(sizes)
