"""From what a detector's engine puts out to what is in the picture: threshold, non-maximum suppression, way back.

The engine decodes anchors; this is all that follows, the same for training's validation, evaluation and serving.
"""

import numpy as np

from domain.boxes import Detections, suppress_overlaps
from domain.errors import require_shape
from domain.images import Resized
from domain.model_card import Nms


def postprocess(
    boxes_xyxy: np.ndarray,
    scores: np.ndarray,
    resized: Resized,
    score_threshold: float,
    iou_threshold: float,
    max_detections: int = 300,
    nms: Nms = "iou",
) -> Detections:
    """The people (or other classes) of one picture, best score first, in pixels of the original picture.

    Each pair of anchor and class whose score reaches the threshold is a candidate, as in Darknet; suppression is within
    a class. Nothing above the threshold gives empty arrays.

    Args:
        boxes_xyxy: float32 `[anchor, 4]`, pixels of the network's input.
        scores: float32 `[anchor, class]`, 0..1.
        resized: the picture as it went into the network.
        score_threshold: a candidate needs at least this.
        iou_threshold: a candidate goes when it overlaps a better one of its class by more than this.
        max_detections: the best so many are kept.
        nms: see `suppress_overlaps`.

    Raises:
        InputError: if the arrays are not `[anchor, 4]` and `[anchor, class]`.
    """
    require_shape("boxes", boxes_xyxy, (None, 4))
    require_shape("scores", scores, (len(boxes_xyxy), None))
    anchors, classes = np.nonzero(scores >= score_threshold)
    candidates = boxes_xyxy[anchors].astype(np.float32, copy=False)
    candidate_scores = scores[anchors, classes].astype(np.float32, copy=False)
    kept = suppress_overlaps(candidates, candidate_scores, classes, iou_threshold, nms)[:max_detections]
    boxes = resized.boxes_to_original(candidates[kept])
    return Detections(boxes.astype(np.float32, copy=False), candidate_scores[kept], classes[kept].astype(np.int64))
