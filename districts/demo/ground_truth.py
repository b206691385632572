"""Ground truth of the renderer: each person in each frame."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

MIN_VISIBILITY, MIN_HEIGHT_PX = 0.2, 24.0  # below either limit, a box is not counted in tracking
VIEWS = ("front", "side", "back")
_BETWEEN_VIEWS = 0.12  # radians around the border of two views in which the view is ambiguous


@dataclass(frozen=True)
class GroundTruth:
    """Boxes of one video, one row per person and frame, ordered by frame and identity."""

    frames: np.ndarray  # int64 [box], from 1
    identities: np.ndarray  # int64 [box]
    boxes_xyxy: np.ndarray  # float64 [box, 4], pixels: the body within the frame, hidden parts included
    visibilities: np.ndarray  # float64 [box], 0..1: visible fraction of the body
    views: np.ndarray  # int64 [box], index into VIEWS; -1 between two views

    @property
    def heights_px(self) -> np.ndarray:
        """Height of each box, float64 [box]."""
        return self.boxes_xyxy[:, 3] - self.boxes_xyxy[:, 1]

    @property
    def counts(self) -> np.ndarray:
        """Boxes large and visible enough to be counted, bool [box]."""
        return (self.visibilities >= MIN_VISIBILITY) & (self.heights_px >= MIN_HEIGHT_PX)

    def visits(self, gap_frames: int) -> list[np.ndarray]:
        """Rows of each visit: a person before the camera without a gap of more than `gap_frames`; in time order."""
        stays = []
        for identity in np.unique(self.identities):
            rows = np.flatnonzero(self.identities == identity)
            breaks = np.flatnonzero(np.diff(self.frames[rows]) > gap_frames) + 1
            stays.extend(np.split(rows, breaks))
        return stays


def ground_truth_of(rows: list[tuple[float, ...]]) -> GroundTruth:
    """Ground truth from rows of frame, identity, left, top, right, bottom, visibility, view."""
    table = np.array(sorted(rows), np.float64).reshape(-1, 8)
    return GroundTruth(
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.int64),
        table[:, 2:6],
        table[:, 6],
        table[:, 7].astype(np.int64),
    )


def view_index(heading: float, towards_camera: float) -> int:
    """Index into VIEWS of a person with this `heading`, seen from direction `towards_camera`; both in radians.

    Example:
        >>> VIEWS[view_index(0.0, 0.3)], VIEWS[view_index(0.0, -1.6)], VIEWS[view_index(3.1, 0.0)]
        ('front', 'side', 'back')
        >>> view_index(0.0, np.pi / 4)  # half front, half side
        -1
    """
    turn = abs((heading - towards_camera + np.pi) % (2 * np.pi) - np.pi)
    if min(abs(turn - np.pi / 4), abs(turn - 3 * np.pi / 4)) < _BETWEEN_VIEWS:
        return -1
    return 0 if turn < np.pi / 4 else 2 if turn > 3 * np.pi / 4 else 1


def write_ground_truth(file: Path, truth: GroundTruth) -> None:
    """Write MOTChallenge text: frame, id, left, top, width, height, 1 if counted, class 1 (pedestrian), visibility."""
    lines = []
    for row, counts in enumerate(truth.counts):
        left, top, right, bottom = truth.boxes_xyxy[row]
        box = f"{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f}"
        lines.append(
            f"{truth.frames[row]},{truth.identities[row]},{box},{int(counts)},1,{truth.visibilities[row]:.3f}\n"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(lines))
