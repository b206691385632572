"""Wrong labels are found among embeddings of known people, and right ones are left alone."""

from dataclasses import dataclass

import numpy as np
import pytest

from evaluation.label_errors import (
    Comparison,
    compare,
    divided_identities,
    near_copies,
    nearest_of,
    possible_pairs,
    suspected_crops,
    whitened,
)

CAMERAS, EACH, FEATURES = 3, 4, 32


@dataclass
class People:
    embeddings: np.ndarray
    identities: np.ndarray
    cameras: np.ndarray

    @property
    def whitened(self) -> np.ndarray:
        return whitened(self.embeddings, self.identities, self.cameras)

    @property
    def found(self) -> Comparison:
        return compare(self.whitened, self.identities)


@pytest.fixture
def people() -> People:
    """Forty people, of each four crops from each of three cameras; a camera shifts all of its embeddings."""
    rng = np.random.default_rng(3)
    looks, places = rng.normal(size=(40, FEATURES)), rng.normal(size=(CAMERAS, FEATURES))
    identities = np.repeat(np.arange(1, 41), CAMERAS * EACH)
    cameras = np.tile(np.repeat(np.arange(1, CAMERAS + 1), EACH), 40)
    embeddings = looks[identities - 1] + 0.8 * places[cameras - 1] + 0.4 * rng.normal(size=(len(cameras), FEATURES))
    return People(unit(embeddings), identities, cameras)


def unit(embeddings: np.ndarray) -> np.ndarray:
    return (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)


def pairs_in(people: People) -> dict[tuple[int, int], bool]:
    found = possible_pairs(people.whitened, people.identities, people.cameras, people.found)
    return {(pair.first, pair.second): pair.across_cameras for pair in found}


def divided_in(people: People) -> list[int]:
    found = divided_identities(people.whitened, people.identities, people.cameras, people.found)
    return [division.identity for division in found]


def test_right_labels_are_left_alone(people: People) -> None:
    assert people.found.share_right == 1
    assert suspected_crops(people.found).tolist() == []
    assert near_copies(people.embeddings, people.identities) == []
    assert pairs_in(people) == {}
    assert divided_in(people) == []


def test_crops_of_another_person_are_found_and_no_others(people: People) -> None:
    wrong = np.arange(5, 480, 60)
    own = people.identities[wrong].copy()
    people.identities[wrong] = own % 40 + 1
    found = people.found
    suspected = suspected_crops(found)
    assert set(suspected.tolist()) <= set(wrong.tolist())
    assert len(suspected) >= len(wrong) / 2
    resembled = dict(zip(suspected.tolist(), found.names[found.other_identity[suspected]].tolist(), strict=True))
    assert resembled == {
        crop: identity for crop, identity in zip(wrong.tolist(), own.tolist(), strict=True) if crop in resembled
    }


def test_two_numbers_of_a_person_are_one_pair(people: People) -> None:
    of_seven = np.flatnonzero(people.identities == 7)
    people.identities[of_seven[::2]] = 99
    assert pairs_in(people) == {(7, 99): False}


def test_numbers_of_a_person_in_different_cameras_are_a_pair(people: People) -> None:
    people.identities[(people.identities == 7) & (people.cameras == 2)] = 99
    assert set(pairs_in(people)) == {(7, 99)}


def test_two_people_of_one_number_are_divided(people: People) -> None:
    other = int(people.found.names[people.found.likeness[6].argmin()])
    of_other, of_seven = (np.flatnonzero(people.identities == identity).tolist() for identity in (other, 7))
    people.identities[of_other] = 7
    (division,) = divided_identities(people.whitened, people.identities, people.cameras, people.found)
    assert division.identity == 7
    assert sorted([division.few.tolist(), division.many.tolist()]) == sorted([of_seven, of_other])
    assert division.likeness < division.of_strangers


def test_a_copy_under_another_number_is_found(people: People) -> None:
    copy = people.embeddings[5] + 0.01 * np.random.default_rng(1).normal(size=FEATURES).astype(np.float32)
    people.embeddings = unit(np.vstack([people.embeddings, copy]))
    identities = np.append(people.identities, 40)
    assert near_copies(people.embeddings, identities) == [(5, len(identities) - 1)]


def test_the_comparison_is_that_of_all_pairs(people: People) -> None:
    order = np.random.default_rng(2).permutation(len(people.identities))
    crops, identities = people.embeddings[order], people.identities[order]
    found = compare(crops, identities)
    similar = crops @ crops.T
    np.fill_diagonal(similar, -2)
    same = identities[:, None] == identities
    np.testing.assert_allclose(found.own, np.where(same, similar, -2).max(axis=1), atol=1e-6)
    np.testing.assert_allclose(found.other, np.where(same, -2, similar).max(axis=1), atol=1e-6)
    nearest = np.where(same, -2, similar).argmax(axis=1)
    assert found.names[found.other_identity].tolist() == identities[nearest].tolist()
    of_three, of_five = identities == 3, identities == 5
    expected = similar[np.ix_(of_three, of_five)].max(axis=1).mean()
    assert found.likeness[2, 4] == pytest.approx(expected, abs=1e-6)
    assert nearest_of(crops, 0, ~same[0]) == nearest[0]


def test_numbers_of_identities_and_order_of_crops_do_not_matter(people: People) -> None:
    people.identities[5] = 30
    before = set(suspected_crops(people.found).tolist())
    order = np.random.default_rng(2).permutation(len(people.identities))
    moved = People(people.embeddings[order], 1000 - people.identities[order], people.cameras[order])
    assert {int(order[crop]) for crop in suspected_crops(moved.found)} == before == {5}


def test_an_identity_of_one_crop_is_not_judged(people: People) -> None:
    people.identities[5] = 77
    assert people.found.own[5] == -2
    assert suspected_crops(people.found).tolist() == []
    assert divided_in(people) == []


def test_people_who_cannot_be_told_apart_are_as_unlike_themselves_as_others(people: People) -> None:
    people.embeddings = unit(np.random.default_rng(4).normal(size=people.embeddings.shape))
    assert people.found.share_right < 0.2
    assert people.found.same_person < people.found.stranger
