"""Passes a frame to the detector only after motion: it saves the detector's time in empty streets."""

import math

import cv2
import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from domain.settings import Settings


class MotionGateSettings(Settings):
    """Subsection `motion_gate` of the section `tracking`."""

    enabled: bool
    width_px: PositiveInt
    grey_levels: PositiveFloat
    area: float = Field(gt=0, lt=1)
    longest_skip_s: PositiveFloat


class MotionGate:
    """Compares the frames of one camera with the last passed frame, whose people are known.

    A moving average would not do as reference: it absorbs a person who stops, and misses a person who leaves.
    """

    def __init__(self, settings: MotionGateSettings) -> None:
        self._settings = settings
        self._passed: np.ndarray | None = None  # float32 [height, width], grey
        self._passed_s = -math.inf

    def passes(self, image: np.ndarray, time_s: float) -> bool:
        """Whether the detector must run on `image`, `uint8 [height, width, 3]` RGB.

        True for the first frame, after motion, and `longest_skip_s` after the last passed frame.
        """
        settings, grey = self._settings, self._small_grey(image)
        is_due = time_s - self._passed_s >= settings.longest_skip_s
        if not is_due and self._passed is not None:
            moved = np.abs(grey - self._passed) > settings.grey_levels
            if moved.mean() < settings.area:
                return False
        self._passed, self._passed_s = grey, time_s
        return True

    def _small_grey(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        size = self._settings.width_px, max(1, round(height * self._settings.width_px / width))
        small = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        return cv2.blur(small.astype(np.float32), (3, 3))  # noise must not count as motion
