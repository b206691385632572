"""The three sessions, one per split: time of filming, light and walks."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from districts.demo.people import Person, draw_people
from districts.demo.settings import DemoSettings, SessionSettings
from districts.demo.streets import StreetPlan, street_plan
from districts.demo.walks import Walk, plan_passings, plan_walks
from districts.demo.weather import Sky, blend, sky_of
from districts.layout import Split
from domain.schemas import read_schema

SCHEMA = "suseong"
TIME_ZONE = "Asia/Seoul"
SPLITS: tuple[Split, ...] = ("train", "val", "test")
_BLEND_S = 4.0  # duration of a change of light
# A take is filmed without a break; the train and val recordings join several takes. Each take: its fraction of the
# session, and its skies (fraction of the take at which the sky begins, time, weather).
_TAKES = {
    "train": (
        (0.26, ((0.0, "day", "clear"), (0.5, "day", "cloudy"))),
        (0.12, ((0.0, "sunrise", "fog"), (0.5, "sunrise", "clear"))),
        (0.24, ((0.0, "sunset", "clear"), (0.5, "sunset", "cloudy"))),
        (0.26, ((0.0, "day", "rain"), (0.4, "night", "rain"))),
        (0.12, ((0.0, "night", "snow"), (0.5, "day", "snow"))),
    ),
    "val": (
        (0.5, ((0.0, "day", "cloudy"), (0.5, "day", "rain"))),
        (0.5, ((0.0, "sunset", "clear"), (0.5, "night", "clear"))),
    ),
    "test": (
        (1.0, ((0.0, "day", "clear"), (0.25, "day", "cloudy"), (0.5, "sunset", "clear"), (0.75, "night", "rain"))),
    ),
}
_TAKE_EVERY = timedelta(hours=1)  # from the end of a take to the begin of the next
_STARTS = {"train": datetime(2026, 4, 14, 9), "val": datetime(2026, 4, 21, 15), "test": datetime(2026, 5, 12, 18, 40)}


@dataclass(frozen=True)
class Session:
    """The scene that all cameras of one session film."""

    split: Split
    settings: SessionSettings
    plan: StreetPlan
    people: list[Person]
    walks: list[Walk]
    seed: tuple[int, int]

    @property
    def num_frames(self) -> int:
        """Number of frames of each camera."""
        return round(self.settings.duration_s * self.settings.fps)

    def is_passer_by(self, identity: int) -> bool:
        """Whether the person crosses a single camera's picture, so that re-identification is impossible."""
        return identity >= self.people[0].identity + self.settings.num_people

    def moment(self, frame: int) -> tuple[int, float]:
        """Index of the take, and time within it in seconds, of a frame counted from 1."""
        if not 1 <= frame <= self.num_frames:
            raise IndexError(f"a frame of the session must be within 1..{self.num_frames}, got {frame}")
        time_s = (frame - 1) / self.settings.fps
        ends = np.cumsum(take_seconds(self.split, self.settings))
        take = min(int(np.searchsorted(ends, time_s, side="right")), len(ends) - 1)
        return take, time_s - (float(ends[take - 1]) if take else 0.0)

    def time_of(self, frame: int) -> datetime:
        """When the frame was filmed, by the clock of all cameras."""
        take, _ = self.moment(frame)
        return start_of(self.split) + take * _TAKE_EVERY + timedelta(seconds=(frame - 1) / self.settings.fps)

    def sky(self, frame: int) -> tuple[Sky, Sky, float]:
        """Two skies to blend at the frame, and the share of the second in 0..1."""
        take, time_s = self.moment(frame)
        share, skies = _TAKES[self.split][take]
        seconds = share * self.settings.duration_s
        now = sky_of(*skies[0][1:])
        for start, time, weather in skies[1:]:
            following = sky_of(time, weather)
            change = (time_s - start * seconds) / _BLEND_S + 0.5
            if change <= 0:
                break
            if change < 1:
                return now, following, change
            now = following
        return now, now, 0.0

    def labels(self, frame: int) -> dict[str, str]:
        """Labels of the groups `time` and `weather` at the frame."""
        sky = blend(*self.sky(frame))
        return {"time": sky.time, "weather": sky.weather}


def take_seconds(split: Split, settings: SessionSettings) -> list[float]:
    """Duration of each take of the session in seconds."""
    return [share * settings.duration_s for share, _ in _TAKES[split]]


def plan_session(split: Split, settings: DemoSettings) -> Session:
    """The session of `split`: its people and their walks, drawn from the seed."""
    session, plan = settings.session(split), street_plan(settings.num_cameras)
    seed = (settings.seed, SPLITS.index(split))
    rng = np.random.default_rng([*seed, 0])
    seconds = take_seconds(split, session)
    residents = draw_people(settings.first_identity(split), session.num_people, read_schema(SCHEMA), rng)
    walks = plan_walks(plan, residents, seconds, rng)
    passers_by = draw_people(settings.first_passer_by(split), session.num_passers_by, read_schema(SCHEMA), rng)
    people = residents + passers_by
    walks += plan_passings(plan, people, len(residents), seconds, rng)
    return Session(split, session, plan, people, walks, seed)


def start_of(split: Split) -> datetime:
    """Start of filming in the session of `split`, the same for all cameras."""
    return _STARTS[split].replace(tzinfo=ZoneInfo(TIME_ZONE))
