"""Where a person is next: cameras and minutes with probabilities from where they were last seen, and an area.

The person is on the way to one of the other cameras, or stays, turns or passes unseen, with the share w of the transit
times. Of those on the way, a camera is the next in proportion to the walks that were learnt from there to it and to the
inverse of its distance, which is worth `_PRIOR_WALKS`. When they arrive is as in `serving.matching.transits`.

That nobody was found at a camera is evidence, as far as its video was searched: a passing would have been found with
`FOUND`, unless a sighting there may yet be the person. By Bayes' rule it leaves 1 - FOUND of what a searched minute had
and so moves the probability to where nothing was searched.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.special import ndtri

from domain.cameras import Camera, CameraKey, metres_between
from serving.matching.transits import Seen, Transits
from serving.matching.walking import arrived_on_foot

FOUND = 0.8  # of the passings in searched video: some are hidden, and some are not recognised
_PRIOR_WALKS = 5.0  # as in `evaluation.transit.fitting`
_DIRECTIONS, _SPEEDS = 72, 15  # of walkers who may be the person
_LIKELIEST = 0.9  # share of the person's places that the area holds
_EARTH_M_DEGREE = 111_195.0


@dataclass(frozen=True)
class Next:
    """Probabilities of where the person is seen next."""

    passes: Float64[np.ndarray, "camera minute"]  # that the person comes into view of the camera in the minute
    unseen: float  # that they come to none of them by then


@dataclass(frozen=True)
class WalkedTo:
    """Places where the person may be at one time, on foot."""

    places: Float64[np.ndarray, "place 2"]  # latitude, longitude
    shares: Float64[np.ndarray, " place"]  # add up to 1
    is_likely: Bool[np.ndarray, " place"]  # among the fewest that hold most of the probability
    area_m2: float  # of those


def next_cameras(
    last: Seen,
    cameras: Mapping[CameraKey, Camera],
    transits: Transits,
    searched: Float[np.ndarray, "camera minute"],
    maybe: Float[np.ndarray, "camera minute"],
) -> Next:
    """Where the person of `last` is seen next, minute by minute.

    Args:
        last: where and when the person was last seen.
        cameras: where they may come; that of `last` is none of them.
        transits: transit times.
        searched: share of each minute of each camera that was searched, 0..1.
        maybe: probability that somebody who was seen there then, and is not judged, is the person.
    """
    edges_s = 60.0 * np.arange(searched.shape[1] + 1)
    walks, shares, unseen = _ways(last, cameras, transits, edges_s)
    passes = (1 - unseen) * (walks / walks.sum())[:, None] * shares if len(cameras) else shares
    not_found = 1 - FOUND * searched * (1 - maybe)
    rest = 1 - passes.sum()
    passes = passes * not_found
    total = passes.sum() + rest
    return Next(passes / total, float(rest / total))


def _ways(
    last: Seen, cameras: Mapping[CameraKey, Camera], transits: Transits, edges_s: Float64[np.ndarray, " edge"]
) -> tuple[Float64[np.ndarray, " camera"], Float64[np.ndarray, "camera minute"], float]:
    """Walks to each camera, when those arrive, and the share that goes to none."""
    walking, model, numbers = transits.walking, transits.model, transits.numbers
    metres = np.array([metres_between(last, camera) for camera in cameras.values()])
    views_m = walking.view_m + (last.radius_m if last.camera is None else walking.view_m)
    arrived = arrived_on_foot((metres - views_m).clip(min=0), metres + views_m, edges_s[1:], walking)
    shares = np.diff(arrived, axis=1, prepend=0.0)
    near = 1 / metres.clip(min=views_m)
    walks = _PRIOR_WALKS * near / near.sum() if len(near) else near
    unseen = walking.wandering_share
    if model is not None and last.camera is not None and last.camera in numbers:
        for place, camera in enumerate(cameras):
            learnt, of_them = model.arrivals(numbers[last.camera], numbers.get(camera, -1), edges_s)
            if learnt > 0:
                shares[place] = of_them
                walks[place] += learnt
                unseen = model.background
    return walks, shares, unseen


def walked_to(
    last: Seen,
    after_s: float,
    cameras: Mapping[CameraKey, Camera],
    transits: Transits,
    searched: Float[np.ndarray, "camera minute"],
) -> WalkedTo:
    """Where the person of `last` may be `after_s` later, on foot in any direction.

    Who walked through the view of a camera that was searched then, and was not found there, is likelier elsewhere.

    Args:
        last: where and when the person was last seen.
        after_s: at most the minutes of `searched`.
        cameras: as in `next_cameras`.
        transits: transit times, for the speeds.
        searched: as in `next_cameras`.
    """
    walking = transits.walking
    angles = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    quantiles = np.linspace(0, 1, 2 * _SPEEDS + 1).clip(0.01, 0.99)
    quantiles_m_s = walking.walking_speed_m_s * np.exp(walking.walking_speed_spread * ndtri(quantiles))
    speeds_m_s, edges_m_s = quantiles_m_s[1::2], quantiles_m_s[::2]  # each between two edges
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)  # north, east
    per_degree = _EARTH_M_DEGREE * np.array([1.0, np.cos(np.radians(last.latitude))])
    shares = np.ones((_DIRECTIONS, _SPEEDS))
    for camera, minutes in zip(cameras.values(), searched, strict=True):
        away_m = (np.array([camera.latitude, camera.longitude]) - [last.latitude, last.longitude]) * per_degree
        ahead_m = directions @ away_m
        aside_m = np.abs(directions @ (away_m[::-1] * [-1, 1]))
        through = (ahead_m > 0) & (aside_m <= walking.view_m + last.radius_m)
        then_s = ahead_m[:, None] / speeds_m_s
        minute = np.floor(then_s / 60).astype(int).clip(0, len(minutes) - 1)
        passed = through[:, None] & (then_s >= 0) & (then_s <= after_s)
        shares *= np.where(passed, 1 - FOUND * minutes[minute], 1.0)
    places = (directions[:, None] * (speeds_m_s * after_s)[:, None]).reshape(-1, 2)
    areas_m2 = np.tile(np.pi / _DIRECTIONS * np.diff((edges_m_s * after_s + last.radius_m) ** 2), _DIRECTIONS)
    shares = (shares / shares.sum()).ravel()
    order = np.argsort(-shares / areas_m2, kind="stable")
    is_likely = np.zeros(len(shares), bool)
    is_likely[order[: int(np.searchsorted(np.cumsum(shares[order]), _LIKELIEST)) + 1]] = True
    degrees = places / per_degree + [last.latitude, last.longitude]
    return WalkedTo(degrees, shares, is_likely, float(areas_m2[is_likely].sum()))
