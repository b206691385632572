"""How a picture looks: its size, brightness, contrast, sharpness and spectrum."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

SMALL_PX = 48
WINDOW = cv2.createHanningWindow((SMALL_PX, SMALL_PX), cv2.CV_32F)
_LOW = 9  # frequencies of the spectrum in each direction, from 0
_SHARP_PX = 256  # longest side at which sharpness is measured
_ROUNDING = 1 / 12  # variance that rounding to grey values adds

Grey = UInt8[np.ndarray, "height width"]


@dataclass(frozen=True)
class Look:
    """How a picture looks."""

    width_px: int
    height_px: int
    brightness: float  # mean of its grey values, 0..255
    contrast: float  # their standard deviation
    sharpness: float  # share of the contrast that is finer than about two pixels
    small: UInt8[np.ndarray, "48 48"]  # grey
    spectrum: Float32[np.ndarray, " frequency"]  # of `small`, without phases; length 1


def look_of(grey: Grey, width_px: int, height_px: int) -> Look:
    """The look of a picture of `width_px` × `height_px` that may have been decoded smaller, as `grey`."""
    small = cv2.resize(grey, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA)
    brightness, contrast = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
    return Look(width_px, height_px, brightness, contrast, _sharpness(grey), small, _spectrum(small))


def _sharpness(grey: Grey) -> float:
    scale = _SHARP_PX / max(grey.shape)
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in grey.shape)
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    values: Float32[np.ndarray, "height width"] = grey.astype(np.float32)
    fine = values - cv2.GaussianBlur(values, (0, 0), 1.0)
    fine_contrast, contrast = (float(cv2.meanStdDev(each)[1][0, 0]) for each in (fine, values))
    return float(np.sqrt(max(fine_contrast**2 - _ROUNDING, 0)) / max(contrast, 1e-3))


def _spectrum(small: UInt8[np.ndarray, "48 48"]) -> Float32[np.ndarray, " frequency"]:
    """Roots of the amplitudes of the lowest frequencies: alike after re-encoding, and after a shift or a small cut."""
    values: Float32[np.ndarray, "48 48"] = small.astype(np.float32)
    amplitudes = np.abs(np.fft.rfft2((values - values.mean()) * WINDOW)[:, :_LOW])
    low = np.sqrt(np.concatenate([amplitudes[:_LOW], amplitudes[1 - _LOW :]])).ravel()
    low -= low.mean()
    return (low / max(float(np.linalg.norm(low)), 1e-6)).astype(np.float32)
