"""Open-set identification: the person of a query may be absent from the gallery.

A control room does not know whether the missing person passed any camera. So each query is searched twice: in the whole
gallery, and in the gallery without its person. A threshold on the distance decides whether the nearest item is a hit.
Source: the detection and identification rate of Grother & Ngan 2014 (NIST FRVT), with every query once as mate and once
as non-mate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int, Int64

from domain.errors import InputError, require_shape


@dataclass(frozen=True)
class OpenSetScores:
    """Scores at one false-alarm rate; fractions in 0..1."""

    false_alarm_rate: float  # largest share of absent people for whom a hit is returned
    threshold: float  # a nearest item below this distance is a hit
    detection_rate: float  # share of present people whose nearest item shows them and is a hit


@dataclass(frozen=True)
class Nearest:
    """Distances of the queries that count: those with a match in another camera and other people in the gallery."""

    queries: Int64[np.ndarray, " counted"]  # indices
    match: Float64[np.ndarray, " counted"]  # to the nearest crop of the person
    other: Float64[np.ndarray, " counted"]  # to the nearest crop of anybody else


def nearest_distances(
    distances: Float[np.ndarray, "query gallery"],
    query_identities: Int[np.ndarray, " query"],
    gallery_identities: Int[np.ndarray, " gallery"],
    query_cameras: Int[np.ndarray, " query"],
    gallery_cameras: Int[np.ndarray, " gallery"],
) -> Nearest:
    """Distances from each query to its person and to others.

    As in `evaluate_retrieval`, the query's person in the query's camera and junk are removed, and a query without a
    match does not count. Others are other people and distractors.

    Args:
        distances: smaller is nearer; on one scale for all queries, as plain and re-ranked distances are and ranks are
            not.
        query_identities: a junk or distractor query does not count.
        gallery_identities: -1 junk, 0 distractor.
        query_cameras: camera of each query.
        gallery_cameras: camera of each gallery crop.

    Raises:
        InputError: if the shapes do not fit, or no query has both a match and other people.
    """
    require_shape("distances", distances, (len(query_identities), len(gallery_identities)))
    rows = []
    for query, (row, identity, camera) in enumerate(zip(distances, query_identities, query_cameras, strict=True)):
        same = gallery_identities == identity
        matching, other = same & (gallery_cameras != camera), ~same & (gallery_identities >= 0)
        if identity > 0 and matching.any() and other.any():
            rows.append((query, row[matching].min(), row[other].min()))
    if not rows:
        raise InputError(
            f"at least one query must have a match in another camera and other people in the gallery, got none among "
            f"{len(query_identities)} queries"
        )
    queries, match, others = (np.array(column) for column in zip(*rows, strict=True))
    return Nearest(queries, match.astype(np.float64), others.astype(np.float64))


def detection_rates(
    nearest: Nearest, false_alarm_rate: float, weights: Float64[np.ndarray, "repeat counted"]
) -> Float64[np.ndarray, " repeat"]:
    """Detection and identification rate of each draw of queries; NaN for an empty one.

    Args:
        nearest: distances of the queries.
        false_alarm_rate: largest share of absent people for whom a hit is returned.
        weights: how often each query is in each draw.
    """
    thresholds = alarm_thresholds(nearest, false_alarm_rate, weights)
    detected = (nearest.match < nearest.other) & (nearest.match < thresholds[:, None])
    total = weights.sum(axis=1)
    return np.divide((weights * detected).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0)


def alarm_thresholds(
    nearest: Nearest, false_alarm_rate: float, weights: Float64[np.ndarray, "repeat counted"]
) -> Float64[np.ndarray, " repeat"]:
    """The distance below which a nearest item is a hit: exactly the allowed number of false alarms is nearer."""
    order = np.argsort(nearest.other, kind="stable")
    ascending = np.append(nearest.other[order], np.inf)
    passed = np.cumsum(weights[:, order], axis=1)
    allowed = np.floor(false_alarm_rate * weights.sum(axis=1) + 1e-9)
    return ascending[(passed <= allowed[:, None]).sum(axis=1)]


def score_open_set(nearest: Nearest, false_alarm_rates: Sequence[float] = (0.01, 0.1)) -> tuple[OpenSetScores, ...]:
    """Detection and identification rate at each false-alarm rate.

    Args:
        nearest: distances of the queries.
        false_alarm_rates: each in 0..1.

    Raises:
        InputError: if a rate is out of range.

    Example:
        >>> people, cameras = np.array([1, 2]), np.array([1, 1])
        >>> near = np.array([[0.1, 0.5], [0.6, 0.2]])
        >>> nearest = nearest_distances(near, people, people, cameras, cameras + 1)
        >>> score_open_set(nearest, [0.0])[0].detection_rate
        1.0
    """
    for rate in false_alarm_rates:
        if not 0 <= rate <= 1:
            raise InputError(f"false_alarm_rates must be from 0 to 1, got {rate}")
    once = np.ones((1, len(nearest.queries)))
    return tuple(
        OpenSetScores(
            rate,
            float(alarm_thresholds(nearest, rate, once)[0]),
            float(detection_rates(nearest, rate, once)[0]),
        )
        for rate in false_alarm_rates
    )
