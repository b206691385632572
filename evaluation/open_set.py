"""How well a search says "not here": identification when the person may not be in the gallery.

A control room does not know whether the missing person passed any camera. So each query is asked twice: of the
gallery as it is, and of the gallery without its person. A threshold on the distance decides whether the nearest item
is called a hit. Source: the detection and identification rate of Grother & Ngan 2014 (NIST FRVT), with every query
once as mate and once as non-mate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.errors import InputError, require_shape


@dataclass(frozen=True)
class OpenSetScores:
    """What `score_open_set` found at one false-alarm rate; fractions in 0..1."""

    false_alarm_rate: float  # allowed share of the queries without their person that are still answered
    threshold: float  # nearest items nearer than this are called hits
    detection_rate: float  # share of the queries with their person whose nearest item is it, and a hit


def score_open_set(
    distances: np.ndarray,
    query_identities: np.ndarray,
    gallery_identities: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
    false_alarm_rates: Sequence[float] = (0.01, 0.1),
) -> tuple[OpenSetScores, ...]:
    """Detection and identification rate of `distances` `[query, gallery]`, smaller is nearer, at each false-alarm rate.

    As in `evaluate_retrieval`, a query's person in its own camera and junk are left out, and a query without a match
    does not count. With the person taken away, what stays are other people and distractors. Distances must mean the
    same for all queries: those of a re-ranking do, ranks do not.

    Args:
        distances: float32 or float64.
        query_identities: integers `[query]`.
        gallery_identities: integers `[gallery]`.
        query_cameras: integers `[query]`.
        gallery_cameras: integers `[gallery]`.
        false_alarm_rates: each in 0..1.

    Raises:
        InputError: if sizes do not fit, a rate is out of range, or no query has both a match and others beside it.

    Example:
        >>> people, cameras = np.array([1, 2]), np.array([1, 1])
        >>> near = np.array([[0.1, 0.5], [0.6, 0.2]])
        >>> score_open_set(near, people, people, cameras, cameras + 1, [0.0])[0].detection_rate
        1.0
    """
    require_shape("distances", distances, (len(query_identities), len(gallery_identities)))
    for rate in false_alarm_rates:
        if not 0 <= rate <= 1:
            raise InputError(f"false_alarm_rates must be from 0 to 1, got {rate}")
    matches, others = [], []
    for row, identity, camera in zip(distances, query_identities, query_cameras, strict=True):
        same = gallery_identities == identity
        matching, other = same & (gallery_cameras != camera), ~same & (gallery_identities >= 0)
        if identity > 0 and matching.any() and other.any():
            matches.append(row[matching].min())
            others.append(row[other].min())
    if not matches:
        raise InputError(
            f"at least one query must have a match in another camera and other people in the gallery, got none among "
            f"{len(query_identities)} queries"
        )
    nearest_match, nearest_other = np.array(matches), np.array(others)
    is_first = nearest_match < nearest_other
    ascending = np.append(np.sort(nearest_other), np.inf)
    scores = []
    for rate in false_alarm_rates:
        threshold = ascending[int(rate * len(nearest_other) + 1e-9)]  # so many false alarms are nearer, and no more
        detected = is_first & (nearest_match < threshold)
        scores.append(OpenSetScores(rate, float(threshold), float(detected.mean())))
    return tuple(scores)
