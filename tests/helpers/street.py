"""A street with cameras that people walk along: crops with identity, camera, time and looks, for transit times."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from domain.embeddings import unit_length

APART_M = 150.0
_FEATURES = 16


@dataclass(frozen=True)
class Crops:
    """Sightings of people in the cameras 1 to n of a street."""

    identities: np.ndarray
    cameras: np.ndarray
    times_s: np.ndarray
    embeddings: np.ndarray

    def of(self, which: np.ndarray) -> Self:
        return type(self)(*(values[which] for values in vars(self).values()))

    def with_clock(self, camera: int, wrong_s: float) -> Self:
        """The same with the clock of one camera `wrong_s` fast."""
        late = np.where(self.cameras == camera, wrong_s, 0.0)
        return type(self)(self.identities, self.cameras, self.times_s + late, self.embeddings)


def street_metres(num_cameras: int) -> np.ndarray:
    """Distances between the cameras."""
    along = APART_M * np.arange(num_cameras)
    return np.abs(along[:, None] - along)


def walk_along(
    num_people: int,
    num_cameras: int,
    seed: int,
    *,
    hours: float = 2.0,
    by_bus: float = 0.0,
    styles: int = 12,
    unlike: float = 0.55,
    skipped: Mapping[int, int] | None = None,
) -> Crops:
    """Each person enters at a random camera and time, and walks past up to five; two crops in each view.

    Args:
        num_people: number of people, from 1.
        num_cameras: cameras of the street.
        seed: of everything.
        hours: in which people set out.
        by_bus: share of people that ride, six times as fast, after waiting up to ten minutes.
        styles: number of ways to dress, so that people look alike.
        unlike: spread of the looks of one person over crops; the larger, the harder.
        skipped: whoever passes the first camera does not come to the second.
    """
    rng = np.random.default_rng(seed)
    clothes = rng.normal(size=(styles, _FEATURES))
    rows = []
    for person in range(1, num_people + 1):
        looks = clothes[rng.integers(styles)] + 0.5 * rng.normal(size=_FEATURES)
        begin, direction = int(rng.integers(num_cameras)), int(rng.choice([-1, 1]))
        end = begin + direction * int(rng.integers(1, 5))
        passed = [camera for camera in range(begin, end + direction, direction) if 0 <= camera < num_cameras]
        rides = rng.random() < by_bus
        speed_m_s = 1.3 * np.exp(0.15 * rng.normal()) * (6 if rides else 1)
        time_s = float(rng.uniform(0, hours * 3600))
        for number, camera in enumerate(passed):
            if number:
                time_s += APART_M / speed_m_s + (rng.uniform(0, 600) if rides else 0.0)
            if skipped and any(skipped.get(other + 1) == camera + 1 for other in passed[:number]):
                continue
            for crop in range(2):
                seen = unit_length(looks + unlike * rng.normal(size=_FEATURES))
                rows.append((person, camera + 1, time_s + 2.0 * crop, seen))
    identities, cameras, times_s, embeddings = zip(*rows, strict=True)
    return Crops(np.array(identities), np.array(cameras), np.array(times_s), np.stack(embeddings))
