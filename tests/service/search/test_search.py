from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from domain.attribute_query import GroupQuery
from domain.errors import InputError
from serving.database.store import Store, open_store
from serving.database.tracklet_filter import TrackletFilter
from serving.matching.match_curve import MatchCurve
from serving.matching.transits import Seen, Transits
from serving.search.search import Searcher, SearchSettings
from tests.helpers.sightings import CAMERAS, NOON, WALKING, tracklet, unit_vectors

SETTINGS = SearchSettings(
    candidates=40, k1=6, k2=3, lambda_value=0.3, attribute_trust=1, time_trust=1, probability_softness=0.05
)
CURVE = MatchCurve(half_distance=0.3, softness=0.05)
PEOPLE, SEEN = 10, 4
BAGS = ("none", "backpack")
BACKPACK, NO_BAG = {"bag": GroupQuery(BAGS[1:], BAGS)}, {"bag": GroupQuery(BAGS[:1], BAGS)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Ten people, each seen four times with a little noise; even ones carry a backpack."""
    people = unit_vectors(seed=0, number=PEOPLE, feature=32)
    noise = 0.35 * unit_vectors(seed=1, number=PEOPLE * SEEN, feature=32)
    embeddings = np.repeat(people, SEEN, axis=0) + noise
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    stored = []
    for i in range(PEOPLE * SEEN):
        backpack = 0.98 if (i // SEEN) % 2 == 0 else 0.02
        bag = {"bag": {"none": 1 - backpack, "backpack": backpack}}
        stored.append(tracklet(i + 1, embeddings[i], camera=i % 3, after_s=60 * i, attributes=bag))
    with open_store(tmp_path_factory.mktemp("search") / "store") as opened:
        opened.replace_sightings("demo", CAMERAS, "net-1", stored)
        yield opened


@pytest.fixture
def searcher(store: Store) -> Searcher:
    return Searcher(store, CURVE, SETTINGS, model_version="net-1")


def person(number: int) -> np.ndarray:
    return unit_vectors(seed=0, number=PEOPLE, feature=32)[number]


def sightings_of(number: int) -> set[int]:
    return set(range(number * SEEN + 1, number * SEEN + SEEN + 1))


@pytest.mark.parametrize("number", range(PEOPLE))
def test_a_photo_finds_all_sightings_of_the_person_first(searcher: Searcher, number: int) -> None:
    hits = searcher.search(person(number), top_k=SEEN)
    assert {hit.tracklet_id for hit in hits} == sightings_of(number)
    assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)
    assert all(hit.match_probability > 0.5 for hit in hits)


def test_other_people_are_unlikely(searcher: Searcher) -> None:
    hits = searcher.search(person(0))
    assert len(hits) == PEOPLE * SEEN
    assert all(hit.match_probability < 0.5 for hit in hits if hit.tracklet_id not in sightings_of(0))


def test_several_photos_search_with_their_mean(searcher: Searcher) -> None:
    photos = np.stack([person(3) + noise for noise in 0.5 * unit_vectors(seed=2, number=5, feature=32)])
    assert {hit.tracklet_id for hit in searcher.search(photos, top_k=SEEN)} == sightings_of(3)
    assert searcher.search(person(3)[None]) == searcher.search(person(3))


def test_people_with_the_attributes_rank_higher(searcher: Searcher) -> None:
    between = person(0) + person(1)  # as near to a person with a backpack as to one without
    with_bag = searcher.search(between / np.linalg.norm(between), BACKPACK, top_k=SEEN)
    without = searcher.search(between / np.linalg.norm(between), NO_BAG, top_k=SEEN)
    assert {hit.tracklet_id for hit in with_bag} == sightings_of(0)
    assert {hit.tracklet_id for hit in without} == sightings_of(1)


def test_a_group_without_probabilities_changes_nothing(searcher: Searcher) -> None:
    assert searcher.search(person(2), {"age": GroupQuery(("child",), ("child", "adult"))}) == searcher.search(person(2))


def test_attributes_alone(searcher: Searcher) -> None:
    hits = searcher.search(description=BACKPACK, top_k=20)
    assert {(hit.tracklet_id - 1) // SEEN % 2 for hit in hits} == {0}
    assert hits[0].match_probability == pytest.approx(0.98)


def keys(*numbers: int) -> set[tuple[str, int]]:
    return {("demo", number) for number in numbers}


def test_a_confirmed_sighting_searches_like_a_photo_and_is_certain(searcher: Searcher) -> None:
    hits = searcher.search(confirmed=keys(13), top_k=SEEN)
    assert {hit.tracklet_id for hit in hits} == sightings_of(3)
    assert [(hit.confirmed, hit.match_probability) for hit in hits if hit.tracklet_id == 13] == [(True, 1.0)]
    assert not any(hit.confirmed for hit in hits if hit.tracklet_id != 13)


def test_confirming_a_sighting_settles_a_doubtful_photo(searcher: Searcher) -> None:
    between = person(0) + 1.1 * person(1)
    assert searcher.search(between, top_k=1)[0].tracklet_id in sightings_of(1)
    hits = searcher.search(between / np.linalg.norm(between), confirmed=keys(2, 3), top_k=SEEN)
    assert {hit.tracklet_id for hit in hits} == sightings_of(0)


def test_a_rejected_sighting_is_left_out_and_similar_ones_rank_lower(searcher: Searcher) -> None:
    between = person(0) + 1.02 * person(1)
    between /= np.linalg.norm(between)
    before = {hit.tracklet_id: hit for hit in searcher.search(between)}
    after = searcher.search(between, rejected=keys(5))
    assert {hit.tracklet_id for hit in after[:SEEN]} == sightings_of(0)
    assert 5 not in {hit.tracklet_id for hit in after}
    similar = [hit for hit in after if hit.tracklet_id in sightings_of(1)]
    assert len(similar) == SEEN - 1
    assert all(hit.match_probability < before[hit.tracklet_id].match_probability for hit in similar)
    unlike = [hit for hit in after if hit.tracklet_id in sightings_of(7)]
    assert all(hit.distance == pytest.approx(before[hit.tracklet_id].distance, abs=0.01) for hit in unlike)


def test_a_rejected_sighting_makes_room_for_another(store: Store) -> None:
    few = Searcher(store, CURVE, SETTINGS.model_copy(update={"candidates": 5}), "net-1")
    assert len(few.search(person(0), rejected=keys(1, 2, 3))) == 5
    described = few.search(description=BACKPACK, rejected=keys(1))
    assert len(described) == 5
    assert 1 not in {hit.tracklet_id for hit in described}


def test_cameras_and_times_are_respected(searcher: Searcher) -> None:
    since, until = NOON + timedelta(seconds=600), NOON + timedelta(seconds=1200)
    hits = searcher.search(person(4), where=TrackletFilter([("demo", "cam1")], since, until))
    assert {hit.camera_id for hit in hits} == {"cam1"}
    assert all(since <= hit.last_seen and hit.first_seen <= until for hit in hits)
    assert (hits[0].latitude, hits[0].longitude) == (CAMERAS[1].latitude, CAMERAS[1].longitude)
    assert searcher.search(person(4), where=TrackletFilter([("nowhere", "cam1")])) == []


def test_sightings_of_another_model_are_not_compared(store: Store) -> None:
    assert Searcher(store, CURVE, SETTINGS, model_version="net-2").search(person(0)) == []


def test_top_k_may_exceed_the_number_of_candidates(store: Store) -> None:
    few = Searcher(store, CURVE, SETTINGS.model_copy(update={"candidates": 5}), "net-1")
    assert len(few.search(person(0))) == 5
    assert len(few.search(person(0), top_k=12)) == 12


def test_the_probability_falls_with_the_distance() -> None:
    values = [CURVE.probability(distance) for distance in (-5.0, 0.1, 0.3, 0.5, 2000.0)]
    assert values == sorted(values, reverse=True)
    assert values[2] == 0.5
    assert 0 <= values[-1] < 1e-9


def test_an_invalid_search_is_refused(searcher: Searcher) -> None:
    with pytest.raises(InputError, match="a photo, a confirmed sighting or an attribute, got none"):
        searcher.search()
    with pytest.raises(InputError, match="sightings must be stored, got demo/99"):
        searcher.search(confirmed=keys(1, 99))
    with pytest.raises(InputError, match="must be confirmed or rejected, got demo/1 as both"):
        searcher.search(confirmed=keys(1, 2), rejected=keys(1))
    with pytest.raises(InputError, match="top_k must be at least 1, got 0"):
        searcher.search(person(0), top_k=0)
    with pytest.raises(InputError, match="since must have a time zone"):
        searcher.search(person(0), where=TrackletFilter(since=NOON.replace(tzinfo=None)))
    with pytest.raises(InputError, match=r"embedding must have shape \(any, any\)"):
        searcher.search(person(0)[None, None])
    with pytest.raises(InputError, match="must be finite"):
        searcher.search(np.full(32, np.nan, np.float32))


GATE = Seen(CAMERAS[0].latitude, CAMERAS[0].longitude, NOON.timestamp(), camera=("demo", "cam0"))


@pytest.fixture
def timed(store: Store) -> Searcher:
    return Searcher(store, CURVE, SETTINGS, model_version="net-1", transits=Transits(WALKING))


def test_where_the_person_was_seen_settles_a_doubtful_photo(timed: Searcher) -> None:
    between = person(0) + person(7)  # who were seen from noon on, and half an hour later
    plain, moved = (
        {hit.tracklet_id: (place, hit) for place, hit in enumerate(timed.search(between, seen_at=seen))}
        for seen in ([], [GATE])
    )
    assert (moved[1][0], moved[2][0]) == (0, 1)  # at that gate, and a minute later at the next one
    assert plain[2][0] > 1
    for number in (29, 30, 32):  # of person 7, elsewhere half an hour later
        assert moved[number][1].match_probability < plain[number][1].match_probability


def test_a_confirmed_sighting_brings_its_place_and_time(timed: Searcher, searcher: Searcher) -> None:
    between = person(0) + 1.05 * person(7)
    moved = [hit for hit in timed.search(between, confirmed=keys(33)) if hit.evidence]  # of person 8, at 12:32
    plain = [hit for hit in searcher.search(between, confirmed=keys(33)) if hit.evidence]
    assert any(hit.evidence.place_and_time for hit in moved if hit.evidence)
    assert not any(hit.evidence.place_and_time for hit in plain if hit.evidence)


@pytest.mark.parametrize("description", [{}, BACKPACK])
def test_probabilities_fall_along_the_list_and_are_their_evidence(
    timed: Searcher, description: dict[str, GroupQuery]
) -> None:
    hits = timed.search(person(0) + person(5), description, rejected=keys(30), seen_at=[GATE])
    shown = [hit.match_probability for hit in hits]
    assert shown == sorted(shown, reverse=True)
    assert len(set(shown)) > 5
    for hit in hits:
        assert hit.evidence is not None
        odds = sum(hit.evidence.model_dump().values())
        assert 1 / (1 + np.exp(-odds)) == pytest.approx(hit.match_probability, abs=1e-8)
        assert bool(hit.evidence.words) == bool(description)


def test_who_is_near_in_place_and_time_is_a_candidate_however_many_look_more_alike(store: Store) -> None:
    few = SETTINGS.model_copy(update={"candidates": 4})
    timed = Searcher(store, CURVE, few, "net-1", transits=Transits(WALKING))
    assert {hit.tracklet_id for hit in timed.search(person(7))} == sightings_of(7)
    found = [hit.tracklet_id for hit in timed.search(person(7), seen_at=[GATE])]
    assert set(found) > sightings_of(7)
    assert len(found) == len(set(found)) == 6
    assert all(hit <= 2 * SEEN for hit in set(found) - sightings_of(7))  # of the first minutes
    elsewhere = TrackletFilter([("demo", "cam0")])
    assert {hit.camera_id for hit in timed.search(person(7), seen_at=[GATE], where=elsewhere)} == {"cam0"}


def test_place_and_time_move_a_description(timed: Searcher) -> None:
    hits = timed.search(description=BACKPACK, seen_at=[GATE])
    assert {hit.tracklet_id for hit in hits[:2]} <= {1, 2, 3, 4}  # at noon and up to three minutes later
    assert hits[0].match_probability > 0.98
    shown = [hit.match_probability for hit in hits]
    assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize("wrong_s", [600, 3600, 86_400, -40_000])
def test_a_misleading_time_costs_less_than_looks_tell(timed: Searcher, wrong_s: float) -> None:
    seen = replace(GATE, time_s=GATE.time_s + wrong_s)
    for number in range(PEOPLE):
        assert {hit.tracklet_id for hit in timed.search(person(number), seen_at=[seen], top_k=SEEN)} == sightings_of(
            number
        )
