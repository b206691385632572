"""Laws of grouping tracklets into people."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.cameras import metres_between
from domain.tracklets import Tracklet
from serving.matching.identities import IdentitySettings, identify
from serving.matching.match_curve import MatchCurve
from serving.matching.transits import Transits
from tests.helpers.sightings import CAMERAS, WALKING, tracklet

CURVE = MatchCurve(half_distance=0.4, softness=0.04, prior=0.02)
PLACES = {camera.id: camera for camera in CAMERAS}
_FEATURE = 16


@st.composite
def tracklets(draw: st.DrawFn, num_people: int = 4) -> list[Tracklet]:
    """Up to fourteen tracklets of up to `num_people` similar people, some at one time, some in walking distance."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    people = rng.normal(size=(num_people, _FEATURE)) + draw(st.sampled_from([0, 1, 3]))
    seen = []
    for number in range(draw(st.integers(0, 14))):
        vector = people[rng.integers(num_people)] + rng.normal(0, draw(st.sampled_from([0, 0.3])), _FEATURE)
        embedding = (vector / np.linalg.norm(vector)).astype(np.float32)
        camera, after_s = draw(st.integers(0, 2)), draw(st.integers(0, 60)) * 5
        seen.append(tracklet(number, embedding, camera=camera, after_s=after_s))
    return seen


def people_of(seen: list[Tracklet]) -> dict[int, int]:
    return identify(seen, CAMERAS, CURVE, IdentitySettings(others_of_a_person=4), Transits(WALKING))


def can_be_one(first: Tracklet, second: Tracklet) -> bool:
    earlier, later = sorted((first, second), key=lambda tracklet: tracklet.first_seen)
    gap_s = (later.first_seen - earlier.last_seen).total_seconds()
    if first.camera_id == second.camera_id:
        return gap_s > 0
    distance_m = max(0, metres_between(PLACES[first.camera_id], PLACES[second.camera_id]) - 2 * WALKING.view_m)
    tolerated_s = gap_s + WALKING.clock_tolerance_s
    return tolerated_s >= 0 and distance_m <= WALKING.max_walking_speed_m_s * tolerated_s


@given(st.data())
def test_the_order_of_tracklets_changes_nothing(data: st.DataObject) -> None:
    seen = data.draw(tracklets())
    assert people_of(data.draw(st.permutations(seen))) == people_of(seen)


@given(tracklets(num_people=1))
def test_nobody_is_in_two_places_at_once(seen: list[Tracklet]) -> None:
    people = people_of(seen)
    assert set(people) == {tracklet.id for tracklet in seen}
    for first, second in combinations(seen, 2):
        assert people[first.id] != people[second.id] or can_be_one(first, second)


@given(tracklets())
def test_people_are_numbered_as_they_are_first_seen(seen: list[Tracklet]) -> None:
    people = people_of(seen)
    in_time = sorted(seen, key=lambda tracklet: (tracklet.first_seen, tracklet.camera_id, tracklet.id))
    assert list(dict.fromkeys(people[tracklet.id] for tracklet in in_time)) == list(
        range(1, len(set(people.values())) + 1)
    )


@given(st.integers(2, _FEATURE), st.data())
def test_different_embeddings_are_different_people(number: int, data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(0, 1000), min_size=number, max_size=number))
    seen = [tracklet(i, np.eye(_FEATURE, dtype=np.float32)[i], after_s=after_s) for i, after_s in enumerate(times)]
    assert len(set(people_of(seen).values())) == number


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=20))
def test_equal_embeddings_with_time_to_walk_are_one_person(cameras: list[int]) -> None:
    vector = np.eye(_FEATURE, dtype=np.float32)[0]
    seen = [tracklet(i, vector, camera=camera, after_s=300 * i) for i, camera in enumerate(cameras)]
    assert set(people_of(seen).values()) == {1}


@given(tracklets())
def test_no_two_groups_are_likelier_to_be_one_person(seen: list[Tracklet]) -> None:
    """Grouping ends when every two groups are too far apart on average, or have an impossible pair."""
    people = people_of(seen)
    possible = [pair for pair in combinations(seen, 2) if can_be_one(*pair)]
    if not possible:
        return
    odds = 4 / (2 * len(possible) / len(seen))
    limit = CURVE.half_distance + CURVE.softness * (np.log(odds) - np.log(0.02 / 0.98))
    groups = [[tracklet for tracklet in seen if people[tracklet.id] == person] for person in set(people.values())]
    for group, other in combinations(groups, 2):
        pairs = [(first, second) for first in group for second in other]
        if all(can_be_one(*pair) for pair in pairs):
            assert np.mean([1 - first.embedding @ second.embedding for first, second in pairs]) > limit - 1e-5
