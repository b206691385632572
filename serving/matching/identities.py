"""Identities: groups the tracklets of all cameras of a district into people.

Clusters of tracklets are merged, the likeliest first, while the mean distance of the pairs between them makes one
person likelier than two (average linkage). So a look-alike of one member does not join two people, and one bad view
does not split a person. A pair that one person cannot have made keeps its clusters apart: where transit times were
learnt, two sightings of one camera at one time; elsewhere also what nobody on foot makes. Learnt times change the
distance of a pair as their evidence changes its odds.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from pydantic import PositiveFloat
from scipy.cluster.hierarchy import fcluster, linkage

from domain.cameras import Camera, metres_between
from domain.embeddings import cosine_distances
from domain.settings import Settings
from domain.tracklets import Tracklet
from serving.matching.match_curve import MatchCurve
from serving.matching.transits import Transits
from serving.matching.walking import can_walk

_IMPOSSIBLE = 2.0**40  # distance of an impossible pair: a mean with it exceeds all means without; exact in float32
_ROWS = 256  # rows of the distance matrix that are computed at a time


class IdentitySettings(Settings):
    """Settings of the clustering of tracklets into people."""

    others_of_a_person: PositiveFloat


def identify(
    tracklets: Sequence[Tracklet],
    cameras: Sequence[Camera],
    curve: MatchCurve,
    settings: IdentitySettings,
    transits: Transits,
    district: str = "",
    time_trust: float = 1.0,
) -> dict[int, int]:
    """Person of each tracklet id, numbered from 1 in the order in which people were first seen.

    The prior odds that a possible pair shows one person are `others_of_a_person` to the mean number of tracklets with
    which a tracklet makes a possible pair. `curve`, fitted for the candidates of a search, is moved to that prior: the
    more people walk by, the more alike two tracklets must be.

    Time is quadratic in the number n of tracklets (reducible linkage by chains of nearest neighbours). Memory is 8 n²
    bytes, about 0.8 GB for 10,000.

    Args:
        tracklets: tracklets of all cameras, in any order; ids are unique.
        cameras: cameras of the tracklets.
        curve: match curve of the engine that made the embeddings.
        settings: see `IdentitySettings`.
        transits: transit times, which also say which pairs one person can have made.
        district: of the cameras, as `transits` names it.
        time_trust: factor of the evidence of learnt times, 0..1.
    """
    ordered = sorted(tracklets, key=lambda tracklet: (tracklet.first_seen, tracklet.camera_id, tracklet.id))
    clusters = np.ones(len(ordered), np.int64)
    if len(ordered) > 1:
        distances = _distances(ordered, cameras, transits, district, curve.softness * time_trust)
        possible = (
            2 * int((distances < _IMPOSSIBLE).sum()) / len(ordered)
        )  # mean number of possible pairs of a tracklet
        prior = settings.others_of_a_person / (settings.others_of_a_person + possible)
        threshold = curve.at_prior(prior).half_distance if possible else -math.inf
        lowest = min(0.0, float(distances.min()))  # learnt times can make it negative, which fcluster does not take
        clusters = fcluster(linkage(distances - lowest, "average"), threshold - lowest, "distance")
    numbers: dict[int, int] = {}
    return {
        tracklet.id: numbers.setdefault(int(cluster), len(numbers) + 1)
        for tracklet, cluster in zip(ordered, clusters, strict=True)
    }


def _distances(
    tracklets: Sequence[Tracklet],
    cameras: Sequence[Camera],
    transits: Transits,
    district: str,
    distance_of_a_nat: float,
) -> Float64[np.ndarray, " pair"]:
    """Distance by looks and learnt times of each pair (0, 1), (0, 2) … (1, 2) …; impossible ones are `_IMPOSSIBLE`."""
    place_of_camera = {camera.id: number for number, camera in enumerate(cameras)}
    metres = np.array([[metres_between(camera, other) for other in cameras] for camera in cameras])
    embeddings = np.stack([tracklet.embedding for tracklet in tracklets])
    places = np.array([place_of_camera[tracklet.camera_id] for tracklet in tracklets])
    start = tracklets[0].first_seen
    first_s, last_s = (
        np.array([(seen - start).total_seconds() for seen in times])
        for times in ([tracklet.first_seen for tracklet in tracklets], [tracklet.last_seen for tracklet in tracklets])
    )
    numbers = np.array([transits.numbers.get((district, tracklet.camera_id), -1) for tracklet in tracklets])
    middles_s = (first_s + last_s) / 2
    count = len(tracklets)
    distances = np.empty(count * (count - 1) // 2)
    filled = 0
    for begin in range(0, count, _ROWS):
        rows = slice(begin, begin + _ROWS)
        between_s = np.maximum(first_s[None] - last_s[rows, None], first_s[rows, None] - last_s[None])
        same_camera = places[rows, None] == places
        possible = can_walk(metres[np.ix_(places[rows], places)], between_s, same_camera, transits.walking)
        looks = cosine_distances(embeddings[rows], embeddings).clip(min=0)
        if transits.model is not None:
            first = numbers[rows]
            learnt = transits.model.has_evidence(np.repeat(first, count), np.tile(numbers, len(first)))
            possible |= learnt.reshape(looks.shape)
            looks -= distance_of_a_nat * transits.model.log_ratios(first, middles_s[rows], numbers, middles_s)
        possible &= ~same_camera | (between_s > 0)  # two tracklets of one camera at one time are two people
        apart = np.where(possible, looks, _IMPOSSIBLE)
        later = apart[np.arange(count)[None] > np.arange(begin, begin + len(apart))[:, None]]
        distances[filled : filled + len(later)] = later
        filled += len(later)
    return distances
