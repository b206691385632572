"""What benchmarks share that measure a repository whose stage `track` has run."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from districts.box_files import read_tracks
from districts.layout import annotated_cameras, read_district
from domain.paths import DATA, TRACKS
from evaluation.evaluate_tracking import read_result
from evaluation.multi_camera.visits import right_tracklets
from serving.deployment import Deployment

_IOU = 0.5


def people_of(root: Path, district: str) -> dict[int, int]:
    """Tracklets of the stage `track` -> person of the ground truth; without those of nobody."""
    folder = root / DATA.of(district)
    people: dict[int, int] = {}
    for camera in annotated_cameras(folder, read_district(folder)):
        truth = read_tracks(folder / "videos" / f"{camera.id}.txt")
        result = read_result(root / TRACKS.of(district) / f"{camera.id}.txt")
        for person in np.unique(truth.tracks[truth.is_counted]).tolist():
            people |= dict.fromkeys(right_tracklets(person, truth, result, _IOU), person)
    return people


def print_measures(description: str | None, measure: Callable[[Deployment], dict[str, Any]]) -> None:
    """Print as one JSON document what `measure` finds in the repository that the command line names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(), help="repository whose stage `track` has run")
    parser.add_argument("overrides", nargs="*", help="settings, such as reid.backbone=resnet50")
    options = parser.parse_args()
    json.dump(measure(Deployment.read(options.root, options.overrides)), sys.stdout, indent=2)
    print()
