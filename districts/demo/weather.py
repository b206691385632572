"""The sky (light, haze, rain, snow) and the effect of lens, sensor and weather on the picture."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numba import njit

from districts.demo.streets import PICTURE_SIZE, Place

_NUM_TILES = 6
_EXPOSURE = 355.0  # grey level of a white surface in light of intensity 1


@dataclass(frozen=True)
class Sky:
    """Light and weather; `time` and `weather` are labels of the attribute groups with these names."""

    time: str
    weather: str
    sun_direction: tuple[float, float, float]  # unit vector towards the sun
    sun: tuple[float, float, float]
    ambient: tuple[float, float, float]
    haze: tuple[float, float, float]
    haze_per_m: float
    shadow: float  # darkness of people's shadows, 0..1
    shadow_softness: float
    lamp: float = 0.0

    def array(self, lamp_at: tuple[float, float, float]) -> np.ndarray:
        """Values as `districts.demo.lighting` reads them, float64 [17]."""
        return np.array(
            [*self.sun_direction, *self.sun, *self.ambient, *self.haze, *lamp_at, self.lamp, self.haze_per_m]
        )


def sky_of(time: str, weather: str) -> Sky:
    """Sky by the labels of time of day and weather."""
    azimuth, elevation, sun, ambient, haze, lamp = _TIMES[time]
    direction = (
        math.cos(azimuth) * math.cos(elevation),
        math.sin(azimuth) * math.cos(elevation),
        math.sin(elevation),
    )
    sunshine, diffuse, haze_per_m = _WEATHERS[weather]
    shadow = 0.5 * sunshine + 0.18
    grey = tuple((1 - sunshine) * sum(ambient) / 3 + sunshine * part for part in ambient)
    return Sky(
        time=time,
        weather=weather,
        sun_direction=direction,
        sun=(sun[0] * sunshine, sun[1] * sunshine, sun[2] * sunshine),
        ambient=(grey[0] * diffuse, grey[1] * diffuse, grey[2] * diffuse),
        haze=haze,
        haze_per_m=haze_per_m,
        shadow=shadow,
        shadow_softness=0.25 + 0.9 * (1 - sunshine),
        lamp=lamp,
    )


_TIMES = {  # sun's azimuth and elevation, sunlight, skylight, haze colour, street lamp
    "sunrise": (0.25, 0.42, (0.75, 0.52, 0.34), (0.44, 0.44, 0.52), (0.80, 0.70, 0.62), 0.0),
    "day": (-1.15, 0.95, (0.72, 0.70, 0.64), (0.50, 0.53, 0.57), (0.74, 0.78, 0.82), 0.0),
    "sunset": (2.85, 0.36, (0.80, 0.48, 0.26), (0.44, 0.41, 0.47), (0.72, 0.55, 0.48), 0.0),
    "night": (1.0, 0.8, (0.03, 0.03, 0.05), (0.20, 0.22, 0.29), (0.08, 0.09, 0.13), 1.15),
}
_WEATHERS = {  # transmitted fraction of sunlight, factor of skylight, haze per metre
    "clear": (1.0, 1.0, 0.001),
    "cloudy": (0.22, 1.32, 0.003),
    "rain": (0.08, 1.12, 0.012),
    "snow": (0.15, 1.38, 0.012),
    "fog": (0.05, 1.28, 0.055),
}


def blend(now: Sky, following: Sky, share: float) -> Sky:
    """Light between two skies; labels and the sun's direction are those of the sky with the larger share."""

    def mix(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
        return tuple((1 - share) * np.array(a) + share * np.array(b))

    near = now if share < 0.5 else following
    return replace(
        near,
        sun=mix(now.sun, following.sun),
        ambient=mix(now.ambient, following.ambient),
        haze=mix(now.haze, following.haze),
        haze_per_m=(1 - share) * now.haze_per_m + share * following.haze_per_m,
        lamp=(1 - share) * now.lamp + share * following.lamp,
    )


class Lens:
    """Turns the light at the camera of `place` into 8-bit pictures; tiles of noise, rain and snow are made once."""

    def __init__(self, place: Place, rng: np.random.Generator) -> None:
        width, height = PICTURE_SIZE
        self._place, self._rng = place, rng
        self._noise = rng.normal(0, place.noise, (_NUM_TILES, height, width, 3)).astype(np.float32)
        self._rain = np.stack([_streaks(rng) for _ in range(_NUM_TILES)])
        self._snow = np.stack([_flakes(rng) for _ in range(_NUM_TILES)])

    def expose(self, light: np.ndarray, sky: Sky) -> np.ndarray:
        """`light` (float32) as `uint8 [height, width, 3]` RGB: rain or snow, blur, colour cast, contrast and noise."""
        place, tile = self._place, int(self._rng.integers(_NUM_TILES))
        shift = int(self._rng.integers(0, PICTURE_SIZE[1])), int(self._rng.integers(0, PICTURE_SIZE[0]))
        blurred = cv2.GaussianBlur(light, (0, 0), place.blur_px) if place.blur_px > 0 else light
        falling = {"rain": self._rain, "snow": self._snow}.get(sky.weather)
        strength = 0.0 if falling is None else (0.30 if sky.weather == "rain" else 0.75)
        drops = self._rain[0] if falling is None else falling[tile]
        gain = np.array(place.cast) * place.gain * _EXPOSURE
        brightness = sum(sky.haze) / 3 + 0.25
        return _develop(blurred, drops, strength * brightness, self._noise[tile], shift, gain, place.contrast)


@njit(cache=True, fastmath=True)
def _develop(
    light: np.ndarray,
    drops: np.ndarray,
    strength: float,
    noise: np.ndarray,
    shift: tuple[int, int],
    gain: np.ndarray,
    contrast: float,
) -> np.ndarray:
    height, width = light.shape[:2]
    picture = np.empty((height, width, 3), np.uint8)
    for v in range(height):
        row = (v + shift[0]) % height
        for u in range(width):
            column = (u + shift[1]) % width
            drop = strength * drops[row, column]
            for channel in range(3):
                value = gain[channel] * (light[v, u, channel] * (1 - 0.5 * drop) + drop)
                value = 118 + contrast * (value - 118) + noise[row, column, channel]
                picture[v, u, channel] = np.uint8(min(255.0, max(0.0, value)))
    return picture


def _streaks(rng: np.random.Generator) -> np.ndarray:
    width, height = PICTURE_SIZE
    canvas = np.zeros((height, width), np.float32)
    for _ in range(260):
        u, v, length = rng.integers(-20, width), rng.integers(-20, height), rng.integers(8, 22)
        cv2.line(
            canvas,
            (int(u), int(v)),
            (int(u + length // 5), int(v + length)),
            float(rng.uniform(0.3, 0.9)),
            1,
            cv2.LINE_AA,
        )
    return cv2.GaussianBlur(canvas, (0, 0), 0.5)


def _flakes(rng: np.random.Generator) -> np.ndarray:
    width, height = PICTURE_SIZE
    canvas = np.zeros((height, width), np.float32)
    for _ in range(420):
        spot = int(rng.integers(0, width)), int(rng.integers(0, height))
        cv2.circle(canvas, spot, int(rng.integers(1, 3)), float(rng.uniform(0.4, 1.0)), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(canvas, (0, 0), 0.7)
