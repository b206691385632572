"""Constant-velocity Kalman filter over all boxes of a camera at once; times in seconds, so any frame rate works.

The state of a box is centre x, centre y, width, height, each with a velocity. All noise is independent per coordinate,
so the usual 8 × 8 covariance splits into four of 2 × 2 and every step is arithmetic on `[track, 4]` arrays. The unit of
noise is the height of the box, because a person is about 1.7 m high at any distance from the camera.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Real

from domain.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh

_MEASUREMENT_STD = np.array([0.05, 0.05, 0.08, 0.05])  # jitter of the detector, heights
_START_VELOCITY_STD = np.array([0.8, 0.5, 0.1, 0.1])  # heights per second; walking is about 0.8
_ACCELERATION_STD = np.array([0.6, 0.4, 0.1, 0.1])  # heights per second^1.5: white noise on the velocity
_MIN_HEIGHT_PX = 1.0


@dataclass(frozen=True)
class Motion:
    """State of tracks over centre x, centre y, width, height in pixels."""

    position: Float64[np.ndarray, "track 4"]
    velocity: Float64[np.ndarray, "track 4"]  # pixels per second
    position_var: Float64[np.ndarray, "track 4"]
    covariance: Float64[np.ndarray, "track 4"]  # between position and velocity
    velocity_var: Float64[np.ndarray, "track 4"]

    def __len__(self) -> int:
        """Number of tracks."""
        return len(self.position)

    @property
    def boxes_xyxy(self) -> Float64[np.ndarray, "track 4"]:
        """Boxes in pixels."""
        return cxcywh_to_xyxy(self.position)

    def __getitem__(self, tracks: Int[np.ndarray, " selected"] | Bool[np.ndarray, " track"]) -> "Motion":
        """The tracks at these indices or under this mask."""
        return Motion(*(array[tracks] for array in self._arrays()))

    def joined(self, other: "Motion") -> "Motion":
        """The tracks of both, with those of `other` last."""
        return Motion(
            *(np.concatenate([mine, theirs]) for mine, theirs in zip(self._arrays(), other._arrays(), strict=True))
        )

    def replaced(self, tracks: Int[np.ndarray, " selected"], by: "Motion") -> "Motion":
        """A copy in which the tracks at these indices have the state `by`."""
        arrays = [array.copy() for array in self._arrays()]
        for array, new in zip(arrays, by._arrays(), strict=True):
            array[tracks] = new
        return Motion(*arrays)

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return self.position, self.velocity, self.position_var, self.covariance, self.velocity_var


def start(boxes_xyxy: Real[np.ndarray, "track 4"]) -> Motion:
    """State of newly observed boxes: at rest, with the velocity variance of walking people."""
    position = _measured(boxes_xyxy)
    height = _height(position)
    return Motion(
        position=position,
        velocity=np.zeros_like(position),
        position_var=(_MEASUREMENT_STD * height) ** 2,
        covariance=np.zeros_like(position),
        velocity_var=(_START_VELOCITY_STD * height) ** 2,
    )


def predict(motion: Motion, seconds: Float[np.ndarray, " track"] | float) -> Motion:
    """State after `seconds`, with the variance grown; sizes stay positive."""
    dt = np.broadcast_to(np.asarray(seconds, np.float64), (len(motion),))[:, None]
    position = motion.position + dt * motion.velocity
    position[:, 2:] = np.maximum(position[:, 2:], _MIN_HEIGHT_PX)
    noise = (_ACCELERATION_STD * _height(motion.position)) ** 2
    return Motion(
        position=position,
        velocity=motion.velocity,
        position_var=motion.position_var + dt * (2 * motion.covariance + dt * motion.velocity_var) + noise * dt**3 / 3,
        covariance=motion.covariance + dt * motion.velocity_var + noise * dt**2 / 2,
        velocity_var=motion.velocity_var + noise * dt,
    )


def correct(motion: Motion, boxes_xyxy: Real[np.ndarray, "track 4"], scores: Float[np.ndarray, " track"]) -> Motion:
    """State after observing one box of each track; a lower score means more measurement noise.

    Source: the Kalman update; noise is scaled by `2 - score`, similar to Du et al. 2021 (GIAOTracker, NSA Kalman).
    """
    measured = _measured(boxes_xyxy)
    noise_scale = (2 - np.clip(np.asarray(scores, np.float64), 0, 1))[:, None]
    measurement_var = (_MEASUREMENT_STD * _height(measured) * noise_scale) ** 2
    total = motion.position_var + measurement_var
    gain, velocity_gain = motion.position_var / total, motion.covariance / total
    innovation = measured - motion.position
    return Motion(
        position=motion.position + gain * innovation,
        velocity=motion.velocity + velocity_gain * innovation,
        position_var=(1 - gain) * motion.position_var,
        covariance=(1 - gain) * motion.covariance,
        velocity_var=motion.velocity_var - velocity_gain * motion.covariance,
    )


def deviations(motion: Motion, boxes_xyxy: Real[np.ndarray, "box 4"]) -> Float64[np.ndarray, "track box"]:
    """Mahalanobis distance of each box from each track over centre and height.

    Width is left out because it changes with the stride of a walking person.
    """
    measured = _measured(boxes_xyxy)
    measurement_var = (_MEASUREMENT_STD * _height(motion.position)) ** 2
    total = (motion.position_var + measurement_var)[:, None]
    squared = (measured[None] - motion.position[:, None]) ** 2 / total
    return np.sqrt(squared[:, :, [0, 1, 3]].sum(axis=2))


def _measured(boxes_xyxy: Real[np.ndarray, "box 4"]) -> Float64[np.ndarray, "box 4"]:
    return xyxy_to_cxcywh(np.asarray(boxes_xyxy, np.float64))


def _height(boxes_cxcywh: Float64[np.ndarray, "box 4"]) -> Float64[np.ndarray, "box 1"]:
    return np.maximum(boxes_cxcywh[:, 3:4], _MIN_HEIGHT_PX)
