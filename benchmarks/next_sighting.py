"""With one confirmed sighting: at which rank a search lists the person's next sighting, as JSON.

    python -m benchmarks.next_sighting                     # in the repository, where the stage `track` has run
    python -m benchmarks.next_sighting --root ../finished

Each sighting of a person of the videos' ground truth is confirmed alone, and searched by; the one sought is the
person's next one by time. Ranks count from 1, without the confirmed sighting; a sighting that is not listed counts as
behind the last. Once looks alone order the list, once looks with place and time. The difference has the 95 % interval
of a paired bootstrap over people.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks.stored_crops import people_of
from domain.match_calibration import read_calibration
from domain.model_card import read_card
from evaluation.intervals.bootstrap import Sample, difference, ratios, resample
from serving.database import tables
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.matching.match_curve import MatchCurve
from serving.search.search import Searcher

_REPEATS = 1000


def walks_of(store: Store, district: str, person_of: Mapping[int, int]) -> dict[int, list[int]]:
    """Of each person with two sightings or more, their tracklets by time."""
    seen = tables.tracklets
    query = (
        sa.select(seen.c.id).where(seen.c.district == district, seen.c.id.in_(person_of)).order_by(seen.c.first_seen)
    )
    walks = defaultdict(list)
    with store.begin() as connection:
        for number in connection.execute(query).scalars():
            walks[person_of[number]].append(number)
    return {person: walk for person, walk in walks.items() if len(walk) > 1}


def ranks(searcher: Searcher, district: str, walks: Mapping[int, list[int]]) -> dict[int, list[int]]:
    """Of each person, the rank of each sighting but the first, with the one before it confirmed."""
    found = {}
    for person, walk in walks.items():
        found[person] = []
        for confirmed, sought in pairwise(walk):
            hits = searcher.search(confirmed=[(district, confirmed)])
            listed = [hit.tracklet_id for hit in hits if hit.tracklet_id != confirmed]
            found[person].append(listed.index(sought) + 1 if sought in listed else len(listed) + 1)
    return found


def sample_of(found: Mapping[int, list[int]]) -> Sample:
    """Mean rank, with people as units."""
    totals = np.array([sum(each) for each in found.values()], np.float64)
    numbers = np.array([len(each) for each in found.values()], np.float64)
    return Sample("people", len(found), int(numbers.sum()), ratios({"mean_rank": totals}, {"mean_rank": numbers}))


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
    change = difference(*(resample(sample_of(each), _REPEATS) for each in (fused, looks)), "mean_rank")
    results = {}
    for name, found in (("looks", looks), ("looks_place_and_time", fused)):
        every = np.concatenate([np.array(each) for each in found.values()])
        results[name] = {
            "mean_rank": float(every.mean()),
            "median_rank": float(np.median(every)),
            "first": float((every == 1).mean()),
            "within_10": float((every <= 10).mean()),
        }
    return {
        "metadata": {
            "district": district,
            "model": version,
            "transits": transits.version or None,
            "people": len(walks),
            "searches": sum(len(walk) - 1 for walk in walks.values()),
        },
        "results": results | {"change": {"value": change.value, "low": change.low, "high": change.high}},
    }


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(), help="repository whose stage `track` has run")
    parser.add_argument("overrides", nargs="*", help="settings, such as reid.backbone=resnet50")
    options = parser.parse_args()
    json.dump(measure(Deployment.read(options.root, options.overrides)), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
