from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from domain.cameras import CameraKey, Sighting
from domain.errors import ArtifactError
from evaluation.transit.fitting import fit_transits
from evaluation.transit.model import LARGEST
from evaluation.transit.walks import walks_of_people
from serving.matching.transits import Seen, Transits
from tests.helpers.deployments import write_learnt_times
from tests.helpers.sightings import CAMERAS, NOON, WALKING

KEYS: list[CameraKey] = [("demo", camera.id) for camera in CAMERAS]
PLACES = dict(zip(KEYS, CAMERAS, strict=True))  # 111 m apart: some 100 s on foot
ON_FOOT = Transits(WALKING)
GATE = Seen(CAMERAS[0].latitude, CAMERAS[0].longitude, 1000.0, camera=KEYS[0])


def ratio(seen: Seen, camera: int, after_s: float, transits: Transits = ON_FOOT) -> float:
    times_s = np.array([seen.time_s + after_s])
    return float(transits.log_ratios(seen, [KEYS[camera]], times_s, PLACES)[0])


def learnt(tmp_path: Path) -> Transits:
    """Everybody rides from the first camera to the second in 20 s, and none is known to go to the third."""
    write_learnt_times(tmp_path)
    return Transits.read(tmp_path / "transits/demo", WALKING)


def sighting(number: int, camera: int, after_s: float) -> Sighting:
    """One of five seconds."""
    begin = NOON + timedelta(seconds=after_s)
    return Sighting(
        district="demo",
        tracklet_id=number,
        camera_id=CAMERAS[camera].id,
        first_seen=begin,
        last_seen=begin + timedelta(seconds=5),
        latitude=CAMERAS[camera].latitude,
        longitude=CAMERAS[camera].longitude,
        distance=0.1,
        match_probability=0.5,
        crop="",
    )


def test_who_comes_in_walking_time_is_likelier_and_nobody_is_ruled_out() -> None:
    assert ratio(GATE, 1, 90) > 1
    assert ratio(GATE, 1, -90) == pytest.approx(ratio(GATE, 1, 90))  # nobody knows from where they came
    for after_s in (1, 10_000, 1e6):
        assert ratio(GATE, 1, after_s) == pytest.approx(np.log(WALKING.wandering_share), abs=0.01)


def test_whom_a_camera_sees_soon_after_the_person_may_be_the_same_and_beside_the_person_is_another() -> None:
    seen = replace(GATE, lasts_s=20.0)  # from 990 to 1010
    times_s, lasts_s = np.array([1000.0, 1000, 1014, 985, 1015, 1070, 6000]), np.array([20.0, 8, 10, 10, 10, 10, 10])
    *together, before, after, later, last = ON_FOOT.log_ratios(seen, [KEYS[0]] * 7, times_s, PLACES, lasts_s)
    assert together == [0, 0, 0]
    assert before == pytest.approx(after)  # the one begins where the other ends
    assert after > 3 > later > last > -0.7
    told = ON_FOOT.log_ratios(GATE, [KEYS[0]] * 7, times_s, PLACES, lasts_s)
    assert told[1] > 3, "whom the camera saw at the time that a witness tells"


def test_a_vague_time_tells_less() -> None:
    sharp, vague = (ratio(replace(GATE, within_s=within_s), 1, 90) for within_s in (0, 600))
    assert sharp > vague > -0.7
    assert ratio(replace(GATE, within_s=600), 1, 600) > ratio(GATE, 1, 600)


def test_a_place_on_the_map_is_where_its_circle_is() -> None:
    near = Seen(CAMERAS[0].latitude, CAMERAS[0].longitude, 1000.0, radius_m=200)
    assert ratio(near, 1, 10) > 0 > ratio(GATE, 1, 10)  # within the circle, the walk may be short


def test_learnt_times_stand_before_walking_times_where_there_are_some(tmp_path: Path) -> None:
    transits = learnt(tmp_path)
    assert transits.version
    assert ratio(GATE, 1, 21, transits) > 3 > 0 > ratio(GATE, 1, 21)
    assert ratio(GATE, 1, 90, transits) < 0 < ratio(GATE, 1, 90)
    assert ratio(GATE, 2, 200, transits) == ratio(GATE, 2, 200)  # never walked: as on foot
    elsewhere = {("other", name): camera for (_, name), camera in PLACES.items()}
    of_other = replace(GATE, camera=("other", "cam0"))
    there = transits.log_ratios(of_other, [("other", "cam1")], np.array([1090.0]), elsewhere)
    assert there[0] == pytest.approx(ratio(GATE, 1, 90))


def test_in_one_camera_the_rest_of_a_visit_counts_as_on_foot_whatever_was_learnt() -> None:
    begins = 200.0 * np.arange(60)
    people, cameras = np.repeat(np.arange(1, 61), 3), np.tile([1, 2, 1], 60)  # by the second camera and back
    times_s = np.stack([begins, begins + 20 + begins % 3, begins + 300], axis=1).ravel()
    model = fit_transits(walks_of_people(people, cameras, times_s), cameras, times_s)
    taught = Transits(WALKING, model, {KEYS[0]: 1, KEYS[1]: 2})
    assert model.has_evidence(np.array([1]), np.array([1])).all()
    assert ratio(GATE, 0, 5, taught) == ratio(GATE, 0, 5) > 3
    assert ratio(GATE, 0, 300, taught) != ratio(GATE, 0, 300)
    seen = [sighting(1, 0, 0), sighting(2, 0, 8), sighting(3, 1, 20), sighting(4, 0, 300)]
    (learnt, *_), (walked, *_) = taught.between(seen), ON_FOOT.between(seen)
    assert learnt[1] == walked[1] > 1, "the rest of the visit"
    assert (learnt[2] > 1, walked[2]) == (True, -np.inf), "a ride"
    assert learnt[3] != walked[3], "a return"


def test_without_an_artifact_people_are_on_foot_and_half_of_one_is_refused(tmp_path: Path) -> None:
    assert Transits.read(tmp_path / "none", WALKING) == ON_FOOT
    learnt(tmp_path)
    (tmp_path / "transits/demo/transits.npz").write_bytes(b"half")
    with pytest.raises(ArtifactError, match="rerun fit_transits"):
        Transits.read(tmp_path / "transits/demo", WALKING)


def test_the_last_before_and_the_first_after_count() -> None:
    later = Seen(CAMERAS[2].latitude, CAMERAS[2].longitude, 1200.0, camera=KEYS[2])
    times_s = np.array([900.0, 1100.0, 1300.0])
    both = ON_FOOT.evidence([later, GATE], [KEYS[1]] * 3, times_s, PLACES)
    first, second = (ON_FOOT.log_ratios(one, [KEYS[1]] * 3, times_s, PLACES) for one in (GATE, later))
    np.testing.assert_allclose(both, [first[0], first[1] + second[1], second[2]])
    assert ON_FOOT.evidence([], [KEYS[1]] * 3, times_s, PLACES).tolist() == [0, 0, 0]


def test_what_was_seen_long_before_and_after_all_sightings_has_no_say() -> None:
    seen = [replace(GATE, time_s=1000.0 + 97 * step) for step in range(30)]
    times_s = np.array([900.0, 1000.0, 1950.0, 2010.5, 4000.0])
    together = ON_FOOT.evidence(seen, [KEYS[1]] * 5, times_s, PLACES)
    alone = [ON_FOOT.evidence(seen, [KEYS[1]], times_s[[place]], PLACES)[0] for place in range(5)]
    first_alone = ON_FOOT.evidence(seen[:1], [KEYS[1]], times_s[:1], PLACES)
    np.testing.assert_allclose(together, alone)
    np.testing.assert_allclose(together[:1], first_alone)


def test_place_and_time_alone_never_decide(tmp_path: Path) -> None:
    transits = learnt(tmp_path)
    seen = [replace(GATE, time_s=1000.0 + 21 * step) for step in range(40)]
    times_s = np.linspace(0, 3000, 500)
    evidence = transits.evidence(seen, [KEYS[1]] * 500, times_s, PLACES)
    assert np.abs(evidence).max() <= LARGEST


def test_cells_hold_every_time_that_is_likely_and_do_not_overlap() -> None:
    seen = [GATE, replace(GATE, time_s=1150.0, within_s=60.0)]
    cells = ON_FOOT.cells(seen, PLACES)
    for camera in (1, 2):
        for after_s in range(-900, 900, 7):
            time_s = GATE.time_s + after_s
            inside = any(cell.camera == KEYS[camera] and cell.since_s <= time_s <= cell.until_s for cell in cells)
            assert inside or ratio(GATE, camera, after_s) <= np.log(1.5)
    for cell, following in pairwise(cells):
        assert cell.camera != following.camera or cell.until_s < following.since_s
