"""Post-processing of a detector's output: score threshold, non-maximum suppression, scaling to the original picture.

The engine decodes anchors. Validation in training, evaluation and serving share these steps.
"""

import numpy as np
from jaxtyping import Float

from domain.boxes import Detections, suppress_overlaps
from domain.errors import require_shape
from domain.images import Resized
from domain.model_card import Nms


def postprocess(
    boxes_xyxy: Float[np.ndarray, "anchor 4"],
    scores: Float[np.ndarray, "anchor class"],
    resized: Resized,
    score_threshold: float,
    iou_threshold: float,
    max_detections: int = 300,
    nms: Nms = "iou",
) -> Detections:
    """Detections of one picture, best score first, in pixels of the original picture.

    Each pair of anchor and class whose score reaches the threshold is a candidate, as in Darknet; suppression is within
    a class. Without candidates the arrays are empty.

    Args:
        boxes_xyxy: pixels of the network's input.
        scores: 0..1.
        resized: the network's input picture.
        score_threshold: minimum score of a candidate.
        iou_threshold: a candidate is removed if it overlaps a better one of its class by more than this.
        max_detections: maximum number of detections, best first.
        nms: see `suppress_overlaps`.

    Raises:
        InputError: if the arrays are not `[anchor, 4]` and `[anchor, class]`.
    """
    require_shape("boxes", boxes_xyxy, (None, 4))
    require_shape("scores", scores, (len(boxes_xyxy), None))
    anchors, classes = np.nonzero(scores >= score_threshold)
    candidates = boxes_xyxy[anchors].astype(np.float32, copy=False)
    candidate_scores = scores[anchors, classes].astype(np.float32, copy=False)
    best = suppress_overlaps(candidates, candidate_scores, classes, iou_threshold, nms)[:max_detections]
    boxes = resized.boxes_to_original(candidates[best])
    return Detections(boxes.astype(np.float32, copy=False), candidate_scores[best], classes[best].astype(np.int64))
