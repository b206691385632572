from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from domain.cameras import CameraKey
from serving.matching.transits import Seen, Transits
from serving.matching.where_next import FOUND, next_cameras, walked_to
from tests.helpers.deployments import write_learnt_times
from tests.helpers.sightings import CAMERAS, WALKING

KEYS: list[CameraKey] = [("demo", camera.id) for camera in CAMERAS]
OTHERS = dict(zip(KEYS[1:], CAMERAS[1:], strict=True))  # 111 and 222 m to the north
GATE = Seen(CAMERAS[0].latitude, CAMERAS[0].longitude, 1000.0, camera=KEYS[0])
ON_FOOT = Transits(WALKING)
NOTHING = np.zeros((2, 30))


def test_the_nearer_camera_is_likelier_and_earlier_and_all_adds_up() -> None:
    found = next_cameras(GATE, OTHERS, ON_FOOT, NOTHING, NOTHING)
    assert found.passes.sum() + found.unseen == pytest.approx(1)
    near, far = found.passes
    assert near.sum() == pytest.approx(2 * far.sum(), rel=0.02)
    assert (int(near.argmax()), int(far.argmax())) == (1, 3)  # 111 and 222 m at 1.1 m/s, from view to view
    assert found.unseen == pytest.approx(WALKING.wandering_share, abs=0.01)


def test_learnt_walks_say_where_and_when(tmp_path: Path) -> None:
    write_learnt_times(tmp_path)  # all to the first of the others, in 20 s
    found = next_cameras(GATE, OTHERS, Transits.read(tmp_path / "transits/demo", WALKING), NOTHING, NOTHING)
    assert found.passes[0, 0] > 0.5 > 10 * found.passes[1].sum()


def test_who_was_not_found_where_it_was_searched_is_likelier_elsewhere() -> None:
    before = next_cameras(GATE, OTHERS, ON_FOOT, NOTHING, NOTHING)
    searched = NOTHING.copy()
    searched[0] = 1
    after = next_cameras(GATE, OTHERS, ON_FOOT, searched, NOTHING)
    assert after.passes.sum() + after.unseen == pytest.approx(1)
    # by Bayes' rule: the odds of passing there against all else fall by the share of passings that are found
    odds = [each.passes[0].sum() / (1 - each.passes[0].sum()) for each in (before, after)]
    assert odds[1] == pytest.approx((1 - FOUND) * odds[0])
    assert (after.passes[1] > before.passes[1]).all()


def test_a_sighting_that_may_be_the_person_is_no_absence() -> None:
    searched, maybe = NOTHING.copy(), NOTHING.copy()
    searched[0], maybe[0] = 1, 1
    before = next_cameras(GATE, OTHERS, ON_FOOT, NOTHING, NOTHING)
    np.testing.assert_allclose(next_cameras(GATE, OTHERS, ON_FOOT, searched, maybe).passes, before.passes)


def test_without_another_camera_the_person_is_seen_by_none() -> None:
    nobody = np.zeros((0, 30))
    assert next_cameras(GATE, {}, ON_FOOT, nobody, nobody).unseen == 1


def test_the_area_grows_with_time_and_shrinks_where_cameras_have_looked() -> None:
    early, late = (walked_to(GATE, after_s, OTHERS, ON_FOOT, NOTHING) for after_s in (120.0, 600.0))
    assert early.shares.sum() == pytest.approx(1)
    assert late.area_m2 == pytest.approx(25 * early.area_m2)
    assert late.shares[late.is_likely].sum() == pytest.approx(0.9, abs=0.02)
    searched = walked_to(GATE, 600.0, OTHERS, ON_FOOT, np.ones((2, 30)))
    assert searched.area_m2 < late.area_m2
    north = (late.places[:, 0] > GATE.latitude) & (np.abs(late.places[:, 1] - GATE.longitude) < 1e-5)
    assert searched.shares[north].sum() < 0.3 * late.shares[north].sum()


def test_who_was_seen_somewhere_in_a_circle_may_be_farther() -> None:
    circle = replace(GATE, camera=None, radius_m=200.0)
    assert walked_to(circle, 300.0, {}, ON_FOOT, np.zeros((0, 30))).area_m2 > 1.5 * (
        walked_to(GATE, 300.0, {}, ON_FOOT, np.zeros((0, 30))).area_m2
    )
