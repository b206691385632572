"""Laws of P×K batches, for any set of pictures."""

from collections import Counter

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from training.crops.data import shuffled_batches
from training.reid.sampling import IdentityBatches


@st.composite
def crop_sets(draw: st.DrawFn) -> tuple[np.ndarray, int, int, int]:
    counts = draw(st.lists(st.integers(1, 9), min_size=2, max_size=12))
    identities = np.repeat(np.arange(len(counts)) * 3, counts)
    p = draw(st.integers(2, len(counts)))
    return identities, p, draw(st.integers(2, 5)), draw(st.integers(0, 99))


@given(crop_sets())
def test_each_batch_holds_p_people_with_k_pictures_of_each(drawn: tuple[np.ndarray, int, int, int]) -> None:
    identities, p, k, seed = drawn
    batches = list(IdentityBatches(identities, p, k, seed))
    assert len(batches) == len(IdentityBatches(identities, p, k, seed)) >= 1
    for batch in batches:
        shown = Counter(identities[batch].tolist())
        assert len(shown) == p
        assert set(shown.values()) == {k}


@given(crop_sets())
def test_pictures_differ_within_a_batch_while_there_are_enough(drawn: tuple[np.ndarray, int, int, int]) -> None:
    identities, p, k, seed = drawn
    for batch in IdentityBatches(identities, p, k, seed):
        for identity in np.unique(identities[batch]):
            own = [index for index in batch if identities[index] == identity]
            assert len(set(own)) == min(k, int((identities == identity).sum()))


@given(st.integers(0, 99))
def test_people_come_by_how_many_groups_their_pictures_fill(seed: int) -> None:
    identities = np.repeat([0, 1, 2, 3], [400, 40, 40, 40])
    turns = Counter(person for batch in IdentityBatches(identities, 1, 4, seed) for person in set(identities[batch]))
    assert turns[0] > 2 * max(turns[1], turns[2], turns[3])


@given(crop_sets())
def test_a_seed_and_an_epoch_decide_the_batches(drawn: tuple[np.ndarray, int, int, int]) -> None:
    identities, p, k, seed = drawn
    one, other = IdentityBatches(identities, p, k, seed), IdentityBatches(identities, p, k, seed)
    one.set_epoch(3)
    other.set_epoch(3)
    assert list(one) == list(other) == list(one)


@given(st.integers(2, 6), st.integers(0, 99))
def test_processes_share_each_global_batch(people: int, seed: int) -> None:
    identities = np.repeat(np.arange(people * 2), 4)
    whole = list(IdentityBatches(identities, people * 2, 2, seed))
    halves = [list(IdentityBatches(identities, people * 2, 2, seed, rank, world_size=2)) for rank in (0, 1)]
    assert [first + second for first, second in zip(*halves, strict=True)] == whole


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 9))
def test_shuffled_batches_show_each_picture_at_most_once(num_images: int, batch: int, seed: int) -> None:
    shown = [index for indices in shuffled_batches(pictures(num_images), batch, seed) for index in indices]
    assert len(shown) == len(set(shown)) == num_images // min(batch, num_images) * min(batch, num_images)
    assert set(shown) <= set(range(num_images))


@given(st.integers(4, 60), st.integers(1, 20), st.integers(0, 9))
def test_processes_share_each_shuffled_batch(num_images: int, half: int, seed: int) -> None:
    whole = list(shuffled_batches(pictures(num_images // 2 * 2), 2 * half, seed))
    halves = [list(shuffled_batches(pictures(num_images // 2 * 2), 2 * half, seed, rank, 2)) for rank in (0, 1)]
    assert [sorted(first + second) for first, second in zip(*halves, strict=True)] == [sorted(each) for each in whole]


@given(st.integers(20, 60), st.integers(0, 9))
def test_the_order_depends_on_seed_and_epoch(num_images: int, seed: int) -> None:
    one, other = (shuffled_batches(pictures(num_images), 4, seed) for _ in range(2))
    first = list(one)
    assert list(other) == first
    other.set_epoch(1)
    assert list(other) != first


def pictures(num_images: int) -> TensorDataset:
    return TensorDataset(torch.zeros(num_images))
