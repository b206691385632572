"""Figures of parts of the test data: each camera, dark and bright pictures, crops of some height."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64

from districts.checks.looks import Look
from districts.checks.readings import Readings
from evaluation.intervals.bootstrap import Sample, resample

DARK = 80  # mean grey value of 0..255 below which a picture counts as dark
_HEIGHTS_PX = (64, 128, 256)
_OF_UNKNOWN = "not known"


@dataclass(frozen=True)
class Slicing:
    """A way to divide the items of a test set."""

    by: str
    note: str  # how it is known; a sentence
    groups: Mapping[str, Bool[np.ndarray, " item"]]  # those with an item


def by_camera(cameras: Sequence[str | None], note: str) -> Slicing:
    """Items by their camera; None where it is not known."""
    names = [camera or _OF_UNKNOWN for camera in cameras]
    return Slicing("camera", note, {name: np.array([each == name for each in names]) for name in sorted(set(names))})


def by_label(group: str, labels: Int64[np.ndarray, " item"], names: Sequence[str]) -> Slicing:
    """Items by their label of a group, -1 unknown."""
    groups = _filled({name: labels == value for value, name in enumerate(names)} | {_OF_UNKNOWN: labels < 0})
    return Slicing(group, f"As the labels of the group {group} say.", groups)


def camera_in_name(picture: str, cameras: Sequence[str]) -> str | None:
    """The camera that the name of a picture begins with, before `_`, `-`, a dot or a blank; None if it names none.

    Example:
        >>> camera_in_name("c1_000123.jpg", ["c1", "c12"]), camera_in_name("street.jpg", ["c1"])
        ('c1', None)
    """
    named = [camera for camera in cameras if picture.startswith(tuple(f"{camera}{end}" for end in "_-. "))]
    return max(named, key=len, default=None)


def by_light_and_height(files: Sequence[Path], *, heights: bool) -> list[Slicing]:
    """Pictures by their brightness and, with `heights`, by their height; one that cannot be read is in no part."""
    looks = Readings().read(files).looks(files)
    seen = [looks.get(file) for file in files]
    slicings = [by_light([look.brightness if look else np.nan for look in seen])]
    return [*slicings, by_height(seen)] if heights else slicings


def by_light(brightness: Sequence[float] | Float[np.ndarray, " item"]) -> Slicing:
    """Items by the mean grey value of their pictures, 0..255."""
    values = np.asarray(brightness, np.float64)
    note = (
        "Day and night are told by brightness, for the time of a picture is not known: dark has a mean grey value "
        f"below {DARK} of 255."
    )
    return Slicing("light", note, _filled({"dark": values < DARK, "bright": values >= DARK}))


def by_height(looks: Sequence[Look | None]) -> Slicing:
    """Crops by their height in pixels."""
    heights = np.array([look.height_px if look else np.nan for look in looks])
    if len({*heights[~np.isnan(heights)].tolist()}) == 1:
        note = "All crops have one height, so the height of the person in the camera's picture is not known."
        return Slicing("height of the crop", note, {})
    bounds = (0, *_HEIGHTS_PX, np.inf)
    groups = {height_title(low, high): (heights >= low) & (heights < high) for low, high in pairwise(bounds)}
    return Slicing("height of the crop", "In pixels of the crop's file.", _filled(groups))


def height_title(low: float, high: float) -> str:
    """A range of heights in words.

    Example:
        >>> height_title(0, 30), height_title(30, 80), height_title(160, np.inf)
        ('below 30 px', '30 to 80 px', '160 px and more')
    """
    if not low:
        return f"below {high:.0f} px"
    return f"{low:.0f} px and more" if np.isinf(high) else f"{low:.0f} to {high:.0f} px"


def score_slices(
    slicings: Sequence[Slicing],
    sample_of: Callable[[Bool[np.ndarray, " item"]], Sample],
    names: Sequence[str],
    repeats: int,
) -> list[dict[str, Any]]:
    """The figures `names` of each part of each slicing with their intervals, as plain values.

    Args:
        slicings: of the same items.
        sample_of: the sample of chosen items.
        names: of figures.
        repeats: draws for the intervals.
    """
    return [
        {
            "by": slicing.by,
            "note": slicing.note,
            "parts": {
                name: {"num_items": int(chosen.sum())} | _flat(sample_of(chosen), names, repeats)
                for name, chosen in slicing.groups.items()
            },
        }
        for slicing in slicings
    ]


def _flat(sample: Sample, names: Sequence[str], repeats: int) -> dict[str, float | int]:
    if not sample.num_units:
        return {"num_units": 0}
    flat = resample(sample, repeats).flat()
    kept = {f"{name}{end}" for name in names for end in ("", "_low", "_high")}
    return {"num_units": sample.num_units} | {name: value for name, value in flat.items() if name in kept}


def _filled(groups: Mapping[str, Bool[np.ndarray, " item"]]) -> dict[str, Bool[np.ndarray, " item"]]:
    return {name: chosen for name, chosen in groups.items() if chosen.any()}
