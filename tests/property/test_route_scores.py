"""Laws of a route's scores."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from districts.box_files import TrackTable
from districts.layout import Problem
from evaluation.multi_camera.routes import order_agreement, score_route
from evaluation.multi_camera.visits import Visit
from evaluation.tracking import combine
from tests.helpers.answers import answer, table

CAMERAS = ["c1", "c2", "c3", "c4", "c5"]
walks = st.lists(st.sampled_from(CAMERAS), max_size=8)


@given(walks, walks)
def test_order_agreement_counts_pairs_of_cameras(one: list[str], other: list[str]) -> None:
    """Pairs in the same order less pairs in the opposite one, as a share of all."""
    pairs = list(combinations([camera for camera in CAMERAS if camera in one and camera in other], 2))
    signs = [1 if (one.index(a) < one.index(b)) == (other.index(a) < other.index(b)) else -1 for a, b in pairs]
    assert order_agreement(one, other) == (pytest.approx(np.mean(signs)) if pairs else None)


@given(st.permutations(CAMERAS), st.permutations(CAMERAS))
def test_walking_back_turns_the_sign(one: list[str], other: list[str]) -> None:
    assert order_agreement(one[::-1], other) == pytest.approx(-order_agreement(one, other))


@given(st.lists(st.sampled_from(range(6)), min_size=40, max_size=40))
def test_however_a_person_is_cut_a_route_over_all_pieces_is_one_id(pieces: list[int]) -> None:
    """Half of the boxes lie in each of two cameras; the tracklets of the second have ids of their own."""
    problem = Problem(id="p01", identity=7, crops=("p.jpg",), attributes={}, camera="c3", frame=1)
    truth = {camera: table(range(1, 21), 7) for camera in ("c1", "c2")}
    ids = dict(zip(truth, np.split(np.array(pieces) + np.repeat([0, 10], 20), 2), strict=True))
    result = {
        camera: TrackTable(seen.frames, ids[camera], seen.boxes_xyxy, seen.confidences)
        for camera, seen in truth.items()
    }
    ranked = [(int(one), camera, 1, 20) for camera in truth for one in np.unique(ids[camera])]
    route = answer(ranked, [one for one, *_ in ranked])
    visits = [Visit(camera, 1, 20) for camera in truth]
    scores = combine([score_route(problem, route, visits, set(), truth, result, 0.5).counts])
    assert (scores.idf1, scores.hota) == pytest.approx((1, 1))
    assert scores.num_switches == 0
