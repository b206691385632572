"""Pictures that show the same although their files differ: re-encoded, or shifted or cut by a few pixels.

Pictures whose spectra are nearly the same are candidates: a shift or a small cut changes the phases, not the
amplitudes. Pixels decide: two moments of a standing camera have one spectrum, too, but people in them stand elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from districts.checks.looks import SMALL_PX, WINDOW, Look
from districts.checks.readings import with_stderr
from domain.cores import available_cores

_LEAST_SPECTRAL = 0.85  # correlation of two spectra
_ROWS = 1024  # spectra that are compared at once
_RANKED = 6  # nearest spectra of a picture that are compared as small pictures
_COMPARED = 2  # of these, the most alike, that are compared by pixels
_LEAST_LIKENESS = 0.7  # correlation of two small pictures
_STILL_PX, _STILL_DIFFERENCE = 0.1, 20  # without a shift, small pictures of one scene differ less
_LARGE_PX, _LARGE_DIFFERENCE = 600, 45  # longest side of pictures that also differ less after a shift
_LEAST_CONTRAST = 4  # below, all pictures look alike
_SHIFT_PX, _PATCH_PX = 12, 160  # the largest shift; side of the patch by which it is found
_BLOCK_PX, _MOST_DIFFERENCE = 8, 7  # grey values by which blocks of one picture may differ
_CUT = 0.1  # of the side


def near_duplicates(
    first: Sequence[Path],
    other: Sequence[Path],
    looks: Mapping[Path, Look],
    identities: Mapping[Path, int] | None = None,
) -> Iterator[tuple[Path, Path]]:
    """Pairs of a picture of `other` and one of `first` that shows the same.

    Args:
        first, other: pictures; may be the same.
        looks: how they look.
        identities: of all pictures; then only pairs count in which that of `first` has the smaller one.
    """
    first, other = (_clear(files, looks) for files in (first, other))
    with ThreadPoolExecutor(available_cores()) as pool:
        pairs, _ = with_stderr(
            lambda: list(pool.map(lambda found: _best(found, looks), _candidates(first, other, looks, identities)))
        )
    yield from (pair for pair in pairs if pair is not None)


def _clear(files: Sequence[Path], looks: Mapping[Path, Look]) -> list[Path]:
    return [file for file in files if file in looks and looks[file].contrast >= _LEAST_CONTRAST]


def _candidates(
    first: Sequence[Path], other: Sequence[Path], looks: Mapping[Path, Look], identities: Mapping[Path, int] | None
) -> Iterator[tuple[Path, list[Path]]]:
    """Pictures of `other`, each with those of `first` whose spectra are nearest."""
    if not first or not other:
        return
    spectra, of_other = (np.stack([looks[file].spectrum for file in files]) for files in (first, other))
    people = np.array([identities[file] for file in first]) if identities else None
    for start in range(0, len(other), _ROWS):
        rows = slice(start, start + _ROWS)
        for file, likeness in zip(other[rows], of_other[rows] @ spectra.T, strict=True):
            places = np.flatnonzero(likeness >= _LEAST_SPECTRAL)
            if people is not None and identities:
                places = places[people[places] < identities[file]]
            if len(places) > _RANKED:
                places = places[np.argpartition(-likeness[places], _RANKED - 1)[:_RANKED]]
            if len(places):
                yield file, [first[place] for place in places.tolist()]


def _best(found: tuple[Path, list[Path]], looks: Mapping[Path, Look]) -> tuple[Path, Path] | None:
    file, near = found
    likeness = {other: _likeness(looks[file], looks[other]) for other in near}
    alike = sorted((other for other in near if likeness[other] >= _LEAST_LIKENESS), key=lambda other: -likeness[other])
    picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) if alike else None
    for other in alike[:_COMPARED]:
        twin = cv2.imread(str(other), cv2.IMREAD_GRAYSCALE)
        if picture is not None and twin is not None and _show_the_same(picture, twin):
            return file, other
    return None


def _likeness(look: Look, other: Look) -> float:
    """Correlation after the best shift; 0 where nothing is shifted, but something differs."""
    one, two = look.small.astype(np.float32), other.small.astype(np.float32)
    (x, y), _ = cv2.phaseCorrelate(one, two, WINDOW)
    if abs(x) + abs(y) < _STILL_PX and np.abs(one - two).max() > _STILL_DIFFERENCE:
        return 0.0
    shift = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
    shifted = cv2.warpAffine(two, shift, (SMALL_PX, SMALL_PX), borderMode=cv2.BORDER_REPLICATE)
    one, shifted = one[5:-5, 5:-5], shifted[5:-5, 5:-5]
    is_large = min(max(picture.width_px, picture.height_px) for picture in (look, other)) >= _LARGE_PX
    if is_large and np.abs(one - shifted).max() > _LARGE_DIFFERENCE:
        return 0.0
    return float(cv2.matchTemplate(one, shifted, cv2.TM_CCOEFF_NORMED)[0, 0])


def _show_the_same(one: UInt8[np.ndarray, "_ _"], two: UInt8[np.ndarray, "_ _"]) -> bool:
    height, width = min(one.shape[0], two.shape[0]), min(one.shape[1], two.shape[1])
    if max(*one.shape, *two.shape) > (1 + _CUT) * max(height, width) + _SHIFT_PX or min(height, width) < 4 * _BLOCK_PX:
        return False
    margin_y, margin_x = (max(2, min(_SHIFT_PX, side // 8)) for side in (height, width))
    inner = two[margin_y : height - margin_y, margin_x : width - margin_x]
    y, x = _shift_of(inner, one[:height, :width], margin_y, margin_x)
    difference: Float32[np.ndarray, "height width"] = one[y : y + inner.shape[0], x : x + inner.shape[1]].astype(
        np.float32
    )
    difference -= inner
    blocks = cv2.blur(difference - difference.mean(), (_BLOCK_PX, _BLOCK_PX))
    return bool(np.abs(blocks).max() <= _MOST_DIFFERENCE)


def _shift_of(
    inner: UInt8[np.ndarray, "_ _"], whole: UInt8[np.ndarray, "_ _"], margin_y: int, margin_x: int
) -> tuple[int, int]:
    """Where in `whole` the middle of `inner` lies, as the place of the corner of `inner`."""
    height, width = min(inner.shape[0], _PATCH_PX), min(inner.shape[1], _PATCH_PX)
    top, left = (inner.shape[0] - height) // 2, (inner.shape[1] - width) // 2
    patch = inner[top : top + height, left : left + width]
    around = whole[top : top + height + 2 * margin_y, left : left + width + 2 * margin_x]
    _, _, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(around, patch, cv2.TM_CCOEFF_NORMED))
    return y, x
