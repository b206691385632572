"""Offsets of clocks on a simulated street: found within their error bars, from earlier walks or from distances."""

from collections.abc import Callable

import numpy as np
import pytest

from evaluation.transit import TransitModel, Walks, fit_transits, likely_pairs, walks_of_people
from evaluation.transit.clocks import clock_offsets
from tests.helpers.street import Crops, street_metres, walk_along

pytestmark = pytest.mark.slow

Find = Callable[[Crops], Walks]


def walks(crops: Crops) -> Walks:
    return walks_of_people(crops.identities, crops.cameras, crops.times_s)


def likely_walks(crops: Crops) -> Walks:
    """Pairs that look alike, half of them wrong, whatever their times."""
    pairs = likely_pairs(crops.embeddings, crops.cameras)
    near = pairs.ranks <= 1
    first, second = pairs.first[near], pairs.second[near]
    times_s, count = crops.times_s[second] - crops.times_s[first], int(near.sum())
    return Walks(crops.cameras[first], crops.cameras[second], times_s, np.full(count, 0.25), np.arange(count))


@pytest.fixture(scope="module")
def earlier() -> TransitModel:
    before = walk_along(300, 4, seed=1)
    return fit_transits(walks(before), before.cameras, before.times_s)


@pytest.fixture(scope="module")
def from_distances() -> TransitModel:
    nothing = walks_of_people(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    return fit_transits(nothing, np.arange(1, 5), np.linspace(0, 7200, 4), metres=street_metres(4))


@pytest.mark.parametrize("wrong_s", [0.0, 60.0, 600.0, 3600.0, -600.0])
@pytest.mark.parametrize("find", [walks, likely_walks])
def test_a_wrong_clock_is_found_within_its_error_bar(earlier: TransitModel, wrong_s: float, find: Find) -> None:
    crops = walk_along(150, 4, seed=2).with_clock(2, wrong_s)
    found = clock_offsets(earlier, find(crops))
    truth = np.array([0.0, wrong_s, 0.0, 0.0])
    assert (np.abs(found.offsets_s - truth) <= 2 * found.errors_s).all()
    assert (found.errors_s < 6).all()


@pytest.mark.parametrize("wrong_s", [0.0, 60.0, 600.0, 3600.0])
def test_distances_alone_tell_a_wrong_clock(from_distances: TransitModel, wrong_s: float) -> None:
    crops = walk_along(150, 4, seed=2).with_clock(3, wrong_s)
    found = clock_offsets(from_distances, walks(crops))
    assert (np.abs(found.offsets_s - np.array([0.0, 0.0, wrong_s, 0.0])) <= 2 * found.errors_s).all()


def test_error_bars_hold_on_other_streets(earlier: TransitModel) -> None:
    """Of 20 streets at most three are off by more than two standard errors, of which one is expected."""
    far = 0
    for seed in range(20):
        found = clock_offsets(earlier, walks(walk_along(60, 4, seed=100 + seed).with_clock(2, 300.0)))
        far += abs(found.offsets_s[1] - 300) > 2 * found.errors_s[1]
    assert far <= 3


def test_a_camera_without_walks_has_an_endless_error(earlier: TransitModel) -> None:
    crops = walk_along(100, 4, seed=4)
    found = clock_offsets(earlier, walks(crops.of(crops.cameras != 4)))
    assert found.errors_s[3] == np.inf
    assert found.offsets_s[3] == 0


def test_two_clocks_are_told_apart(earlier: TransitModel) -> None:
    crops = walk_along(200, 4, seed=5).with_clock(1, 600.0).with_clock(4, -120.0)
    found = clock_offsets(earlier, walks(crops))
    assert (np.abs(found.offsets_s - np.array([600.0, 0, 0, -120.0])) <= 2 * found.errors_s).all()
