"""Open-set identification: the person of a query may be absent from the gallery.

A control room does not know whether the missing person passed any camera. So each query is searched twice: in the whole
gallery, and in the gallery without its person. A threshold on the distance decides whether the nearest item is a hit.
Source: the detection and identification rate of Grother & Ngan 2014 (NIST FRVT), with every query once as mate and once
as non-mate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from domain.errors import InputError, require_shape


@dataclass(frozen=True)
class OpenSetScores:
    """Scores at one false-alarm rate; fractions in 0..1."""

    false_alarm_rate: float  # largest share of absent people for whom a hit is returned
    threshold: float  # a nearest item below this distance is a hit
    detection_rate: float  # share of present people whose nearest item shows them and is a hit


def score_open_set(
    distances: Float[np.ndarray, "query gallery"],
    query_identities: Int[np.ndarray, " query"],
    gallery_identities: Int[np.ndarray, " gallery"],
    query_cameras: Int[np.ndarray, " query"],
    gallery_cameras: Int[np.ndarray, " gallery"],
    false_alarm_rates: Sequence[float] = (0.01, 0.1),
) -> tuple[OpenSetScores, ...]:
    """Detection and identification rate at each false-alarm rate.

    As in `evaluate_retrieval`, the query's person in the query's camera and junk are removed, and a query without a
    match does not count. The gallery without the person holds other people and distractors.

    Args:
        distances: smaller is nearer; on one scale for all queries, as plain and re-ranked distances are and ranks are
            not.
        query_identities: a junk or distractor query does not count.
        gallery_identities: -1 junk, 0 distractor.
        query_cameras: camera of each query.
        gallery_cameras: camera of each gallery crop.
        false_alarm_rates: each in 0..1.

    Raises:
        InputError: if the shapes do not fit, a rate is out of range, or no query has both a match and other people.

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
        threshold = ascending[
            int(rate * len(nearest_other) + 1e-9)
        ]  # exactly the allowed number of false alarms is nearer
        detected = is_first & (nearest_match < threshold)
        scores.append(OpenSetScores(rate, float(threshold), float(detected.mean())))
    return tuple(scores)
