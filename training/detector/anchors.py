"""Anchors fitted to a district's people, as YOLO fits them: k-means over box sizes with 1 - IoU as distance."""

import numpy as np

from domain.errors import InputError
from training.detector.darknet_cfg import Definition

_MAX_ROUNDS = 100


def fit_anchors(sizes_px: np.ndarray, num: int, seed: int) -> np.ndarray:
    """Widths and heights `[num, 2]` of anchors fitted to the boxes, from small to large.

    Args:
        sizes_px: widths and heights `[box, 2]` at the network's input size.
        num: number of anchors.
        seed: of the boxes that the fit starts from.

    Raises:
        InputError: if there are fewer different sizes than anchors.
    """
    sizes = np.asarray(sizes_px, np.float64)
    different = np.unique(sizes, axis=0)
    if len(different) < num:
        raise InputError(
            f"fitting {num} anchors needs {num} different box sizes, got {len(different)}; set detector.anchors=cfg"
        )
    rng = np.random.default_rng(seed)
    anchors = different[np.sort(rng.choice(len(different), num, replace=False))]
    nearest = np.full(len(sizes), -1)
    for _ in range(_MAX_ROUNDS):
        assigned = size_iou(sizes, anchors).argmax(axis=1)
        if (assigned == nearest).all():
            break
        nearest = assigned
        # an anchor that lost all its boxes keeps its size
        anchors = np.stack(
            [
                np.median(sizes[nearest == index], axis=0) if (nearest == index).any() else anchors[index]
                for index in range(num)
            ]
        )
    return anchors[np.argsort(anchors.prod(axis=1), kind="stable")]


def size_iou(sizes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU `[size, other]` of boxes with these widths and heights and the same centre."""
    overlap = np.minimum(sizes[:, None], others[None]).prod(axis=2)
    return overlap / (sizes.prod(axis=1)[:, None] + others.prod(axis=1)[None] - overlap)


def with_anchors(definition: Definition, anchors_px: np.ndarray, strides: list[int]) -> Definition:
    """`definition` with these anchors, the small ones at the heads of small stride.

    Args:
        definition: of the network; each head keeps its number of anchors.
        anchors_px: `[anchor, 2]`, from small to large; as many as all heads have together.
        strides: of the heads, in the definition's order.
    """
    yolo = [number for number, section in enumerate(definition.layers) if section.name == "yolo"]
    text = ",".join(f"{width:.1f},{height:.1f}" for width, height in anchors_px)
    first = 0
    for position in np.argsort(strides, kind="stable"):
        number = yolo[position]
        last = first + len(definition.layers[number].integers("mask"))
        mask = ",".join(map(str, range(first, last)))
        definition = definition.with_layer_options(number, anchors=text, num=len(anchors_px), mask=mask)
        first = last
    return definition
