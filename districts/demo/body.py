"""A person's body: shapes fixed to bones (the rig, built once) and the bones' positions while walking (the pose).

Person's frame: x forward, y left, z up, origin on the ground below the hips.
"""

from dataclasses import dataclass

import numpy as np

from districts.demo import wardrobe
from districts.demo.people import Person
from districts.demo.shapes import place
from districts.demo.skeleton import (
    CHEST,
    FOOT_LEFT,
    FOOT_RIGHT,
    FOREARM_LEFT,
    FOREARM_RIGHT,
    HEAD,
    NUM_BONES,
    PELVIS,
    SHIN_LEFT,
    SHIN_RIGHT,
    THIGH_LEFT,
    THIGH_RIGHT,
    UPPER_ARM_LEFT,
    UPPER_ARM_RIGHT,
    Frame,
    frame_of,
)

_STRIDE = 0.86  # two steps, as a fraction of the height


@dataclass(frozen=True)
class Rig:
    """Shapes of a person at rest, each in the frame of its bone."""

    person: Person
    frame: Frame
    shapes: np.ndarray  # float64 [shape, NUM_COLUMNS]
    bones: np.ndarray  # int64 [shape]


def build_rig(person: Person) -> Rig:
    """Rig of the body and clothes of `person`."""
    frame = frame_of(person)
    shapes = wardrobe.dress(person, frame)
    return Rig(person, frame, shapes.array(), np.array(shapes.bones))


def stand(rig: Rig, x: float, y: float, heading: float, walked_m: float) -> np.ndarray:
    """Shapes in the world of a person at (x, y) after `walked_m`; `heading` is counter-clockwise from east, radians."""
    phase = 2 * np.pi * walked_m / (_STRIDE * rig.person.height_m * rig.person.swing)
    rotations, origins = _pose(rig, phase)
    turn = _about_z(heading)
    origins = origins @ turn.T + np.array([x, y, 0.0])
    return place(rig.shapes, (turn @ rotations)[rig.bones], origins[rig.bones])


def _pose(rig: Rig, phase: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotation `[bone, 3, 3]` and origin `[bone, 3]` of each bone in the person's frame; a foot touches the ground."""
    person, frame = rig.person, rig.frame
    rotations, origins = np.zeros((NUM_BONES, 3, 3)), np.zeros((NUM_BONES, 3))

    def attach(bone: int, parent: int, offset: tuple[float, float, float], pitch: float) -> None:
        """`pitch`: rotation about y, radians; positive leans an upright bone forward and a hanging bone backward."""
        origins[bone] = origins[parent] + rotations[parent] @ np.array(offset)
        rotations[bone] = _about_y(pitch)

    rotations[PELVIS] = np.eye(3)
    attach(CHEST, PELVIS, (0, 0, frame.waist), person.stoop)
    attach(HEAD, CHEST, (0, 0, frame.neck), 0.5 * person.stoop)
    sides = (
        (1, 0.0, UPPER_ARM_LEFT, FOREARM_LEFT, THIGH_LEFT, SHIN_LEFT, FOOT_LEFT),
        (-1, np.pi, UPPER_ARM_RIGHT, FOREARM_RIGHT, THIGH_RIGHT, SHIN_RIGHT, FOOT_RIGHT),
    )
    for side, lag, upper_arm, forearm, thigh, shin, foot in sides:
        forward, back_swing = np.sin(phase + lag), max(0.0, float(np.cos(phase + lag)))
        leg = 0.44 * person.swing * forward
        knee = 0.08 + 0.75 * person.swing * back_swing
        arm = -0.40 * person.swing * forward
        attach(upper_arm, CHEST, (0, side * frame.shoulder, frame.shoulder_height), -arm)
        attach(forearm, upper_arm, (0, 0, -frame.upper_arm), -arm - 0.35)
        attach(thigh, PELVIS, (0, side * frame.hip, 0), -leg)
        attach(shin, thigh, (0, 0, -frame.thigh), -leg + knee)
        attach(foot, shin, (0, 0, -frame.shin), 0.5 * (knee - leg))
    origins[:, 2] += frame.ankle - min(origins[FOOT_LEFT, 2], origins[FOOT_RIGHT, 2])
    return rotations, origins


def _about_y(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def _about_z(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
