"""Times of the frames of a video file, from the frames' own timestamps as far as their neighbours share them.

Clocks of cameras are set, encoders lose count, recorders write several recordings into a file. A single time that no
neighbour shares is set aside. Times that begin anew go on from the last frame. A longer step forward that the following
frames share is a pause of the recording; a step of more than an hour ends the video, because it is unknown when the
rest was taken.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from statistics import median
from typing import Generic, TypeVar

Picture = TypeVar("Picture")

PAUSE_S = 10.0  # longer steps between two frames are pauses of the recording
_LONGEST_PAUSE_S = 3600.0
_SHORTEST_STEP_S = 0.002  # shorter steps are those of a muxer that must write rising times
_USUAL_STEPS = 2.5  # a step of this many intervals needs no look at the following frames
_LONGEST_ERROR_S = 60.0  # of times that began anew and then go on as before
_LOOK_AHEAD = 16  # frames
_RECENT = 25  # steps whose median is the interval
_MPEG_WRAP_S = 2**33 / 90_000  # MPEG's timestamps have 33 bits and tick at 90 kHz


@dataclass(frozen=True)
class Stamped(Generic[Picture]):
    """A frame with the time and the duration that the file gives it, in seconds."""

    picture: Picture
    time_s: float | None
    duration_s: float | None = None


class FrameTimes:
    """Dates the frames of one file, from 0 at the first, strictly rising.

    Args:
        interval_s: between two frames, as far as the file says; used until the frames show another.
        look_ahead: number of frames that may be held to judge a time; at least 2.
    """

    def __init__(self, interval_s: float, look_ahead: int = _LOOK_AHEAD) -> None:
        self.pauses_s: list[tuple[float, float]] = []  # begin and end of each pause
        self.last_s = 0.0  # time of the last frame
        self._number = 0  # of frames that were dated
        self._nominal_s, self._look_ahead = interval_s, look_ahead
        self._steps_s: deque[float] = deque(maxlen=_RECENT)
        self._shift_s = 0.0  # a file's time minus this is our time
        self._is_anchored = False  # whether a frame has given the shift
        self._former_shift_s: float | None = None  # before the times began anew
        self._began_anew_s = 0.0
        self._last_duration_s: float | None = None
        self._is_guess = False  # whether the last time is not the file's
        self._file_s: float | None = None  # the last time that the file gave
        self._set_aside: list[int] = []  # numbers of frames
        self._undated: list[int] = []
        self._new_beginnings: list[int] = []
        self._ending_step_s: float | None = None

    @property
    def interval_s(self) -> float:
        """Usual time between two of the last frames."""
        return median(self._steps_s) if self._steps_s else self._nominal_s

    @property
    def end_s(self) -> float:
        """When the last frame ends, by its own duration or else by the usual interval."""
        if not self._number:
            return 0.0
        own_s = self._last_duration_s
        is_plausible = own_s is not None and 0 < own_s <= _USUAL_STEPS * self.interval_s
        return self.last_s + (own_s if own_s is not None and is_plausible else self.interval_s)

    @property
    def remarks(self) -> list[str]:
        """Defects of the file's times and how its frames were dated instead, as predicates of the file."""
        said = []
        if self._number > 2 and len(self._undated) >= self._number - 1:
            said.append(
                "gives its frames no times of their own; they are dated at "
                f"{1 / self.interval_s:.4g} frames a second, which may be wrong"
            )
        elif self._undated:
            said.append(f"has frames without a time of their own, dated between their neighbours: {_of(self._undated)}")
        if self._set_aside:
            said.append(
                "has frames with times that their neighbours do not share, dated between them: " + _of(self._set_aside)
            )
        if self._new_beginnings:
            places = ", ".join(str(number) for number in self._new_beginnings[:5])
            more = " and others" if len(self._new_beginnings) > 5 else ""
            said.append(
                f"has timestamps that begin anew after frame {places}{more}; the frames after it are dated as if they "
                "followed at once"
            )
        if self.pauses_s:
            total = timedelta(seconds=round(sum(end - begin for begin, end in self.pauses_s)))
            said.append(f"pauses for more than {PAUSE_S:g} s {_times(len(self.pauses_s))}, {total} in all")
        if self._ending_step_s is not None:
            step = timedelta(seconds=round(self._ending_step_s))
            said.append(
                f"has timestamps that jump ahead by {step} after frame {self._number}; the frames after it are left "
                "out, because it is unknown when they were taken: cut the file there and register the rest with its "
                "start"
            )
        return said

    def dated(self, frames: Iterable[Stamped[Picture]]) -> Iterator[tuple[Picture, float]]:
        """The frames with their times; ends before a step of more than an hour that the following frames share."""
        coming = _Coming(iter(frames))
        for frame in coming:
            time_s = self._time_of(frame, coming)
            if time_s is None:
                return
            self._number += 1
            self.last_s, self._last_duration_s = time_s, frame.duration_s
            self._file_s = self._file_s if frame.time_s is None else frame.time_s
            yield frame.picture, time_s

    def _time_of(self, frame: Stamped[Picture], coming: "_Coming[Picture]") -> float | None:
        """Time of the next frame; None if the video ends before it."""
        if frame.time_s is None:
            return self._guess(self._undated, coming)
        if not self._is_anchored:
            time_s = self.last_s + self.interval_s if self._number else 0.0
            self._shift_s, self._is_anchored, self._is_guess = frame.time_s - time_s, True, False
            return time_s
        step_s = frame.time_s - self._shift_s - self.last_s
        if self._file_s is not None and abs(frame.time_s - self._file_s) < _SHORTEST_STEP_S:  # time stands still
            return self._guess(self._undated, coming, self.last_s + step_s if step_s > 0 else float("inf"))
        if 0 < step_s + _MPEG_WRAP_S <= _LONGEST_PAUSE_S:
            self._shift_s -= _MPEG_WRAP_S
            step_s += _MPEG_WRAP_S
        if _SHORTEST_STEP_S <= step_s <= _USUAL_STEPS * self.interval_s:
            return self._take(step_s)
        if step_s < _SHORTEST_STEP_S:
            return self._behind(frame.time_s, step_s, coming)
        return self._ahead(frame.time_s, step_s, coming)

    def _ahead(self, file_s: float, step_s: float, coming: "_Coming[Picture]") -> float | None:
        if self._former_shift_s is not None and self.last_s - self._began_anew_s <= _LONGEST_ERROR_S:
            former_step_s = file_s - self._former_shift_s - self.last_s
            if _SHORTEST_STEP_S <= former_step_s <= PAUSE_S:  # the times are right again
                self._shift_s, self._former_shift_s = self._former_shift_s, None
                return self._take(former_step_s)
        time_s = self.last_s + step_s
        following_s = self._step_after(file_s, coming)
        most_s = PAUSE_S if step_s > _LONGEST_PAUSE_S else max(PAUSE_S, 2 * step_s)
        goes_on = following_s is not None and _SHORTEST_STEP_S <= following_s <= most_s
        is_last_of_short = following_s is None and step_s <= PAUSE_S
        if self._return_in(coming, time_s) is not None or not (goes_on or is_last_of_short):
            return self._guess(self._set_aside, coming, time_s)
        if step_s <= PAUSE_S:
            return self._take(step_s)
        if step_s <= _LONGEST_PAUSE_S:
            self.pauses_s.append((self.last_s, self.last_s + step_s))
            return self._take(step_s)
        if self._number < self._look_ahead:  # too few frames to call the file's beginning right
            return self._begin_anew(file_s)
        self._ending_step_s = step_s
        return None

    def _behind(self, file_s: float, step_s: float, coming: "_Coming[Picture]") -> float:
        following_s = self._step_after(file_s, coming)
        goes_on = following_s is not None and _SHORTEST_STEP_S <= following_s <= PAUSE_S
        if not goes_on or self._returns_after(file_s, coming):
            return self._guess(self._set_aside, coming)
        if self._is_guess and step_s > -PAUSE_S:  # the guesses went a little too far
            return self.last_s + _SHORTEST_STEP_S
        return self._begin_anew(file_s)

    def _take(self, step_s: float) -> float:
        if not self._is_guess:
            self._steps_s.append(step_s)
        self._is_guess = False
        return self.last_s + step_s

    def _begin_anew(self, file_s: float) -> float:
        self._new_beginnings.append(self._number)
        self._former_shift_s, self._began_anew_s = self._shift_s, self.last_s
        self._shift_s = file_s - self.last_s - self.interval_s
        self._is_guess = False
        return self.last_s + self.interval_s

    def _guess(self, why: list[int], coming: "_Coming[Picture]", before_s: float = float("inf")) -> float:
        """Time of a frame whose own is no use: evenly between its neighbours, or one interval after the last."""
        why.append(self._number + 1)
        self._is_guess = True
        if not self._number:
            return 0.0
        following = self._return_in(coming, before_s)
        if following is None:
            return self.last_s + self.interval_s
        between, time_s = following
        return self.last_s + (time_s - self.last_s) / (between + 1)

    def _return_in(self, coming: "_Coming[Picture]", before_s: float) -> tuple[int, float] | None:
        """Place among the following frames, from 1, and our time of the first that goes on from the last frame.

        Args:
            coming: the following frames.
            before_s: only times before this count.
        """
        for place, frame in enumerate(coming.peek(self._look_ahead), start=1):
            if frame.time_s is None or not self._is_anchored:
                continue
            time_s = frame.time_s - self._shift_s
            reach_s = max(PAUSE_S, _USUAL_STEPS * self.interval_s * (place + 1))
            if _SHORTEST_STEP_S < time_s - self.last_s <= reach_s and time_s < before_s:
                return place, time_s
        return None

    def _returns_after(self, file_s: float, coming: "_Coming[Picture]") -> bool:
        """Whether the first frame that does not go on from `frame` or its followers goes on from the last frame."""
        last_s = file_s
        for place, other in enumerate(coming.peek(self._look_ahead), start=1):
            if other.time_s is None:
                continue
            if other.time_s - last_s > _USUAL_STEPS * self.interval_s:
                step_s = other.time_s - self._shift_s - self.last_s
                return 0 < step_s <= max(PAUSE_S, _USUAL_STEPS * self.interval_s * (place + 1))
            last_s = other.time_s
        return False

    @staticmethod
    def _step_after(file_s: float, coming: "_Coming[Picture]") -> float | None:
        """From `file_s` to the next frame with a time; None if there is none."""
        following = next((other.time_s for other in coming.peek(3) if other.time_s is not None), None)
        return None if following is None else following - file_s


class _Coming(Generic[Picture]):
    """The frames that come, which can be looked at before they are taken."""

    def __init__(self, frames: Iterator[Stamped[Picture]]) -> None:
        self._frames = frames
        self._held: deque[Stamped[Picture]] = deque()

    def __iter__(self) -> Iterator[Stamped[Picture]]:
        while self._held or self.peek(1):
            yield self._held.popleft()

    def peek(self, number: int) -> list[Stamped[Picture]]:
        """The next frames, fewer than `number` at the end."""
        self._held.extend(islice(self._frames, max(0, number - len(self._held))))
        return list(islice(self._held, number))


def _of(numbers: list[int]) -> str:
    return f"{len(numbers)}, from frame {numbers[0]} on" if len(numbers) > 1 else f"frame {numbers[0]}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
