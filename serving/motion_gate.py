"""Lets a frame into the detector only where something moved: an empty street at night need not be looked at."""

import math

import cv2
import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from domain.settings import Settings


class MotionGateSettings(Settings):
    """When a frame counts as moved; `conf/tracking/tracklets.yaml` says what each value means."""

    enabled: bool
    width_px: PositiveInt
    grey_levels: PositiveFloat
    area: float = Field(gt=0, lt=1)
    background_s: PositiveFloat
    longest_skip_s: PositiveFloat


class MotionGate:
    """Compares the frames of one camera with a running background; make a new one for each video."""

    def __init__(self, settings: MotionGateSettings) -> None:
        """No background yet, so the first frame passes."""
        self._settings = settings
        self._background: np.ndarray | None = None  # float32 [height, width], grey
        self._last_s = self._passed_s = -math.inf

    def passes(self, image: np.ndarray, time_s: float) -> bool:
        """Whether something moved in `image`, `uint8 [height, width, 3]` RGB, or none passed for `longest_skip_s`."""
        settings = self._settings
        grey = self._small_grey(image)
        background = grey if self._background is None else self._background
        moved = np.abs(grey - background) > settings.grey_levels
        kept = math.exp(-(time_s - self._last_s) / settings.background_s)
        self._background, self._last_s = kept * background + (1 - kept) * grey, time_s
        passes = moved.mean() >= settings.area or time_s - self._passed_s >= settings.longest_skip_s
        if passes:
            self._passed_s = time_s
        return bool(passes)

    def _small_grey(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        size = self._settings.width_px, max(1, round(height * self._settings.width_px / width))
        return cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).astype(
            np.float32
        )
