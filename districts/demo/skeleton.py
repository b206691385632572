"""Bones of the body and their measures in metres."""

from dataclasses import dataclass

from districts.demo.people import Person

(
    PELVIS,
    CHEST,
    HEAD,
    UPPER_ARM_LEFT,
    FOREARM_LEFT,
    UPPER_ARM_RIGHT,
    FOREARM_RIGHT,
    THIGH_LEFT,
    SHIN_LEFT,
    FOOT_LEFT,
    THIGH_RIGHT,
    SHIN_RIGHT,
    FOOT_RIGHT,
) = range(13)
NUM_BONES = 13


@dataclass(frozen=True)
class Frame:
    """Lengths of the bones and widths of the trunk, metres."""

    height: float
    waist: float  # height of the chest's lower end above the hips
    neck: float  # above the waist
    shoulder: float  # half the width
    shoulder_height: float  # above the waist
    upper_arm: float
    forearm: float
    hip: float  # half the distance between the legs
    thigh: float
    shin: float
    ankle: float  # above the ground
    head: float  # radius
    chest_width: float  # half
    waist_width: float
    hips_width: float


def frame_of(person: Person) -> Frame:
    """Measures by height, gender and age: children have large heads and short legs, men wide shoulders."""
    height, build = person.height_m, person.build
    child, male = person.labels["age"] == "child", person.labels["gender"] == "male"
    leg = 0.435 if child else 0.48 + 0.15 * (height - 1.65)  # tall people have longer legs
    head = 0.086 if child else 0.068
    trunk = 1 - leg - 0.04 - 2.15 * head - 0.03  # from hips to neck
    return Frame(
        height=height,
        waist=0.02 * height,
        neck=trunk * height,
        shoulder=(0.130 if male else 0.100) * height * build,
        shoulder_height=(trunk - 0.035) * height,
        upper_arm=0.165 * height,
        forearm=0.15 * height,
        hip=0.05 * height,
        thigh=0.51 * leg * height,
        shin=0.49 * leg * height,
        ankle=0.04 * height,
        head=head * height,
        chest_width=(0.114 if male else 0.092) * height * build,
        waist_width=(0.094 if male else 0.072) * height * build,
        hips_width=(0.088 if male else 0.106) * height * build,
    )
