"""A repository in which `make demo` has finished: its district, and where each person truly is in its videos."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from districts.box_files import TrackTable, read_tracks
from districts.layout import District, Problem, read_district, read_problems
from domain.answers import read_answers
from domain.paths import DATA, TRACKS
from evaluation.evaluate_tracking import read_result
from evaluation.multi_camera.timelines import Timeline
from evaluation.multi_camera.visits import right_tracklets

NAME = "demo"
SAME_PERSON_IOU = 0.5
_VARIABLE = "DONGSEON_DEMO"


@dataclass(frozen=True)
class Demo:
    """The repository."""

    project: Path

    @property
    def folder(self) -> Path:
        """Of the district's data."""
        return self.project / DATA.of(NAME)

    @cached_property
    def district(self) -> District:
        return read_district(self.folder)

    @cached_property
    def problems(self) -> list[Problem]:
        return read_problems(self.folder)

    @cached_property
    def truth(self) -> dict[str, TrackTable]:
        """Where everybody is, by camera."""
        return {file.stem: read_tracks(file) for file in sorted((self.folder / "videos").glob("*.txt"))}

    @cached_property
    def timelines(self) -> dict[str, Timeline]:
        """Of each camera's video."""
        times_s = read_answers(self.project / TRACKS.of(NAME)).frame_times_s
        return {camera: Timeline(times) for camera, times in times_s.items()}

    def photos(self, problem: Problem) -> list[Path]:
        return [self.folder / "videos" / crop for crop in problem.crops]

    @cached_property
    def results(self) -> dict[str, TrackTable]:
        """Stored sightings of each camera."""
        return {camera: read_result(self.project / TRACKS.of(NAME) / f"{camera}.txt") for camera in self.truth}

    def right(self, identity: int) -> set[int]:
        """Stored sightings that show the person."""
        return set().union(
            *(
                right_tracklets(identity, truth, self.results[camera], SAME_PERSON_IOU)
                for camera, truth in self.truth.items()
            )
        )

    def boxes(self, camera: str, identity: int) -> dict[int, np.ndarray]:
        """Boxes of the person by frame, where they count."""
        table = self.truth[camera]
        return _by_frame(table, (table.tracks == identity) & table.is_counted)

    def stored(self, camera: str, sighting: int) -> dict[int, np.ndarray]:
        """Boxes of a stored sighting by frame."""
        return _by_frame(self.results[camera], self.results[camera].tracks == sighting)


def _by_frame(table: TrackTable, chosen: np.ndarray) -> dict[int, np.ndarray]:
    return dict(zip(table.frames[chosen].tolist(), table.boxes_xyxy[chosen], strict=True))


def finished_demo() -> Demo:
    """The one that the environment names, or the test is skipped."""
    if _VARIABLE not in os.environ:
        pytest.skip(f"{_VARIABLE} must name a repository in which `make demo` has run")
    return Demo(Path(os.environ[_VARIABLE]).resolve())
