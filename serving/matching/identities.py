"""Who is who over all cameras: the tracklets of a district joined to people, each under one id.

Two clusters of tracklets become one when the mean distance over the pairs between them says that they are likelier one
person than two, the likeliest first (average linkage). So a look-alike of one member does not chain two people, and one
bad view does not part a person. A pair that one person on foot cannot have made, for they would be in two places at
once, keeps their clusters apart for good.
"""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import PositiveFloat
from scipy.cluster.hierarchy import fcluster, linkage

from domain.cameras import Camera, metres_between
from domain.embeddings import cosine_distances
from domain.settings import Settings
from domain.tracklets import Tracklet
from serving.matching.match_curve import MatchCurve
from serving.matching.walking import WalkingSettings, can_walk

_IMPOSSIBLE = 2.0**40  # a distance that keeps every mean over pairs that has it above all others; exact in float32
_ROWS = 256  # of the distances at a time


class IdentitySettings(Settings):
    """Settings of the clustering of tracklets into people."""

    others_of_a_person: PositiveFloat


def identify(
    tracklets: Sequence[Tracklet],
    cameras: Sequence[Camera],
    curve: MatchCurve,
    settings: IdentitySettings,
    walking: WalkingSettings,
) -> dict[int, int]:
    """The person of each tracklet id, by number from 1 in the order in which they were first seen.

    The odds that a possible pair is one person are, before its looks are compared, `others_of_a_person` to the mean
    number of tracklets that a tracklet could be of one person with: `curve`, fitted for the candidates of a search, is
    brought to that prior. So the more people walk by, the more alike two tracklets must be.

    Takes time quadratic in the number n of tracklets (reducible linkage by chains of nearest neighbours) and 8 n²
    bytes: 10,000 need about 0.8 GB.

    Args:
        tracklets: of all cameras, in any order; ids are unique.
        cameras: where each was seen.
        curve: of the engine that made the embeddings.
        settings: see `IdentitySettings`.
        walking: which pairs one person on foot can have made.
    """
    ordered = sorted(tracklets, key=lambda one: (one.first_seen, one.camera_id, one.id))
    clusters = np.ones(len(ordered), np.int64)
    if len(ordered) > 1:
        distances = _distances(ordered, cameras, walking)
        possible = 2 * int((distances < _IMPOSSIBLE).sum()) / len(ordered)  # others of a tracklet
        prior = settings.others_of_a_person / (settings.others_of_a_person + possible)
        likely = curve.at_prior(prior).half_distance if possible else -math.inf
        clusters = fcluster(linkage(distances, "average"), likely, "distance")
    numbers: dict[int, int] = {}
    return {
        one.id: numbers.setdefault(int(cluster), len(numbers) + 1)
        for one, cluster in zip(ordered, clusters, strict=True)
    }


def _distances(tracklets: Sequence[Tracklet], cameras: Sequence[Camera], walking: WalkingSettings) -> np.ndarray:
    """Cosine distance of each pair (0, 1), (0, 2) … (1, 2) …, `float64 [pair]`; impossible pairs are `_IMPOSSIBLE`."""
    place = {camera.id: number for number, camera in enumerate(cameras)}
    metres = np.array([[metres_between(one, other) for other in cameras] for one in cameras])
    embeddings = np.stack([one.embedding for one in tracklets])
    places = np.array([place[one.camera_id] for one in tracklets])
    start = tracklets[0].first_seen
    first_s, last_s = (
        np.array([(seen - start).total_seconds() for seen in times])
        for times in ([one.first_seen for one in tracklets], [one.last_seen for one in tracklets])
    )
    count = len(tracklets)
    distances = np.empty(count * (count - 1) // 2)
    filled = 0
    for begin in range(0, count, _ROWS):
        rows = slice(begin, begin + _ROWS)
        between_s = np.maximum(first_s[None] - last_s[rows, None], first_s[rows, None] - last_s[None])
        same_camera = places[rows, None] == places
        on_foot = can_walk(metres[np.ix_(places[rows], places)], between_s, same_camera, walking)
        on_foot &= ~same_camera | (between_s > 0)  # of one picture they are two
        apart = np.where(on_foot, cosine_distances(embeddings[rows], embeddings).clip(min=0), _IMPOSSIBLE)
        later = apart[np.arange(count)[None] > np.arange(begin, begin + len(apart))[:, None]]
        distances[filled : filled + len(later)] = later
        filled += len(later)
    return distances
