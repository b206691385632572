"""Evidence of place and time that sightings show a person who was seen elsewhere.

Between cameras of a district whose transit times were learnt, `evaluation.transit` says how much likelier its time
makes a walk for one person than for two; between others, and in one camera within a visit's gap, the walking times over
their distance do, see `serving.matching.walking`. Both are bounded, so that place and time alone never decide.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Float, Float64

from domain.cameras import Camera, CameraKey, Sighting, metres_between
from evaluation.transit.files import read_transits
from evaluation.transit.model import LARGEST, VISIT_GAP_S, TransitModel
from serving.matching.walking import WalkingSettings, walking_log_ratio, walking_log_ratios

_UNKNOWN = -1  # number of a camera that the learnt model does not have
_TIME_STEP_S, _MOST_STEPS = 15.0, 121  # of an uncertain time, over which the ratio is averaged
_REACH_S = 160 * np.sinh(np.linspace(-4.5, 4.5, 121))  # times around a sighting, up to two hours, every 12 s near it
_ROUNDED_S = 0.001  # by which times may seem to overlap
_LIKELIER = math.log(1.5)  # where a search looks besides the nearest by appearance


@dataclass(frozen=True)
class Seen:
    """Where and when a person was seen: by a camera, or by a witness in a circle on the map."""

    latitude: float
    longitude: float
    time_s: float  # POSIX; of a sighting the middle
    camera: CameraKey | None = None
    radius_m: float = 0.0  # of the circle; a camera's view is added by itself
    within_s: float = 0.0  # the time is uniform over so long before and after
    lasts_s: float | None = None  # how long the camera saw the person on end; None: known for that time alone


class Cell(NamedTuple):
    """A camera, and times in which it is likelier than by chance that the person passes."""

    camera: CameraKey
    since_s: float
    until_s: float


@dataclass(frozen=True)
class Transits:
    """Transit times between the cameras of a search: learnt where there are walks, else on foot."""

    walking: WalkingSettings
    model: TransitModel | None = None
    numbers: Mapping[CameraKey, int] = field(default_factory=dict)  # of the model's cameras
    version: str = ""  # of the learnt times; empty without

    @classmethod
    def read(cls, folder: Path, walking: WalkingSettings) -> Self:
        """The learnt times in `folder`, whose card names the cameras; a district without that folder has none.

        Raises:
            ArtifactError: if the files are not whole.
        """
        if not folder.is_dir():
            return cls(walking)
        model, card = read_transits(folder)
        numbers = {(card.district, camera): number for number, camera in card.cameras.items()}
        return cls(walking, model, numbers, card.version)

    def evidence(
        self,
        seen: Sequence[Seen],
        cameras: Sequence[CameraKey],
        times_s: Float[np.ndarray, " sighting"],
        places: Mapping[CameraKey, Camera],
        lasts_s: Float[np.ndarray, " sighting"] | None = None,
    ) -> Float64[np.ndarray, " sighting"]:
        """Log-likelihood ratio r that each sighting shows the person of `seen`, from place and time, in ±5 nats.

        A walk has no memory: of all that was seen, the last before a sighting and the first after it count, and their
        ratios add up.

        Args:
            seen: where the person was; none gives 0.
            cameras: camera of each sighting.
            times_s: middle of each sighting, POSIX.
            places: position of each camera.
            lasts_s: how long each sighting lasts; None: all are moments.
        """
        ratios = np.zeros(len(times_s))
        if not seen or not len(times_s):
            return ratios
        ordered = sorted(seen, key=lambda one: one.time_s)
        moments_s = [one.time_s for one in ordered]
        first, last = np.searchsorted(moments_s, [times_s.min(), times_s.max()], side="right")
        ordered = ordered[max(first - 1, 0) : last + 1]  # the others are never the last before or the first after
        of_each = np.stack([self.log_ratios(one, cameras, times_s, places, lasts_s) for one in ordered])
        first_after = np.searchsorted([one.time_s for one in ordered], times_s, side="right")
        every = np.arange(len(times_s))
        before, after = first_after > 0, first_after < len(ordered)
        ratios[before] += of_each[first_after[before] - 1, every[before]]
        ratios[after] += of_each[first_after[after], every[after]]
        return ratios.clip(-LARGEST, LARGEST)

    def log_ratios(
        self,
        seen: Seen,
        cameras: Sequence[CameraKey],
        times_s: Float[np.ndarray, " sighting"],
        places: Mapping[CameraKey, Camera],
        lasts_s: Float[np.ndarray, " sighting"] | None = None,
    ) -> Float64[np.ndarray, " sighting"]:
        """r of each sighting given one place and time; arguments as of `evidence`.

        Who comes into the view of a camera after the person left it, or left it before the person came, may be the
        person again, as between two cameras at one place. Whom it sees beside the person, at the same time, is another
        unless the tracker doubled somebody: that tells nothing.
        """
        distinct = list(dict.fromkeys(cameras))
        metres_of = {camera: metres_between(seen, places[camera]) for camera in distinct}
        metres = np.array([metres_of[camera] for camera in cameras])
        view_m = self.walking.view_m + (seen.radius_m if seen.camera is None else self.walking.view_m)
        same = np.array([camera == seen.camera for camera in cameras])
        steps = min(_MOST_STEPS, 2 * math.ceil(seen.within_s / _TIME_STEP_S) + 1)
        shifts_s = seen.within_s * np.linspace(-1, 1, steps) if steps > 1 else np.zeros(1)
        between_s = times_s - (seen.time_s + shifts_s[:, None])
        lasts_s = np.zeros(len(times_s)) if lasts_s is None else lasts_s
        together_s = 0.0 if seen.lasts_s is None else np.where(same, (seen.lasts_s + lasts_s) / 2, 0.0)
        apart_s = np.abs(between_s) - together_s
        ratios = walking_log_ratio((metres - view_m).clip(min=0), metres + view_m, apart_s, self.walking)
        ratios = ratios.clip(max=LARGEST)
        if self.model is not None and seen.camera is not None and seen.camera in self.numbers:
            numbers = {camera: self.numbers.get(camera, _UNKNOWN) for camera in distinct}
            there = np.array([numbers[camera] for camera in cameras])
            here = np.full(len(there), self.numbers[seen.camera])
            learnt = self.model.has_evidence(here, there)
            for row, of_row_s in zip(ratios, between_s, strict=True):
                known = learnt & (~same | (np.abs(of_row_s) > VISIT_GAP_S))
                row[known] = self.model.of_walks(here[known], there[known], of_row_s[known])
        ratios[same & (apart_s < -_ROUNDED_S)] = 0.0
        return np.log(np.exp(ratios).mean(axis=0))

    def between(self, sightings: Sequence[Sighting]) -> Float64[np.ndarray, "sighting sighting"]:
        """Log-likelihood ratio from each sighting to each later one; -inf for pairs that no person can have made.

        Those are pairs in another order, pairs of one camera at one time, and, where nothing was learnt, pairs that
        nobody on foot can have made, see `walking_log_ratios`. Who rides is not ruled out where walks were learnt.

        Args:
            sightings: ordered by their begin.
        """
        ratios = walking_log_ratios(sightings, self.walking)
        if self.model is None or not sightings:
            return ratios
        numbers = np.array([self.numbers.get((one.district, one.camera_id), _UNKNOWN) for one in sightings])
        begins_s = np.array([one.first_seen.timestamp() for one in sightings])
        ends_s = np.array([one.last_seen.timestamp() for one in sightings])
        rows, columns = np.triu_indices(len(sightings), 1)
        known = self.model.has_evidence(numbers[rows], numbers[columns])
        middles_s = (begins_s + ends_s) / 2
        between_s = middles_s[columns] - middles_s[rows]
        again = (begins_s[columns] >= ends_s[rows]) & (between_s > VISIT_GAP_S)
        known &= (numbers[rows] != numbers[columns]) | again
        rows, columns, between_s = rows[known], columns[known], between_s[known]
        ratios[rows, columns] = self.model.of_walks(numbers[rows], numbers[columns], between_s)
        return ratios

    def cells(self, seen: Sequence[Seen], places: Mapping[CameraKey, Camera]) -> list[Cell]:
        """Cameras and times near `seen` that are clearly likelier for the person than by chance; none overlap."""
        cameras = list(places)
        found: list[Cell] = []
        for one in seen:
            exact = Seen(one.latitude, one.longitude, one.time_s, one.camera, one.radius_m)
            at = [camera for camera in cameras for _ in _REACH_S]
            times_s = np.tile(one.time_s + _REACH_S, len(cameras))
            likely = self.log_ratios(exact, at, times_s, places).reshape(len(cameras), -1) > _LIKELIER
            for place in np.flatnonzero(likely.any(axis=1)):
                first, *_, last = np.flatnonzero(np.convolve(likely[place], [1, 1, 1], "same"))  # and a step around
                since_s, until_s = (
                    one.time_s + _REACH_S[first] - one.within_s,
                    one.time_s + _REACH_S[last] + one.within_s,
                )
                found.append(Cell(cameras[place], float(since_s), float(until_s)))
        return _merged(found)


def _merged(cells: Sequence[Cell]) -> list[Cell]:
    merged: list[Cell] = []
    for cell in sorted(cells):
        last = merged[-1] if merged else None
        if last is not None and last.camera == cell.camera and cell.since_s <= last.until_s:
            merged[-1] = last._replace(until_s=max(last.until_s, cell.until_s))
        else:
            merged.append(cell)
    return merged
