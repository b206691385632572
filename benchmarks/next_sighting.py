"""With one confirmed sighting: at which rank a search lists the person's next sighting, as JSON.

    python -m benchmarks.next_sighting                     # in the repository, where the stage `track` has run
    python -m benchmarks.next_sighting --root ../finished

Each sighting of a person of the videos' ground truth is confirmed alone, and searched by. Sought is the person's next
sighting by another camera, and beside it the next one by the same camera, mostly the rest of a tracklet that broke off.
Ranks count from 1, without the confirmed sighting; a sighting that is not listed counts as behind the last. Once looks
alone order the list, once looks with place and time. Differences have the 95 % interval of a paired bootstrap over
people.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks.finished import people_of, print_measures
from domain.match_calibration import read_calibration
from domain.model_card import read_card
from evaluation.intervals.bootstrap import Sample, difference, ratios, resample
from evaluation.intervals.of_retrieval import UNIT
from serving.database import tables
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.matching.match_curve import MatchCurve
from serving.search.search import Searcher

_REPEATS = 1000


Walks = Mapping[int, list[tuple[int, str]]]  # of each person: tracklets and their cameras, by time
Ranks = Mapping[int, list[int]]  # of each person with one


def walks_of(store: Store, district: str, person_of: Mapping[int, int]) -> Walks:
    """The sightings of each person."""
    seen = tables.tracklets
    query = sa.select(seen.c.id, seen.c.camera_id).where(seen.c.district == district, seen.c.id.in_(person_of))
    walks = defaultdict(list)
    with store.begin() as connection:
        for number, camera in connection.execute(query.order_by(seen.c.first_seen)):
            walks[person_of[number]].append((number, camera))
    return walks


def ranks(searcher: Searcher, district: str, walks: Walks) -> Mapping[str, Ranks]:
    """Ranks of the next sightings, by another camera and by the same one."""
    found: dict[str, dict[int, list[int]]] = {"another_camera": defaultdict(list), "same_camera": defaultdict(list)}
    for person, walk in walks.items():
        for place, (confirmed, camera) in enumerate(walk[:-1]):
            hits = searcher.search(confirmed=[(district, confirmed)])
            listed = [hit.tracklet_id for hit in hits if hit.tracklet_id != confirmed]
            for kind, ranked in found.items():
                is_same = kind == "same_camera"
                sought = next((each for each, by in walk[place + 1 :] if (by == camera) == is_same), None)
                if sought is not None:
                    ranked[person].append(listed.index(sought) + 1 if sought in listed else len(listed) + 1)
    return found


def sample_of(found: Ranks) -> Sample:
    """Mean rank, with people as units."""
    totals = np.array([sum(each) for each in found.values()], np.float64)
    numbers = np.array([len(each) for each in found.values()], np.float64)
    return Sample(UNIT, len(found), int(numbers.sum()), ratios({"mean_rank": totals}, {"mean_rank": numbers}))


def measure(deployment: Deployment) -> dict[str, Any]:
    """Ranks of both orders."""
    district, settings = deployment.district, deployment.settings.search
    engine = deployment.engine(deployment.reid)
    calibration = read_calibration(engine)
    curve = MatchCurve.of_calibration(calibration, deployment.perception.match_distance, settings.probability_softness)
    version, transits = read_card(engine).version, deployment.transits()
    with open_store(deployment.store) as store:
        walks = walks_of(store, district, people_of(deployment.root, district))
        looks = ranks(Searcher(store, curve, settings, version), district, walks)
        fused = ranks(Searcher(store, curve, settings, version, transits), district, walks)
    return {
        "metadata": {
            "district": district,
            "model": version,
            "transits": transits.version or None,
            "people": len(walks),
        },
        "results": {kind: _compared(looks[kind], fused[kind]) for kind in looks},
    }


def _compared(looks: Ranks, fused: Ranks) -> dict[str, Any]:
    searches = sum(map(len, looks.values()))
    if not searches:
        return {"searches": 0}
    with_times, by_looks = (resample(sample_of(each), _REPEATS) for each in (fused, looks))
    change = difference(with_times, by_looks, "mean_rank")
    return {
        "searches": searches,
        "looks": _summary(looks),
        "looks_place_and_time": _summary(fused),
        "change": {"value": change.value, "low": change.low, "high": change.high},
    }


def _summary(found: Ranks) -> dict[str, float]:
    every = np.concatenate([np.array(each) for each in found.values()])
    return {
        "mean_rank": float(every.mean()),
        "median_rank": float(np.median(every)),
        "first": float((every == 1).mean()),
        "within_10": float((every <= 10).mean()),
    }


def main() -> None:
    """Print one JSON document."""
    print_measures(__doc__, measure)


if __name__ == "__main__":
    main()
