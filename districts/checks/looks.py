"""How pictures look: their size, brightness, contrast, sharpness and a perceptual hash, all read in threads."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from districts.checks.pictures import reduced_grey, with_stderr
from domain.cores import available_cores
from domain.errors import InputError
from domain.images import require_picture

SMALL_PX = 48
_HASHED_PX, _HASH_PX = 32, 8  # the lowest 8 × 8 frequencies of 32 × 32 pixels
_SHARP_PX = 256  # longest side at which sharpness is measured
_ROUNDING = 1 / 12  # variance that rounding to grey values adds


@dataclass(frozen=True)
class Look:
    """How a picture looks."""

    width_px: int
    height_px: int
    brightness: float  # mean of its grey values, 0..255
    contrast: float  # their standard deviation
    sharpness: float  # share of the contrast that is finer than about two pixels
    perceptual_hash: np.uint64
    small: UInt8[np.ndarray, "48 48"]  # grey


def looks_of(files: Iterable[Path]) -> dict[Path, Look]:
    """The look of each picture; files that cannot be read are left to other checks."""
    chosen = sorted({*files})
    with ThreadPoolExecutor(available_cores()) as pool:  # OpenCV decodes without Python's lock
        looks, _ = with_stderr(lambda: list(pool.map(_look_at, chosen)))
    return {file: look for file, look in zip(chosen, looks, strict=True) if look is not None}


def _look_at(file: Path) -> Look | None:
    try:
        width, height = require_picture(file)
    except InputError:
        return None
    grey = cv2.imread(str(file), reduced_grey(width, height))
    if grey is None:
        return None
    small = cv2.resize(grey, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA)
    brightness, contrast = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
    return Look(width, height, brightness, contrast, _sharpness(grey), _hash(small), small)


def _sharpness(grey: UInt8[np.ndarray, "height width"]) -> float:
    scale = _SHARP_PX / max(grey.shape)
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in grey.shape)
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    values: Float32[np.ndarray, "height width"] = grey.astype(np.float32)
    fine = values - cv2.GaussianBlur(values, (0, 0), 1.0)
    return float(np.sqrt(max(fine.var() - _ROUNDING, 0)) / max(values.std(), 1e-3))


def _hash(small: UInt8[np.ndarray, "48 48"]) -> np.uint64:
    """Signs of the lowest frequencies against their median (pHash): alike after re-encoding, and after small shifts."""
    hashed = cv2.resize(small, (_HASHED_PX, _HASHED_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(hashed)[:_HASH_PX, :_HASH_PX].ravel()
    return np.uint64(np.packbits(low > np.median(low)).view(np.uint64)[0])
