"""Where times mislead, looks and times together are no worse than looks alone; figures by mAP on simulated streets.

Transit times are those of some people, the weight is learnt from others, and a third group is searched for.
"""

import time
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest

from domain.embeddings import cosine_distances
from evaluation.retrieval import evaluate_retrieval
from evaluation.transit import (
    Fusion,
    TransitModel,
    fit_fusion,
    fit_transits,
    misleading_cameras,
    nearest_walks,
    walks_of_people,
)
from evaluation.transit.clocks import clock_offsets
from tests.helpers.street import Crops, street_metres, walk_along

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Searcher:
    transits: TransitModel
    fusion: Fusion
    looks: Fusion

    def scores(self, crops: Crops) -> tuple[float, float]:
        """mAP by looks, and by looks and times."""
        query, gallery = split(crops)
        distances, _ = compare(self.transits, query, gallery)
        by_looks = self.looks.probabilities(distances, np.zeros_like(distances), len(gallery.cameras))
        seen = nearest_walks(by_looks, query.cameras, query.times_s, gallery.cameras, gallery.times_s)
        checked = self.transits.without(misleading_cameras(self.transits, seen))
        ratios = compare(checked, query, gallery)[1]
        people = query.identities, gallery.identities, query.cameras, gallery.cameras
        fused = self.fusion.distances(distances, ratios)
        looks, both = (evaluate_retrieval(each, *people).mean_average_precision for each in (distances, fused))
        return looks, both


def split(crops: Crops) -> tuple[Crops, Crops]:
    """The first crop of a person in a camera is a query."""
    keys = np.stack([crops.identities, crops.cameras], axis=1)
    is_query = np.zeros(len(keys), bool)
    is_query[np.unique(keys, axis=0, return_index=True)[1]] = True
    return crops.of(is_query), crops.of(~is_query)


def compare(transits: TransitModel, query: Crops, gallery: Crops) -> tuple[np.ndarray, np.ndarray]:
    ratios = transits.log_ratios(query.cameras, query.times_s, gallery.cameras, gallery.times_s)
    return cosine_distances(query.embeddings, gallery.embeddings), ratios


def searcher_of(train: Crops, validation: Crops, metres: np.ndarray | None = None) -> Searcher:
    walks = walks_of_people(train.identities, train.cameras, train.times_s)
    transits = fit_transits(walks, train.cameras, train.times_s, metres=metres)
    query, gallery = split(validation)
    same = query.identities[:, None] == gallery.identities
    counted = ~(same & (query.cameras[:, None] == gallery.cameras))
    distances, ratios = compare(transits, query, gallery)
    fusions = (fit_fusion(distances, evidence, same, counted) for evidence in (ratios, np.zeros_like(ratios)))
    return Searcher(transits, *fusions)


@pytest.fixture(scope="module")
def right() -> Searcher:
    return searcher_of(walk_along(200, 4, seed=1), walk_along(80, 4, seed=2))


@pytest.mark.parametrize("minutes", [1, 10, 60])
def test_a_clock_that_goes_wrong_after_the_fit(right: Searcher, minutes: int) -> None:
    crops = walk_along(150, 4, seed=3)
    as_it_was = right.scores(crops)[1]
    wrong = crops.with_clock(2, 60.0 * minutes)
    by_looks, by_both = right.scores(wrong)
    assert by_both >= by_looks
    found = clock_offsets(right.transits, walks_of_people(wrong.identities, wrong.cameras, wrong.times_s))
    mended = wrong
    for camera, offset_s in zip(found.cameras.tolist(), found.offsets_s.tolist(), strict=True):
        mended = mended.with_clock(camera, -offset_s)
    assert right.scores(mended)[1] == pytest.approx(as_it_was, abs=0.02)


def test_a_clock_that_is_always_wrong_is_learnt_as_it_is(right: Searcher) -> None:
    crops = [walk_along(count, 4, seed=seed).with_clock(2, 600.0) for seed, count in enumerate((200, 80, 150), 1)]
    assert searcher_of(*crops[:2]).scores(crops[2])[1] == pytest.approx(
        right.scores(walk_along(150, 4, seed=3))[1], abs=0.01
    )


def test_a_fifth_comes_by_bus() -> None:
    people = [walk_along(count, 4, seed=seed, by_bus=0.2) for seed, count in enumerate((200, 80, 150), 1)]
    by_looks, by_both = searcher_of(*people[:2]).scores(people[2])
    assert by_both > by_looks + 0.1


def test_those_who_take_the_bus_are_found_by_one_who_never_saw_a_bus(right: Searcher) -> None:
    by_looks, by_both = right.scores(walk_along(150, 4, seed=4, by_bus=1.0))
    assert by_both >= by_looks - 0.02


@pytest.mark.parametrize("metres", [None, street_metres(4)])
def test_a_pair_never_seen_together(metres: np.ndarray | None) -> None:
    train, validation = (walk_along(count, 4, seed=seed, skipped={1: 2, 2: 1}) for seed, count in ((1, 200), (2, 80)))
    by_looks, by_both = searcher_of(train, validation, metres).scores(walk_along(150, 4, seed=3))
    assert by_both > by_looks + 0.1


def test_two_cameras() -> None:
    people = [walk_along(count, 2, seed=seed) for seed, count in enumerate((120, 60, 120), 1)]
    by_looks, by_both = searcher_of(*people[:2]).scores(people[2])
    assert by_both > by_looks + 0.05


def test_after_two_days_the_order_is_that_of_looks(right: Searcher) -> None:
    query, gallery = split(walk_along(60, 4, seed=5))
    later = Crops(gallery.identities, gallery.cameras, gallery.times_s + 2 * 86_400, gallery.embeddings)
    distances, ratios = compare(right.transits, query, later)
    np.testing.assert_array_equal(right.fusion.distances(distances, ratios), distances)


@pytest.mark.parametrize("num_cameras", [50, pytest.param(500, marks=pytest.mark.soak)])
def test_time_and_memory_of_many_cameras(num_cameras: int) -> None:
    crops = walk_along(20 * num_cameras, num_cameras, seed=6, hours=12)
    walks = walks_of_people(crops.identities, crops.cameras, crops.times_s)
    tracemalloc.start()
    begin = time.process_time()
    model = fit_transits(walks, crops.cameras, crops.times_s, metres=street_metres(num_cameras))
    fit_s, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    begin = time.process_time()
    model.log_ratios(crops.cameras[:1], crops.times_s[:1], crops.cameras, crops.times_s)
    one_s = time.process_time() - begin
    size = model.one_person.nbytes + model.strangers.nbytes + model.row_of.nbytes
    print(
        f"{num_cameras} cameras, {len(walks):,} walks, {len(model.one_person):,} rows: fit {fit_s:.1f} s of CPU, "
        f"peak {peak / 1e6:.0f} MB, model {size / 1e6:.0f} MB, "
        f"one query against {len(crops.cameras):,} {1e3 * one_s:.1f} ms"
    )
    assert fit_s < 1.2 * num_cameras
    assert peak < 8e6 * num_cameras
