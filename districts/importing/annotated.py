"""What the readers of foreign formats return: annotated pictures, recordings with tracks, and crops of people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from districts.layout import ReidPart, Split

Fractions = tuple[float, float, float, float]  # left, top, right, bottom as fractions of the picture's width and height
Footage = Path | tuple[Path, ...]  # a video, or its frames as pictures in order
NO_ATTRIBUTES: Mapping[str, str] = {}


class Box(NamedTuple):
    """A box in a picture."""

    label: str  # class, as the source names it
    xyxy: Fractions
    attributes: Mapping[str, str] = NO_ATTRIBUTES  # as the source names them


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with all its boxes."""

    file: Path
    boxes: tuple[Box, ...]
    split: Split | None = None  # where the source has splits
    size: tuple[int, int] | None = None  # width and height in pixels that the annotation states


class TrackBox(NamedTuple):
    """A box of a track in one frame."""

    frame: int  # from 1
    track: int
    label: str
    xyxy: Fractions
    is_counted: bool = True  # otherwise neither right nor wrong, as MOTChallenge marks it
    attributes: Mapping[str, str] = NO_ATTRIBUTES


@dataclass(frozen=True)
class Recording:
    """Footage of one camera with its tracks."""

    camera: str
    footage: Footage
    boxes: Sequence[TrackBox]
    fps: float | None = None  # None: the video's own
    annotated: range | None = None  # annotated frames; None: all from the first box to the last


@dataclass(frozen=True, slots=True)
class Crop:
    """A picture of one person."""

    file: Path
    identity: int | None = None  # -1 junk, 0 distractor; None: unknown, maybe nobody else's
    camera: str = ""  # empty: unknown
    part: ReidPart | None = None  # where the source has parts
    sequence: int = 1
    frame: int | None = None
    time_s: float | None = None  # on one clock
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Annotated:
    """Content of a source in a foreign format."""

    pictures: Sequence[Picture] = ()
    recordings: Sequence[Recording] = ()
    crops: Sequence[Crop] = ()
    notes: Sequence[str] = field(default_factory=list)  # what the reader guessed or left out
