"""Walks of people among the stored sightings of a district: confirmed ones, and likely ones that nobody judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from jaxtyping import Float, Float64, Int64

from domain.cameras import Camera, metres_between
from domain.errors import InputError
from evaluation.transit import TransitModel, Walks, fit_transits, learn_transits, likely_pairs, walks_of_people
from serving.cases.standing import Standing, sightings_standing
from serving.database import queries

MOST = 20_000  # sightings, the latest; pairs of them are compared
_LEAST_LIKELY = 1e-3


@dataclass(frozen=True)
class DistrictWalks:
    """What the stored sightings of a district say of transit times; cameras are numbered from 1 in their order."""

    cameras: list[Camera]  # those with sightings
    numbers: Int64[np.ndarray, " sighting"]
    times_s: Float64[np.ndarray, " sighting"]  # POSIX; the middle
    likely: Walks  # by looks and times, each worth its probability
    confirmed: Walks
    metres: Float64[np.ndarray, "camera camera"]

    @property
    def walks(self) -> Walks:
        """Both together."""
        return self.likely.joined(self.confirmed)

    def fit(self) -> TransitModel:
        """The transit model of all of them."""
        return fit_transits(self.walks, self.numbers, self.times_s, metres=self.metres)


def walks_of_district(connection: sa.Connection, cameras: Sequence[Camera], district: str, model: str) -> DistrictWalks:
    """The walks among the `MOST` latest sightings of `district` by the re-ID model `model`.

    Raises:
        InputError: if there are no sightings of two cameras.
    """
    stored = queries.latest(connection, district, model, MOST)
    seen_by = {tracklet.camera.id for tracklet in stored}
    if len(seen_by) < 2:
        raise InputError(f"{district} must have sightings of two cameras by the model {model}, got {len(seen_by)}")
    present = [camera for camera in cameras if camera.id in seen_by]
    number_of = {camera.id: number for number, camera in enumerate(present, start=1)}
    numbers = np.array([number_of[tracklet.camera.id] for tracklet in stored], np.int64)
    times_s = np.array([(one.first_seen.timestamp() + one.last_seen.timestamp()) / 2 for one in stored])
    metres = _metres(present)
    pairs = likely_pairs(np.stack([tracklet.embedding for tracklet in stored]), numbers)
    _, probabilities = learn_transits(pairs, numbers, times_s, metres=metres)
    likely = pairs.walks(numbers, times_s).weighted(probabilities).chosen(probabilities > _LEAST_LIKELY)
    case_of = _confirmed(connection, district)
    people = np.array([case_of.get(tracklet.id, 0) for tracklet in stored], np.int64)
    return DistrictWalks(present, numbers, times_s, likely, walks_of_people(people, numbers, times_s), metres)


def _confirmed(connection: sa.Connection, district: str) -> dict[int, int]:
    """Case of each sighting that is confirmed in a case."""
    confirmed = sightings_standing(connection, sa.true(), Standing.CONFIRMED)
    return {tracklet: case for case, (of_district, tracklet) in reversed(confirmed) if of_district == district}


def _metres(cameras: Sequence[Camera]) -> Float[np.ndarray, "camera camera"]:
    """Distances; NaN between two at one place, whose positions are placeholders."""
    metres = np.array([[metres_between(camera, other) for other in cameras] for camera in cameras])
    return np.where(metres > 0, metres, np.nan)
