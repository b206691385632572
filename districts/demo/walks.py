"""Walks of the people: routes over the street plan at walking speed."""

from dataclasses import dataclass

import numpy as np

from districts.demo.people import Person
from districts.demo.streets import StreetPlan

_STEP_M = 0.25  # distance between the points of a path
_AGAIN_SHARE = 0.08  # fraction of people who also walk in another take
_GROUP_SHARE = 0.25  # fraction of routes walked in pairs
_CROSSING_S = 16.0  # approximate time to pass a camera
_ROUNDING_STEPS = 9  # points of a rounded corner
_HEAD_START_S = 20.0  # walks may begin this long before the take


@dataclass(frozen=True)
class Walk:
    """A person's path through the plan within one take."""

    person: int  # index into the session's people
    take: int
    start_s: float  # within the take
    speed_m_s: float
    points: np.ndarray  # float64 [point, 2], _STEP_M apart
    headings: np.ndarray  # float64 [point], unwrapped

    def position(self, time_s: float) -> tuple[float, float, float, float] | None:
        """x, y, heading and walked metres at a time of the take; None before the start and after the end."""
        walked = (time_s - self.start_s) * self.speed_m_s
        place = walked / _STEP_M
        if place < 0 or place >= len(self.points) - 1:
            return None
        low, share = int(place), place - int(place)
        x, y = (1 - share) * self.points[low] + share * self.points[low + 1]
        return float(x), float(y), float((1 - share) * self.headings[low] + share * self.headings[low + 1]), walked


def plan_walks(
    plan: StreetPlan,
    people: list[Person],
    take_seconds: list[float],
    rng: np.random.Generator,
) -> list[Walk]:
    """Walks of `people` in the takes of a session; each walks in at least one take, some with a companion."""
    walks = []
    for take, seconds in enumerate(take_seconds):
        present = [i for i in range(len(people)) if i % len(take_seconds) == take or rng.random() < _AGAIN_SHARE]
        waiting = [int(i) for i in rng.permutation(present)]
        while waiting:
            party = [waiting.pop()]
            if waiting and rng.random() < _GROUP_SHARE:
                party.append(waiting.pop())
            speed = min(people[i].speed_m_s for i in party)
            start = float(rng.uniform(-_HEAD_START_S, 0.3 * seconds))
            corners = _route(plan, speed * (seconds - start), rng)
            lane = float(rng.uniform(0.15, 1.25))
            for rank, person in enumerate(party):
                points, headings = _path(corners, lane - 0.62 * rank)
                late = 0.5 * rank * float(rng.uniform(0, 1))
                walks.append(Walk(person, take, start + late, speed, points, headings))
    return walks


def plan_passings(
    plan: StreetPlan,
    people: list[Person],
    first: int,
    take_seconds: list[float],
    rng: np.random.Generator,
) -> list[Walk]:
    """A walk past one camera for each of `people` from index `first`, spread evenly over the session."""
    ends = np.cumsum(take_seconds)
    walks = []
    for person in range(first, len(people)):
        time_s = float(rng.uniform(0, ends[-1]))
        take = int(np.searchsorted(ends, time_s, side="right"))
        start = time_s - float(ends[take] - take_seconds[take]) - _CROSSING_S / 2
        points, headings = _path(_route(plan, 0.0, rng), float(rng.uniform(0.15, 1.25)))
        walks.append(Walk(person, take, start, people[person].speed_m_s, points, headings))
    return walks


def _route(plan: StreetPlan, length_m: float, rng: np.random.Generator) -> np.ndarray:
    """Corners of a route of about `length_m` at most that never turns back, float64 [corner, 2]."""
    now = int(rng.integers(len(plan.places)))
    gates = plan.gates(now)
    corners = [gates[rng.integers(len(gates))], plan.places[now].junction]
    walked = float(np.hypot(*np.subtract(corners[1], corners[0])))
    before = next((other for other in plan.neighbours(now) if plan.halfway(now, other) == corners[0]), None)
    while True:
        onward = [other for other in plan.neighbours(now) if other != before]
        if not onward or walked > length_m:
            leaving = [
                gate for gate in plan.gates(now) if gate != corners[0] and not _leads_to(plan, now, before, gate)
            ]
            corners.append(leaving[rng.integers(len(leaving))])
            return np.array(corners)
        before, now = now, int(rng.choice(onward))
        corners.append(plan.places[now].junction)
        walked += float(np.hypot(*np.subtract(corners[-1], corners[-2])))


def _leads_to(plan: StreetPlan, junction: int, neighbour: int | None, gate: tuple[float, float]) -> bool:
    return neighbour is not None and plan.halfway(junction, neighbour) == gate


def _path(corners: np.ndarray, lane_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced points along rounded `corners`, `lane_m` to the right, and the heading at each point."""
    smooth = [corners[0]]
    for before, corner, after in zip(corners[:-2], corners[1:-1], corners[2:], strict=True):
        start = corner + _towards(corner, before) * 2.2
        end = corner + _towards(corner, after) * 2.2
        smooth.extend(
            (1 - share) ** 2 * start + 2 * share * (1 - share) * corner + share**2 * end
            for share in np.linspace(0, 1, _ROUNDING_STEPS)
        )
    points = _evenly(np.array([*smooth, corners[-1]]))
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    points = _evenly(points + lane_m * np.stack([along[:, 1], -along[:, 0]], axis=1))
    along = np.gradient(points, axis=0)
    return points, np.unwrap(np.arctan2(along[:, 1], along[:, 0]))


def _towards(point: np.ndarray, other: np.ndarray) -> np.ndarray:
    way = other - point
    return way / np.linalg.norm(way)


def _evenly(points: np.ndarray) -> np.ndarray:
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    places = np.arange(0, lengths[-1], _STEP_M)
    return np.stack([np.interp(places, lengths, points[:, axis]) for axis in range(2)], axis=1)
