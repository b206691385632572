"""Tracklets of a few people with embeddings, places and times made by hand."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from domain.tracklets import Tracklet
from serving.matching.identities import IdentitySettings, identify
from serving.matching.match_curve import MatchCurve
from serving.matching.transits import Transits
from tests.helpers.deployments import write_learnt_times
from tests.helpers.sightings import CAMERAS, WALKING, tracklet

CURVE = MatchCurve(half_distance=0.4, softness=0.04, prior=0.5)
# neighbours of CAMERAS are 111.2 m apart: from view to view it takes 50.6 s, less 3 by their clocks
A, B, C = np.eye(3, dtype=np.float32)


def people(tracklets: Sequence[Tracklet], others: float = 4) -> dict[int, int]:
    return identify(tracklets, CAMERAS, CURVE, IdentitySettings(others_of_a_person=others), Transits(WALKING))


def between(one: np.ndarray, other: np.ndarray, distance: float) -> np.ndarray:
    """A unit vector so far from `one`, in the plane of two that are at right angles."""
    return ((1 - distance) * one + np.sqrt(1 - (1 - distance) ** 2) * other).astype(np.float32)


def test_equal_embeddings_over_cameras_are_one_person_numbered_as_first_seen() -> None:
    seen = [
        tracklet(9, B),
        tracklet(4, A, after_s=1),
        tracklet(5, A, camera=1, after_s=100),
        tracklet(2, B, after_s=99),
    ]
    assert people(seen) == {9: 1, 4: 2, 2: 1, 5: 2}


@pytest.mark.parametrize(
    ("camera", "after_s", "number"),
    [
        pytest.param(0, 4.9, 2, id="the same camera at once"),
        pytest.param(0, 5.0, 2, id="in the picture that the other ends in"),
        pytest.param(0, 5.1, 1, id="the same camera afterwards"),
        pytest.param(1, 5 + 47.0, 2, id="faster than on foot"),
        pytest.param(1, 5 + 48.0, 1, id="on foot"),
        pytest.param(1, -53.0, 1, id="on foot, the other way"),
        pytest.param(1, -52.0, 2, id="faster than on foot, the other way"),
    ],
)
def test_one_person_is_in_one_place_and_walks(camera: int, after_s: float, number: int) -> None:
    assert len(set(people([tracklet(1, A), tracklet(2, A, camera=camera, after_s=after_s)]).values())) == number


def test_one_impossible_pair_keeps_two_groups_apart() -> None:
    """1 and 3 are of one moment; 2 and 4 look like both, and each goes to the nearer one."""
    near_c = between(A, C, 0.05)
    seen = [
        tracklet(1, A),
        tracklet(2, A, after_s=20),
        tracklet(3, near_c),
        tracklet(4, near_c, after_s=40),
    ]
    assert people(seen) == {1: 1, 3: 2, 2: 1, 4: 2}


def test_a_look_alike_of_two_people_does_not_chain_them() -> None:
    """Three steps of 0.3 lead from the first to the last, who is 1.0 away: pairs join, not all four."""
    steps = [np.array([np.cos(angle), np.sin(angle), 0], np.float32) for angle in np.arccos(0.7) * np.arange(4)]
    numbers = people([tracklet(i, one, after_s=10 * i) for i, one in enumerate(steps)])
    assert len(set(numbers.values())) == 2
    assert numbers[0] == numbers[1] != numbers[2] == numbers[3]


def test_in_a_crowd_people_must_look_more_alike() -> None:
    """0.42 apart they are likelier one where there is nobody else, but not where a hundred others walk by."""
    pair = [tracklet(1, A), tracklet(2, between(A, B, 0.42), after_s=10)]
    others = [
        replace(
            tracklet(100 + i, np.eye(103, dtype=np.float32)[i + 3]),
            first_seen=pair[0].first_seen + timedelta(hours=1 + i),
            last_seen=pair[0].first_seen + timedelta(hours=1 + i, minutes=1),
        )
        for i in range(100)
    ]
    wide = [replace(one, embedding=np.pad(one.embedding, (0, 100))) for one in pair]
    alone, crowded = people(pair), people([*wide, *others])
    assert alone[1] == alone[2]
    assert crowded[1] != crowded[2]


def test_nobody_and_one() -> None:
    assert people([]) == {}
    assert people([tracklet(7, A)]) == {7: 1}
    assert people([tracklet(7, A), tracklet(8, A)]) == {7: 1, 8: 2}


def test_more_tracklets_than_are_compared_at_a_time() -> None:
    embeddings = np.eye(300, dtype=np.float32)
    seen = [tracklet(number, embeddings[number % 300], after_s=10 * number) for number in range(600)]
    assert people(seen) == {number: number % 300 + 1 for number in range(600)}


def test_learnt_times_join_who_rides_and_part_who_would_walk(tmp_path: Path) -> None:
    write_learnt_times(tmp_path)  # everybody rides from the first camera to the second in 20 s
    transits = Transits.read(tmp_path / "transits/demo", WALKING)
    doubtful = between(A, B, 0.42)
    rider, walker = ([tracklet(1, A), tracklet(2, doubtful, camera=1, after_s=after_s)] for after_s in (21, 100))
    settings = IdentitySettings(others_of_a_person=1)

    def persons(seen: Sequence[Tracklet], times: Transits, district: str = "demo") -> int:
        return len(set(identify(seen, CAMERAS, CURVE, settings, times, district).values()))

    assert (persons(rider, Transits(WALKING)), persons(rider, transits)) == (2, 1)
    assert (persons(walker, transits), persons(rider, transits, "elsewhere")) == (2, 2)
    alike = [tracklet(1, A), tracklet(2, A, camera=1, after_s=21), tracklet(3, B)]
    assert persons(alike, transits) == 2  # looks and time together are above all that looks alone can be
    assert persons([tracklet(1, A), tracklet(2, A, after_s=2)], transits) == 2  # one camera at one time
