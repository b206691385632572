"""Routes with and without walking times, for simulated people in simulated streets, as JSON.

    python -m benchmarks.routes
    python -m benchmarks.routes --streets demo --seeds 100 101 102 --set wandering_share=0.7 min_probability=0.3

Method: in a *city*, people walk for an hour through a square grid of streets from goal to goal, each with a speed and
pauses; cameras at some junctions see the people who pass, each with its own clock error and an outage. In the *demo*
they walk as in the test videos of the demo district. Cameras miss some people. The similarity of a sighting to the
searched person is drawn from two normal distributions, so its match probability is calibrated; a stranger is a
look-alike, or not, in all sightings. Nothing is drawn from the model of `serving.matching.walking`.

For each person with at least three sightings, the likeliest route among the likeliest candidates is computed: by
appearance alone, and with one sighting confirmed. *Without weight* is the earlier rule of this project:
`wandering_share=1`, exact clocks and views, and no stop that is less likely than not. Recall counts all sightings of
the person, also those that are not candidates; a confirmed sighting counts neither in precision nor in recall.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from districts.demo.sessions import plan_session, take_seconds
from districts.demo.settings import DemoSettings
from domain.cameras import Sighting
from domain.settings import PARAMS
from evaluation.multi_camera.routes import order_agreement
from serving.matching.route import RouteSettings, likeliest_routes

_START = datetime(2026, 5, 1, 8, tzinfo=UTC)
_METRES_PER_DEGREE = 111_195.08
_GRID, _STREET_M = 7, 110.0
_CAMERAS, _SIGHT_M, _SEEN_SHARE = 16, 12.0, 0.8  # share of the people who pass
_CLOCK_S, _OUTAGE_S = 1.0, 400.0  # standard deviation of clocks; one outage for each camera
_PEOPLE, _QUERIED, _CANDIDATES = 160, 40, 200
_LASTS_S = 3600.0
_SPEED_M_S, _SPEED_SD_M_S = 1.34, 0.26  # Weidmann 1993
_STOP_SHARE, _STOP_S = 0.15, 60.0  # at a junction
_STAY_S = 500.0  # at a goal, on average
_LOOK_SHARE = 0.5  # share of strangers' variance between people; the rest is between sightings
_DEMO = Path(__file__).resolve().parent.parent / "conf" / "district" / "demo.yaml"
_DEMO_SIGHT_M, _DEMO_SEEN_SHARE, _MOMENT_S = 7.0, 0.85, 0.2  # of a junction
_BEFORE = {"wandering_share": 1.0, "view_m": 1e-6, "clock_tolerance_s": 0.0, "min_probability": 0.5}
_MEASURES = ("precision", "recall", "order")


@dataclass(frozen=True)
class Passing:
    """Tracklet with the person that it shows."""

    person: int
    camera: int
    first_s: float
    last_s: float


def pass_city_cameras(seed: int) -> tuple[list[Passing], np.ndarray]:
    """What the cameras of a city see in an hour, and the positions of the cameras in metres, `[camera, 2]`."""
    rng = np.random.default_rng((seed, 0))
    junctions = rng.choice(_GRID * _GRID, _CAMERAS, replace=False)
    places = np.stack([junctions % _GRID, junctions // _GRID], axis=1)
    offsets_m = rng.uniform(-15, 15, places.shape)
    camera_at = {(int(x), int(y)): number for number, (x, y) in enumerate(places)}
    clock_s, outage_s = rng.normal(0, _CLOCK_S, _CAMERAS), rng.uniform(0, _LASTS_S, _CAMERAS)
    passings = []
    for person in range(_PEOPLE):
        speed = max(0.6, rng.normal(_SPEED_M_S, _SPEED_SD_M_S))
        for junction, come_s, leave_s in _walk(speed, rng):
            camera = camera_at.get(junction)
            if camera is None or rng.random() > _SEEN_SHARE or 0 <= come_s - outage_s[camera] <= _OUTAGE_S:
                continue
            first_s, last_s = come_s - _SIGHT_M / speed, leave_s + _SIGHT_M / speed
            passings.append(Passing(person, camera, first_s + clock_s[camera], last_s + clock_s[camera]))
    return passings, places * _STREET_M + offsets_m


def _walk(speed_m_s: float, rng: np.random.Generator) -> Iterator[tuple[tuple[int, int], float, float]]:
    """Junctions that one person passes until the hour ends, with arrival and departure times."""
    now_s = float(rng.uniform(0, 0.5 * _LASTS_S))
    here, goal = _any_junction(rng), _any_junction(rng)
    while now_s < _LASTS_S:
        arrived = here == goal
        stops_s = rng.exponential(_STAY_S) if arrived else rng.exponential(_STOP_S) * (rng.random() < _STOP_SHARE)
        yield here, now_s, now_s + stops_s
        if arrived:
            goal = _any_junction(rng)
        now_s += stops_s + _STREET_M / speed_m_s
        axis = int(rng.integers(2)) if here[0] != goal[0] and here[1] != goal[1] else int(here[0] == goal[0])
        step = int(np.sign(goal[axis] - here[axis]))
        here = (here[0] + step, here[1]) if axis == 0 else (here[0], here[1] + step)


def pass_demo_cameras(seed: int) -> tuple[list[Passing], np.ndarray]:
    """What the cameras of the demo district see in its test, and their positions in metres, `[camera, 2]`."""
    rng = np.random.default_rng((seed, 0))
    values = yaml.safe_load(_DEMO.read_text(encoding="utf-8"))["demo"]
    session = plan_session("test", DemoSettings.model_validate(values | {"seed": seed}))
    takes_s = take_seconds("test", session.settings)
    passings = []
    for walk in session.walks:
        times_s = np.arange(0, takes_s[walk.take], _MOMENT_S)
        positions = np.array([(walk.position(time_s) or (np.inf, np.inf))[:2] for time_s in times_s])
        for camera, place in enumerate(session.plan.places):
            moments = np.flatnonzero(np.hypot(*(positions - place.junction).T) <= _DEMO_SIGHT_M)
            for visit in np.split(moments, np.flatnonzero(np.diff(moments) > 1) + 1):
                if len(visit) and rng.random() < _DEMO_SEEN_SHARE:
                    first_s, last_s = sum(takes_s[: walk.take]) + times_s[visit[[0, -1]]]
                    passings.append(Passing(walk.person, camera, float(first_s), float(last_s)))
    return passings, np.array([place.at(0, 0) for place in session.plan.places])


def _any_junction(rng: np.random.Generator) -> tuple[int, int]:
    x, y = rng.integers(0, _GRID, 2)
    return int(x), int(y)


def sightings_of(
    person: int, passings: Sequence[Passing], places_m: np.ndarray, apart: float, rng: np.random.Generator
) -> list[Sighting]:
    """All passings as candidates for `person`, with calibrated match probabilities; `apart`: see the option."""
    shown = np.array([one.person for one in passings])
    is_person = shown == person
    look_alike, of_sighting = rng.normal(size=shown.max() + 1)[shown], rng.normal(size=len(shown))
    of_stranger = np.sqrt(_LOOK_SHARE) * look_alike + np.sqrt(1 - _LOOK_SHARE) * of_sighting
    similarity = np.where(is_person, apart + rng.normal(size=len(shown)), of_stranger)
    share = is_person.mean()
    log_odds = apart * similarity - apart**2 / 2 + np.log(share / (1 - share))
    return [
        Sighting(
            district="made",
            tracklet_id=number,
            camera_id=f"c{one.camera}",
            first_seen=_START + timedelta(seconds=one.first_s),
            last_seen=_START + timedelta(seconds=one.last_s),
            latitude=float(places_m[one.camera, 1]) / _METRES_PER_DEGREE,
            longitude=float(places_m[one.camera, 0]) / _METRES_PER_DEGREE,
            distance=0.0,
            match_probability=float(1 / (1 + np.exp(-log_odds[number]))),
            crop="",
        )
        for number, one in enumerate(passings)
    ]


def score_streets(
    streets: str, seed: int, rules: dict[str, RouteSettings], apart: float
) -> dict[str, dict[str, list[float]]]:
    """Measures of each rule, by appearance alone and with a confirmed sighting, for each queried person."""
    rng = np.random.default_rng((seed, 1))
    passings, places_m = pass_city_cameras(seed) if streets == "city" else pass_demo_cameras(seed)
    shown = np.array([one.person for one in passings])
    often = np.flatnonzero(np.bincount(shown) >= 3)
    measured: dict[str, dict[str, list[float]]] = {}
    for person in rng.permutation(often)[:_QUERIED]:
        sightings = sightings_of(int(person), passings, places_m, apart, rng)
        candidates = sorted(sightings, key=lambda one: -one.match_probability)[:_CANDIDATES]
        truth = [sightings[number] for number in np.flatnonzero(shown == person)]
        known = truth[int(rng.integers(len(truth)))].model_copy(update={"match_probability": 1.0})
        for name, settings in rules.items():
            for given, confirmed in (("appearance alone", []), ("one confirmed", [known])):
                routes = likeliest_routes(candidates, settings, confirmed=confirmed, most=1)
                scores = score_stops(routes[0].stops if routes else [], truth, confirmed)
                for measure, value in zip(_MEASURES, scores, strict=True):
                    if value is not None:
                        measured.setdefault(f"{name}, {given}", {}).setdefault(measure, []).append(value)
    return measured


def score_stops(
    stops: Sequence[Sighting], truth: Sequence[Sighting], confirmed: Sequence[Sighting]
) -> tuple[float, float, float | None]:
    """Precision and recall without confirmed sightings, and the agreement of the orders of cameras."""
    given = {one.tracklet_id for one in confirmed}
    right = {one.tracklet_id for one in truth} - given
    answered = {one.tracklet_id for one in stops} - given
    hits = len(right & answered)
    in_time = sorted(truth, key=lambda one: one.first_seen)
    order = order_agreement([one.camera_id for one in stops], [one.camera_id for one in in_time])
    return hits / max(len(answered), 1), hits / len(right), order


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streets", choices=("city", "demo"), default="city")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(100, 120)), help="seeds of streets or walks")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of serving.route for the weighed rule"
    )
    parser.add_argument(
        "--apart",
        type=float,
        default=3.5,
        help="distance between the mean similarities of strangers and of the person, in standard deviations",
    )
    options = parser.parse_args()
    route: dict[str, Any] = yaml.safe_load(PARAMS.read_text())["serving"]["route"]
    changed = route | {key: yaml.safe_load(value) for key, _, value in (each.partition("=") for each in options.set)}
    rules = {
        "without weight": RouteSettings.model_validate(route | _BEFORE),
        "weighed": RouteSettings.model_validate(changed),
    }
    scored = [score_streets(options.streets, seed, rules, options.apart) for seed in options.seeds]
    results = {
        rule: {
            measure: {
                "mean": round(float(np.mean(values := [np.mean(one[rule][measure]) for one in scored])), 4),
                "sd_of_seeds": round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None,
            }
            for measure in _MEASURES
        }
        for rule in scored[0]
    }
    metadata = {
        "streets": options.streets,
        "seeds": options.seeds,
        "most_people_queried": _QUERIED,
        "apart": options.apart,
        "weighed": changed,
    }
    json.dump({"metadata": metadata, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
