"""Walking times: log-likelihood ratio, from time and place, that two sightings show the same person."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeFloat, PositiveFloat
from scipy.special import ndtr

from domain.cameras import Sighting, metres_between
from domain.settings import Settings

_WAYS = 16  # lengths of way between two views that are averaged


class WalkingSettings(Settings):
    """Settings of walking times between cameras."""

    max_walking_speed_m_s: PositiveFloat
    walking_speed_m_s: PositiveFloat
    walking_speed_spread: PositiveFloat
    view_m: PositiveFloat
    clock_tolerance_s: NonNegativeFloat
    wandering_share: float = Field(gt=0, le=1)
    horizon_s: PositiveFloat


def walking_log_ratios(
    sightings: Sequence[Sighting], settings: WalkingSettings
) -> Float[np.ndarray, "sighting sighting"]:
    """Log-likelihood ratio, from time and place, that two sightings show the same person.

    For a stranger the arrival time is uniform on [0, T]. The person of an earlier sighting, t seconds after its end,

    - wanders with probability w: the arrival time is uniform, too;
    - else is on the way, with t = s / v. The distance s, from the last place in one camera's view to the first in the
      other's, is uniform on [d - 2r, d + 2r] for cameras d metres apart that see r metres far; the speed v is
      log-normal.

    The next camera is unknown, so its probability is the same for both. The density h of t is the mean over s of the
    density of s / v at t; with v = s / t substituted, the ratio is

        ln(w + (1 - w) T h(t)),  h(t) = E[v; (d - 2r) / t < v < (d + 2r) / t] / (length of the interval of s).

    It is at least ln w, however long the person stays.

    Source: weights of transit times by their density as in Javed et al. 2008, "Modeling inter-camera space-time and
    appearance relationships for tracking across non-overlapping views". Speeds on foot: 1.34 m/s, with a standard
    deviation of 0.26 (Weidmann 1993, "Transporttechnik der Fussgänger"), on streets longer than the straight line.

    Args:
        sightings: ordered by their begin. T is the time from the first begin to the last end, at most `horizon_s`.
        settings: see `WalkingSettings`.

    Returns:
        Ratio from row to column; -inf for pairs in another order, and for pairs that one person on foot cannot make
        (`can_walk`).
    """
    if not sightings:
        return np.empty((0, 0))
    begins_s, ends_s = (
        np.array([time.timestamp() for time in times])
        for times in ([sighting.first_seen for sighting in sightings], [sighting.last_seen for sighting in sightings])
    )
    cameras = {(sighting.district, sighting.camera_id): sighting for sighting in sightings}
    numbers = {camera: number for number, camera in enumerate(cameras)}
    metres = np.array([[metres_between(camera, other) for other in cameras.values()] for camera in cameras.values()])
    places = np.array([numbers[sighting.district, sighting.camera_id] for sighting in sightings], np.int64)
    apart_m = metres[np.ix_(places, places)]
    between_s = begins_s - ends_s[:, None]
    shortest_m = np.maximum(apart_m - 2 * settings.view_m, 0)
    longest_m = apart_m + 2 * settings.view_m

    possible = can_walk(apart_m, between_s, places == places[:, None], settings)
    span_s = float(min(ends_s.max() - begins_s[0], settings.horizon_s))
    ratios = walking_log_ratio(shortest_m, longest_m, between_s, settings, span_s)
    return np.where(np.triu(possible, 1), ratios, -np.inf)


def walking_log_ratio(
    shortest_m: Float[np.ndarray, "*#pairs"],
    longest_m: Float[np.ndarray, "*#pairs"],
    time_s: Float[np.ndarray, "*#pairs"],
    settings: WalkingSettings,
    span_s: float | None = None,
) -> Float[np.ndarray, "*pairs"]:
    """ln(w + (1 - w) T h(t)) of ways between these lengths, see `walking_log_ratios`.

    Args:
        shortest_m: from view to view.
        longest_m: across both views.
        time_s: of the walk, t.
        settings: see `WalkingSettings`.
        span_s: T; `horizon_s` if None.
    """
    density_hz = _mean_speed_within(shortest_m, longest_m, time_s, settings) / (longest_m - shortest_m)
    share, span_s = settings.wandering_share, settings.horizon_s if span_s is None else span_s
    return np.log(share + (1 - share) * span_s * density_hz)


def arrived_on_foot(
    shortest_m: Float[np.ndarray, " way"],
    longest_m: Float[np.ndarray, " way"],
    time_s: Float[np.ndarray, " time"],
    settings: WalkingSettings,
) -> Float[np.ndarray, "way time"]:
    """Share of those on the way that have arrived after each time, see `walking_log_ratios`; for times above 0."""
    middles = (np.arange(_WAYS) + 0.5) / _WAYS
    ways_m = shortest_m[:, None] + middles * (longest_m - shortest_m)[:, None]
    speeds_m_s = ways_m[..., None] / time_s
    slower = ndtr(np.log(speeds_m_s / settings.walking_speed_m_s) / settings.walking_speed_spread)
    return 1 - slower.mean(axis=1)


def can_walk(
    apart_m: Float[np.ndarray, "*pairs"],
    between_s: Float[np.ndarray, "*pairs"],
    same_camera: Bool[np.ndarray, "*pairs"],
    settings: WalkingSettings,
) -> Bool[np.ndarray, "*pairs"]:
    """Whether one person on foot can have made two sightings.

    Args:
        apart_m: distance between the cameras; each sees `view_m` far.
        between_s: time from the end of one sighting to the begin of the other. It must be at least 0 for one camera,
            and at least minus the clock tolerance for two.
        same_camera: whether one camera made both sightings.
        settings: see `WalkingSettings`.
    """
    tolerated_s = between_s + np.where(same_camera, 0, settings.clock_tolerance_s)
    shortest_m = np.maximum(apart_m - 2 * settings.view_m, 0)
    return (tolerated_s >= 0) & (shortest_m <= settings.max_walking_speed_m_s * tolerated_s)


def _mean_speed_within(
    shortest_m: Float[np.ndarray, "*#pairs"],
    longest_m: Float[np.ndarray, "*#pairs"],
    time_s: Float[np.ndarray, "*#pairs"],
    settings: WalkingSettings,
) -> Float[np.ndarray, "*pairs"]:
    """E[v; shortest / time < v < longest / time] of a log-normal speed v, in m/s; a time below 0 counts as 0."""
    median, spread = settings.walking_speed_m_s, settings.walking_speed_spread
    with np.errstate(divide="ignore", invalid="ignore"):  # time 0: infinite speed, or 0 / 0 over no distance
        slowest, fastest = (
            (np.log(distance_m / (time_s.clip(min=0) * median)) - spread**2) / spread
            for distance_m in (shortest_m, longest_m)
        )
    standing = np.isnan(slowest)
    return median * np.exp(spread**2 / 2) * (ndtr(fastest) - ndtr(np.where(standing, -np.inf, slowest)))
