"""A person's verdict on a sighting."""

from enum import StrEnum, auto


class Verdict(StrEnum):
    """A person's verdict on a sighting."""

    CONFIRMED = auto()
    REJECTED = auto()
    NONE = auto()  # taken back
