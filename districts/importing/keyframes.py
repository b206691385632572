"""Boxes between the keyframes of a track, for formats that write keyframes only."""

from collections.abc import Iterator, Sequence

from districts.importing.annotated import Fractions, TrackBox
from domain.errors import InputError

_LONGEST = 100_000  # frames between two keyframes: an hour at 25 a second


def between_keyframes(keyframes: Sequence[tuple[TrackBox, bool]], step: int, place: object) -> Iterator[TrackBox]:
    """The boxes of one track, with linear interpolation for each `step` frames after keyframes in which it is visible.

    Args:
        keyframes: in order of frames, each with whether the track is visible from there on.
        step: frames from one annotated frame to the next.
        place: for messages.

    Raises:
        InputError: if frames do not rise, or a gap between keyframes is too long.
    """
    for place_in_track, (box, is_visible) in enumerate(keyframes):
        if is_visible:
            yield box
        if place_in_track + 1 == len(keyframes):
            return
        after = keyframes[place_in_track + 1][0]
        if not 0 < after.frame - box.frame <= _LONGEST:
            raise InputError(
                f"{place}: track {box.track} must have frames that rise by at most {_LONGEST}, got {box.frame} and "
                f"then {after.frame}"
            )
        for frame in range(box.frame + step, after.frame, step) if is_visible else ():
            yield box._replace(frame=frame, xyxy=_between(box, after, (frame - box.frame) / (after.frame - box.frame)))


def _between(box: TrackBox, after: TrackBox, share: float) -> Fractions:
    left, top, right, bottom = (begin + share * (end - begin) for begin, end in zip(box.xyxy, after.xyxy, strict=True))
    return left, top, right, bottom
