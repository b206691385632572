"""What other thresholds would give than those in use, for advice in the report."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from evaluation.detection import PrecisionRecallCurve

_RECALLS = (0.8, 0.9, 0.95)
_PRECISION = 0.95
_PROBABILITIES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_DISTANCE_QUANTILES = (0.001, 0.01, 0.1)


def score_thresholds(curve: PrecisionRecallCurve, in_use: float | None, num_pictures: int) -> list[dict[str, Any]]:
    """Precision, recall, F1 and wrong boxes a picture at the score threshold in use and at others, highest first.

    The others: with the best F1, and the highest ones that reach some recalls and a precision of 0.95.
    """
    if not len(curve.scores):
        return []
    chosen: dict[str, int] = {"best F1": curve.best}
    for recall in _RECALLS:
        if (reached := curve.recall >= recall).any():
            chosen[f"recall of {100 * recall:.0f} %"] = int(reached.argmax())
    if (sure := np.flatnonzero(curve.precision >= _PRECISION)).size:
        chosen[f"precision of {100 * _PRECISION:.0f} %, most recall"] = int(sure[-1])
    rows = [_point(name, float(curve.scores[place]), curve, num_pictures) for name, place in chosen.items()]
    if in_use is not None:
        rows.append(_point("in use", in_use, curve, num_pictures))
    return sorted(rows, key=lambda row: -row["threshold"])


def _point(name: str, threshold: float, curve: PrecisionRecallCurve, num_pictures: int) -> dict[str, Any]:
    num_boxes = int((curve.scores >= threshold).sum())
    row = {"name": name, "threshold": threshold, "recall": 0.0, "f1": 0.0, "wrong_per_picture": 0.0}
    if num_boxes:
        last = num_boxes - 1
        wrong = num_boxes * (1 - curve.precision[last])
        row |= {
            "precision": float(curve.precision[last]),
            "recall": float(curve.recall[last]),
            "f1": float(curve.f1[last]),
            "wrong_per_picture": float(wrong / num_pictures),
        }
    return row


def answers_above(
    probabilities: Float[np.ndarray, " answer"], is_right: Bool[np.ndarray, " answer"]
) -> list[dict[str, float | int]]:
    """If only answers of at least some probability were given: how many, how many of them right, and what is kept.

    `kept` is the share of all right answers that are still given.
    """
    rows = []
    for least in _PROBABILITIES:
        given = probabilities >= least
        if given.any():
            right = int((is_right & given).sum())
            rows.append(
                {
                    "threshold": least,
                    "given": float(given.mean()),
                    "num_given": int(given.sum()),
                    "right": right / int(given.sum()),
                    "kept": right / max(int(is_right.sum()), 1),
                }
            )
    return rows


def distance_thresholds(
    same: Float32[np.ndarray, " same"], different: Float32[np.ndarray, " different"], in_use: float | None
) -> list[dict[str, Any]]:
    """Shares of same-person and of different-person pairs nearer than the match distance in use, and than others.

    The others let 0.1, 1 and 10 % of the pairs of different people pass.
    """
    if not len(same) or not len(different):
        return []
    named = [
        (f"lets {100 * share:g} % of other people pass", float(np.quantile(different, share)))
        for share in _DISTANCE_QUANTILES
    ]
    if in_use is not None:
        named.append(("in use", in_use))
    rows = [
        {
            "name": name,
            "threshold": value,
            "same": float((same < value).mean()),
            "different": float((different < value).mean()),
        }
        for name, value in named
    ]
    return sorted(rows, key=lambda row: row["threshold"])


def most_probable_answers(
    parts: Sequence[Float[np.ndarray, "image _"]], labels: Int64[np.ndarray, "image group"]
) -> tuple[Float[np.ndarray, " answer"], Bool[np.ndarray, " answer"]]:
    """Probability of the most probable label of each group and image whose label is known, and whether it is right."""
    probabilities, right = [], []
    for group, part in enumerate(parts):
        known = labels[:, group] >= 0
        probabilities.append(part[known].max(axis=1))
        right.append(part[known].argmax(axis=1) == labels[known, group])
    return np.concatenate(probabilities), np.concatenate(right)
