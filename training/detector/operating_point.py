"""Chooses the score threshold of a detector: the score with the best F1 on the validation pictures."""

from collections.abc import Sequence

import torch
from tqdm import tqdm

from districts.box_files import LabelledFrame
from domain.boxes import Detections
from domain.detections import postprocess
from domain.images import letterbox, read_image
from domain.model_card import Nms
from evaluation.detection import precision_recall_curve
from training.detector.network import DarknetNetwork

_LOWEST_SCORE = 0.01
_DEFAULT = 0.5  # threshold if validation has no people or no detections


@torch.inference_mode()
def detect(
    network: DarknetNetwork, frames: Sequence[LabelledFrame], iou_threshold: float, nms: Nms
) -> list[Detections]:
    """Detections of `network` in each frame with scores from 0.01; frames are letterboxed to its input size."""
    height, width = network.definition.input_size
    detections = []
    for frame in tqdm(frames, desc="validation", unit="frame", leave=False, disable=None):
        resized = letterbox(read_image(frame.image), height, width)
        images = torch.from_numpy(resized.image).permute(2, 0, 1)[None].float() / 255
        boxes, scores = (output[0].numpy() for output in network.decoded(images))
        detections.append(postprocess(boxes, scores, resized, _LOWEST_SCORE, iou_threshold, nms=nms))
    return detections


def best_f1_threshold(frames: Sequence[LabelledFrame], detections: Sequence[Detections]) -> tuple[float, float]:
    """The score threshold of best F1 at IoU 0.5, and that F1; (0.5, 0.0) without people or without detections.

    Args:
        frames: validation pictures with the boxes of their people.
        detections: of each frame.
    """
    has_people = any(len(frame.boxes_xyxy) for frame in frames)
    if not has_people or not any(len(in_frame) for in_frame in detections):
        return _DEFAULT, 0.0
    curve = precision_recall_curve(detections, [frame.boxes_xyxy for frame in frames])
    return float(curve.scores[curve.best]), float(curve.f1[curve.best])
