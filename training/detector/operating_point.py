"""The score above which a detector's boxes are believed: where F1 on the validation pictures is best."""

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
_NOTHING_FOUND = 0.5  # the threshold where there is none to choose


@torch.inference_mode()
def detect(
    network: DarknetNetwork, frames: Sequence[LabelledFrame], iou_threshold: float, nms: Nms
) -> list[Detections]:
    """What `network` finds in each frame, down to very low scores, letterboxed to its definition's input size."""
    height, width = network.definition.input_size
    found = []
    for frame in tqdm(frames, desc="validation", unit="frame", leave=False):
        resized = letterbox(read_image(frame.image), height, width)
        images = torch.from_numpy(resized.image).permute(2, 0, 1)[None].float() / 255
        boxes, scores = (output[0].numpy() for output in network.decoded(images))
        found.append(postprocess(boxes, scores, resized, _LOWEST_SCORE, iou_threshold, nms=nms))
    return found


def best_f1_threshold(frames: Sequence[LabelledFrame], found: Sequence[Detections]) -> tuple[float, float]:
    """The score threshold of best F1 at IoU 0.5, and that F1; (0.5, 0.0) where there is nobody or nothing is found.

    Args:
        frames: with their people.
        found: what was found in each.
    """
    nobody = not any(len(frame.boxes_xyxy) for frame in frames)
    if nobody or not any(len(detections) for detections in found):
        return _NOTHING_FOUND, 0.0
    curve = precision_recall_curve(found, [frame.boxes_xyxy for frame in frames])
    return float(curve.scores[curve.best]), float(curve.f1[curve.best])
