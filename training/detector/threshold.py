"""The score above which a detector's boxes are believed: where F1 on the validation pictures is best."""

from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm

from districts.layout import LabelledFrame
from domain.boxes import Detections, pairwise_iou
from domain.detections import postprocess
from domain.images import letterbox, read_image
from training.detector.network import DarknetNetwork

_LOWEST_SCORE = 0.01
_MATCH_IOU = 0.5


@torch.inference_mode()
def detect(network: DarknetNetwork, frames: Sequence[LabelledFrame], iou_threshold: float) -> list[Detections]:
    """What `network` finds in each frame, down to very low scores, letterboxed to its definition's input size."""
    height, width = network.definition.input_size
    found = []
    for frame in tqdm(frames, desc="validation", unit="frame", leave=False):
        resized = letterbox(read_image(frame.image), height, width)
        images = torch.from_numpy(resized.image).permute(2, 0, 1)[None].float() / 255
        boxes, scores = (output[0].numpy() for output in network.decoded(images))
        found.append(postprocess(boxes, scores, resized, _LOWEST_SCORE, iou_threshold))
    return found


def best_f1_threshold(frames: Sequence[LabelledFrame], found: Sequence[Detections]) -> tuple[float, float]:
    """The score threshold of best F1, and that F1; (0.5, 0.0) where nothing is found right.

    A detection is right if its IoU with a person that no better detection took is at least 0.5.
    """
    scores = np.concatenate([detections.scores for detections in found] or [np.empty(0)])
    right = np.concatenate(
        [_matches(detections, frame) for detections, frame in zip(found, frames, strict=True)] or [np.empty(0, bool)]
    )
    if not right.any():
        return 0.5, 0.0
    order = np.argsort(-scores, kind="stable")
    num_right = np.cumsum(right[order])
    num_people = sum(len(frame.boxes_xyxy) for frame in frames)
    f1 = 2 * num_right / (np.arange(1, len(order) + 1) + num_people)
    best = int(f1.argmax())
    return float(scores[order[best]]), float(f1[best])


def _matches(detections: Detections, frame: LabelledFrame) -> np.ndarray:
    """Which detections are right, bool `[box]`; they are in order of score."""
    ious = pairwise_iou(detections.boxes_xyxy, frame.boxes_xyxy)
    right = np.zeros(len(detections), bool)
    for index in range(len(detections) if ious.shape[1] else 0):
        person = int(ious[index].argmax())
        if ious[index, person] >= _MATCH_IOU:
            right[index] = True
            ious[:, person] = 0
    return right
