"""Laws of joining tracklets to people."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.cameras import metres_between
from domain.tracklets import Tracklet
from serving.matching.identities import IdentitySettings, identify
from serving.matching.match_curve import MatchCurve
from tests.helpers.sightings import CAMERAS, WALKING, tracklet

CURVE = MatchCurve(half_distance=0.4, softness=0.04, prior=0.02)
PLACES = {camera.id: camera for camera in CAMERAS}
_FEATURE = 16


@st.composite
def tracklets(draw: st.DrawFn, looks: int = 4) -> list[Tracklet]:
    """Up to fourteen of up to `looks` people who look alike, some at once, some in walking distance."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    faces = rng.normal(size=(looks, _FEATURE)) + draw(st.sampled_from([0, 1, 3]))
    found = []
    for number in range(draw(st.integers(0, 14))):
        look = faces[rng.integers(looks)] + rng.normal(0, draw(st.sampled_from([0, 0.3])), _FEATURE)
        embedding = (look / np.linalg.norm(look)).astype(np.float32)
        camera, after_s = draw(st.integers(0, 2)), draw(st.integers(0, 60)) * 5
        found.append(tracklet(number, embedding, camera=camera, after_s=after_s))
    return found


def joined(found: list[Tracklet]) -> dict[int, int]:
    return identify(found, CAMERAS, CURVE, IdentitySettings(others_of_a_person=4), WALKING)


def can_be_one(one: Tracklet, other: Tracklet) -> bool:
    earlier, later = sorted((one, other), key=lambda each: each.first_seen)
    gap_s = (later.first_seen - earlier.last_seen).total_seconds()
    if one.camera_id == other.camera_id:
        return gap_s > 0
    way_m = max(0, metres_between(PLACES[one.camera_id], PLACES[other.camera_id]) - 2 * WALKING.view_m)
    tolerated_s = gap_s + WALKING.clock_tolerance_s
    return tolerated_s >= 0 and way_m <= WALKING.max_walking_speed_m_s * tolerated_s


@given(tracklets(), st.randoms(use_true_random=False))
def test_the_order_of_tracklets_changes_nothing(found: list[Tracklet], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert joined(shuffled) == joined(found)


@given(tracklets(looks=1))
def test_nobody_is_in_two_places_at_once(found: list[Tracklet]) -> None:
    people = joined(found)
    assert set(people) == {one.id for one in found}
    for one, other in combinations(found, 2):
        assert people[one.id] != people[other.id] or can_be_one(one, other)


@given(tracklets())
def test_people_are_numbered_as_they_are_first_seen(found: list[Tracklet]) -> None:
    people = joined(found)
    in_time = sorted(found, key=lambda one: (one.first_seen, one.camera_id, one.id))
    assert list(dict.fromkeys(people[one.id] for one in in_time)) == list(range(1, len(set(people.values())) + 1))


@given(st.integers(2, _FEATURE), st.data())
def test_who_looks_like_nobody_else_is_alone(number: int, data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(0, 1000), min_size=number, max_size=number))
    found = [tracklet(i, np.eye(_FEATURE, dtype=np.float32)[i], after_s=after_s) for i, after_s in enumerate(times)]
    assert len(set(joined(found).values())) == number


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=20))
def test_who_looks_the_same_everywhere_with_time_to_walk_is_one_person(cameras: list[int]) -> None:
    look = np.eye(_FEATURE, dtype=np.float32)[0]
    found = [tracklet(i, look, camera=camera, after_s=300 * i) for i, camera in enumerate(cameras)]
    assert set(joined(found).values()) == {1}


@given(tracklets())
def test_no_two_people_are_likelier_one(found: list[Tracklet]) -> None:
    """The joining ends only when every two groups are too far apart on average, or hold an impossible pair."""
    people = joined(found)
    possible = [pair for pair in combinations(found, 2) if can_be_one(*pair)]
    if not possible:
        return
    odds = 4 / (2 * len(possible) / len(found))
    limit = CURVE.half_distance + CURVE.softness * (np.log(odds) - np.log(0.02 / 0.98))
    groups = [[one for one in found if people[one.id] == person] for person in set(people.values())]
    for group, other in combinations(groups, 2):
        pairs = [(one, another) for one in group for another in other]
        if all(can_be_one(*pair) for pair in pairs):
            assert np.mean([1 - one.embedding @ another.embedding for one, another in pairs]) > limit - 1e-5
