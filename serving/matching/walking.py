"""How much likelier a sighting is of somebody whom a camera saw before than of a stranger, by time and place."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat
from scipy.special import ndtr

from domain.cameras import Sighting, metres_between
from domain.settings import Settings


class WalkingSettings(Settings):
    """Settings of walking times between cameras."""

    max_walking_speed_m_s: PositiveFloat
    walking_speed_m_s: PositiveFloat
    walking_speed_spread: PositiveFloat
    view_m: PositiveFloat
    clock_tolerance_s: NonNegativeFloat
    wandering_share: float = Field(gt=0, le=1)
    horizon_s: PositiveFloat


def walking_log_ratios(sightings: Sequence[Sighting], settings: WalkingSettings) -> np.ndarray:
    """ln of how much likelier a later sighting is of whom an earlier one shows than of a stranger, by time and place.

    A stranger comes to a camera at any time of a span T alike. Somebody whom a camera saw last t seconds ago wanders
    with the probability w, and then comes at any time too; or is on the way, so that t = s / v. The way s, from where
    the one camera saw them last to where the other sees them first, is anything from d - 2r to d + 2r metres alike, for
    cameras d metres apart that see r metres far; the speed v is log-normal. Which camera comes next, nobody knows. So
    the ratio is, with the mean over s of the density of s / v at t, in which v = s / t is put,

        ln(w + (1 - w) T h(t)),  h(t) = E[v; (d - 2r) / t < v < (d + 2r) / t] / (length of the interval of s).

    It is never below ln w, however long somebody stays.

    Source: to weigh transit times by their density follows Javed et al. 2008, "Modeling inter-camera space-time and
    appearance relationships for tracking across non-overlapping views". Speeds on foot: 1.34 m/s, with a standard
    deviation of 0.26 (Weidmann 1993, "Transporttechnik der Fussgänger"), on a way that streets make longer.

    Args:
        sightings: by the time at which they begin. T is from the first's begin to the last end, `horizon_s` at most.
        settings: see `WalkingSettings`.

    Returns:
        float64 [earlier, later]; -inf where that is not later, or nobody `can_walk` from one to the other.
    """
    if not sightings:
        return np.empty((0, 0))
    begins_s, ends_s = (
        np.array([time.timestamp() for time in times])
        for times in ([one.first_seen for one in sightings], [one.last_seen for one in sightings])
    )
    cameras = {(one.district, one.camera_id): one for one in sightings}
    numbers = {camera: number for number, camera in enumerate(cameras)}
    metres = np.array([[metres_between(one, other) for other in cameras.values()] for one in cameras.values()])
    places = np.array([numbers[one.district, one.camera_id] for one in sightings], np.int64)
    apart_m = metres[np.ix_(places, places)]
    between_s = begins_s - ends_s[:, None]
    shortest_m = np.maximum(apart_m - 2 * settings.view_m, 0)
    longest_m = apart_m + 2 * settings.view_m

    possible = can_walk(apart_m, between_s, places == places[:, None], settings)
    span_s = min(ends_s.max() - begins_s[0], settings.horizon_s)
    density_hz = _mean_speed_within(shortest_m, longest_m, between_s, settings) / (longest_m - shortest_m)
    ratios = settings.wandering_share + (1 - settings.wandering_share) * span_s * density_hz
    return np.where(np.triu(possible, 1), np.log(ratios), -np.inf)


def can_walk(
    apart_m: np.ndarray, between_s: np.ndarray, same_camera: np.ndarray, settings: WalkingSettings
) -> np.ndarray:
    """Whether one person on foot can have made two sightings, bool of the arrays' common shape.

    Args:
        apart_m: from camera to camera; each sees people as far as `view_m`.
        between_s: from the end of the one sighting to the begin of the other. At one camera it is 0 at least; between
            two, whose clocks may differ, it may be less by the tolerance for this.
        same_camera: whether one camera made both.
        settings: see `WalkingSettings`.
    """
    tolerated_s = between_s + np.where(same_camera, 0, settings.clock_tolerance_s)
    shortest_m = np.maximum(apart_m - 2 * settings.view_m, 0)
    return (tolerated_s >= 0) & (shortest_m <= settings.max_walking_speed_m_s * tolerated_s)


def _mean_speed_within(
    shortest_m: np.ndarray, longest_m: np.ndarray, time_s: np.ndarray, settings: WalkingSettings
) -> np.ndarray:
    """E[v; shortest / time < v < longest / time] of a log-normal speed v, in m/s; a time below 0 counts as 0."""
    median, spread = settings.walking_speed_m_s, settings.walking_speed_spread
    with np.errstate(divide="ignore", invalid="ignore"):  # at once: infinitely fast, or standing if it is no way at all
        slowest, fastest = (
            (np.log(way_m / (time_s.clip(min=0) * median)) - spread**2) / spread for way_m in (shortest_m, longest_m)
        )
    standing = np.isnan(slowest)
    return median * np.exp(spread**2 / 2) * (ndtr(fastest) - ndtr(np.where(standing, -np.inf, slowest)))
