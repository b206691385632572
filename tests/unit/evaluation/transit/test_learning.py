"""Transit times learnt without labels, on a simulated street."""

import numpy as np
import pytest

from domain.errors import InputError
from evaluation.transit import fit_transits, learn_transits, likely_pairs, walks_of_people
from tests.helpers.street import APART_M, walk_along

pytestmark = pytest.mark.slow


def test_likely_pairs_are_the_nearest_of_either() -> None:
    embeddings = np.array([[1, 0], [0, 1], [0.8, 0.6], [0.6, 0.8], [1, 0]], np.float32)
    pairs = likely_pairs(embeddings, np.array([1, 1, 2, 2, 2]))
    found = dict(zip(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True), pairs.ranks.tolist(), strict=True))
    # 4 is the nearest of 0, then 2, 3; 3 is the nearest of 1, then 2, 4
    assert found == {(0, 4): 0, (0, 2): 1, (0, 3): 3, (1, 3): 0, (1, 2): 2, (1, 4): 3}
    assert pairs.distances[found_at(pairs.first, pairs.second, 0, 2)] == pytest.approx(0.2, abs=1e-6)


def found_at(first: np.ndarray, second: np.ndarray, mine: int, theirs: int) -> int:
    return int(np.flatnonzero((first == mine) & (second == theirs))[0])


def test_far_pairs_are_left_out() -> None:
    angles = np.concatenate([np.linspace(0, 1, 20), np.linspace(0, 1, 20)])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    pairs = likely_pairs(embeddings, np.repeat([1, 2], 20))
    assert np.abs(pairs.first - (pairs.second - 20)).max() < 6
    assert len(pairs.first) < 20 * 10


def test_one_camera_is_refused() -> None:
    with pytest.raises(InputError, match="two cameras at least, got 1"):
        likely_pairs(np.eye(2, dtype=np.float32), np.array([4, 4]))


def test_a_street_without_labels_teaches_nearly_what_labels_do() -> None:
    crops = walk_along(250, 3, seed=5)
    pairs = likely_pairs(crops.embeddings, crops.cameras)
    model, probabilities = learn_transits(pairs, crops.cameras, crops.times_s)
    labelled = fit_transits(
        walks_of_people(crops.identities, crops.cameras, crops.times_s), crops.cameras, crops.times_s
    )
    on_foot = APART_M / 1.3
    for first, second, time_s in ((1, 2, on_foot), (2, 3, on_foot), (2, 1, on_foot), (1, 3, 2 * on_foot)):
        learnt, known = (
            float(each.of_walks(np.array([first]), np.array([second]), np.array([time_s]))[0])
            for each in (model, labelled)
        )
        assert learnt == pytest.approx(known, abs=1.0)
        assert learnt > 1.5
    right = crops.identities[pairs.first] == crops.identities[pairs.second]
    mutual = pairs.ranks == 0
    assert right[probabilities > 0.8].mean() > right[mutual].mean() + 0.1
    assert probabilities[right].mean() > 5 * probabilities[~right].mean()


def test_looks_that_say_nothing_teach_nothing() -> None:
    crops = walk_along(150, 2, seed=6, unlike=50.0)
    model, _ = learn_transits(likely_pairs(crops.embeddings, crops.cameras), crops.cameras, crops.times_s)
    ratios = model.log_ratios(crops.cameras, crops.times_s, crops.cameras, crops.times_s)
    assert np.abs(ratios).mean() < 0.5


def test_a_sighting_without_a_time_counts_nothing() -> None:
    crops = walk_along(60, 2, seed=7)
    times_s = crops.times_s.copy()
    times_s[::9] = np.nan
    pairs = likely_pairs(crops.embeddings, crops.cameras)
    model, probabilities = learn_transits(pairs, crops.cameras, times_s)
    assert np.isfinite(model.table).all()
    unknown = np.isnan(times_s[pairs.first]) | np.isnan(times_s[pairs.second])
    assert (probabilities[unknown] == 0).all()
