"""Walks of people against a double loop, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.transit import walks_of_people
from evaluation.transit.model import VISIT_GAP_S

crops = st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 3), st.sampled_from([0.0, 30.0, 61.0, 200.0, np.nan])))


def in_loops(people: list[int], cameras: list[int], times: list[float]) -> dict[tuple[int, int, float], float]:
    """Total weight by cameras and time, each pair from its lower camera."""
    visits: list[tuple[int, int, list[float]]] = []
    known = [crop for crop in zip(people, cameras, times, strict=True) if crop[0] > 0 and not np.isnan(crop[2])]
    for person, camera, time in sorted(known, key=lambda crop: crop[2]):
        own = [visit for visit in visits if visit[:2] == (person, camera)]
        if own and time - own[-1][2][-1] <= VISIT_GAP_S:
            own[-1][2].append(time)
        else:
            visits.append((person, camera, [time]))
    weights: dict[tuple[int, int, float], float] = {}
    for place, (person, camera, seen) in enumerate(visits):
        for other_person, other_camera, other_seen in visits[:place]:
            if person != other_person:
                continue
            for time in seen:
                for earlier in other_seen:
                    add(weights, other_camera, camera, time - earlier, 1 / len(seen) / len(other_seen))
    return weights


def add(weights: dict[tuple[int, int, float], float], first: int, second: int, time: float, weight: float) -> None:
    key = (first, second, time) if first < second else (second, first, -time if first > second else abs(time))
    weights[key] = weights.get(key, 0.0) + weight


@given(crops)
def test_walks_are_those_of_a_double_loop(rows: list[tuple[int, int, float]]) -> None:
    people, cameras, times = ([row[column] for row in rows] for column in range(3))
    walks = walks_of_people(np.array(people, int), np.array(cameras, int), np.array(times, float))
    found: dict[tuple[int, int, float], float] = {}
    for first, second, time, weight in zip(
        *(each.tolist() for each in (walks.from_cameras, walks.to_cameras, walks.times_s, walks.weights)), strict=True
    ):
        add(found, first, second, time, weight)
    expected = in_loops(people, cameras, times)
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[key] for key in expected], list(expected.values()))


def test_two_visits_are_worth_one_however_many_crops_they_have() -> None:
    walks = walks_of_people(np.full(5, 7), np.array([1, 1, 1, 2, 2]), np.array([0.0, 1.0, 2.0, 90.0, 91.0]))
    assert len(walks) == 6
    assert walks.weights.sum() == pytest.approx(1)
    assert set(walks.groups.tolist()) == {7}


def test_who_comes_back_after_more_than_the_gap_makes_a_new_visit() -> None:
    times = np.array([0.0, VISIT_GAP_S, 2 * VISIT_GAP_S + 1])
    walks = walks_of_people(np.ones(3, int), np.ones(3, int), times)
    assert walks.times_s.tolist() == [121.0, 61.0]


def test_joined_walks_share_no_group() -> None:
    walks = walks_of_people(np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2]), np.array([0.0, 90.0, 5.0, 99.0]))
    both = walks.joined(walks)
    assert both.times_s.tolist() == 2 * walks.times_s.tolist()
    assert not set(both.groups[: len(walks)].tolist()) & set(both.groups[len(walks) :].tolist())
    nobody = walks.chosen(np.zeros(len(walks), bool))
    assert nobody.joined(walks).groups.tolist() == walks.groups.tolist()
