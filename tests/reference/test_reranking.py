"""Re-ranked distances against torchreid's `re_ranking`, an implementation over full matrices."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torchreid.reid.utils import rerank

from domain.embeddings import unit_length
from domain.errors import InputError
from evaluation.neighbours import on_gpu as nearest_on_gpu
from evaluation.neighbours.exact import nearest_neighbours
from evaluation.reranking import k_reciprocal_distances


class _StableNumpy:
    """NumPy whose `argsort` keeps ties in order: torchreid's own order of ties is that of an unstable sort."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def argsort(self, values: np.ndarray) -> np.ndarray:
        return np.argsort(values, axis=-1, kind="stable")


@pytest.fixture
def stable_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerank, "np", _StableNumpy())


def torchreid_distances(query: np.ndarray, gallery: np.ndarray, **options: Any) -> np.ndarray:
    return rerank.re_ranking(1 - query @ gallery.T, 1 - query @ query.T, 1 - gallery @ gallery.T, **options)


def embeddings(kind: str, seed: int, query: int, gallery: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings `[query, 32]` and `[gallery, 32]`: alone, around 15 centres, or each gallery item three times."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(query + gallery, 32))
    if kind == "clustered":
        vectors = 0.4 * vectors + rng.normal(size=(15, 32))[rng.integers(15, size=len(vectors))]
    vectors = unit_length(vectors)
    if kind == "duplicated":
        return vectors[:query], np.repeat(vectors[query:], 3, axis=0)[:gallery]
    return vectors[:query], vectors[query:]


@pytest.mark.parametrize(("k1", "k2", "lambda_value"), [(20, 6, 0.3), (5, 1, 0.0), (30, 10, 0.5), (7, 3, 1.0)])
@pytest.mark.parametrize(("query", "gallery"), [(20, 200), (5, 12), (2, 3), (1, 1)])
@pytest.mark.parametrize("kind", ["random", "clustered"])
def test_distances_equal_torchreid(kind: str, query: int, gallery: int, k1: int, k2: int, lambda_value: float) -> None:
    for seed in range(3):
        arrays = embeddings(kind, seed, query, gallery)
        options: dict[str, Any] = {"k1": k1, "k2": k2, "lambda_value": lambda_value}
        ours = k_reciprocal_distances(*arrays, **options)
        np.testing.assert_allclose(ours, torchreid_distances(*arrays, **options), atol=1e-5)


@pytest.mark.usefixtures("stable_ties")
@pytest.mark.parametrize(("k1", "k2", "lambda_value"), [(20, 6, 0.3), (5, 1, 0.0), (30, 10, 0.5)])
@pytest.mark.parametrize("seed", range(4))
def test_duplicates_keep_their_order(seed: int, k1: int, k2: int, lambda_value: float) -> None:
    arrays = embeddings("duplicated", seed, 30, 240)
    options: dict[str, Any] = {"k1": k1, "k2": k2, "lambda_value": lambda_value}
    np.testing.assert_allclose(
        k_reciprocal_distances(*arrays, **options), torchreid_distances(*arrays, **options), atol=1e-5
    )


@pytest.mark.parametrize("wrong", [{"k1": 19}, {"k2": 5}, {"lambda_value": 0.31}])
def test_the_comparison_would_notice_another_option(wrong: dict[str, Any]) -> None:
    arrays = embeddings("clustered", 0, 20, 200)
    assert np.abs(k_reciprocal_distances(*arrays, **wrong) - torchreid_distances(*arrays)).max() > 1e-3


@pytest.mark.parametrize("kind", ["random", "clustered", "duplicated"])
@pytest.mark.parametrize("tile_elements", [1, 1000, 10**9])
def test_the_search_by_torch_finds_the_same_neighbours(
    kind: str, tile_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest_on_gpu, "_TILE_ELEMENTS", tile_elements)
    query, gallery = embeddings(kind, 3, 20, 150)
    everyone = np.concatenate([query, gallery]).astype(np.float32)
    if kind == "duplicated":  # the products of equal vectors shall be equal, in whichever order they are summed
        everyone = np.sign(everyone) * np.float32(2**-3)  # 64 values of 1/8 have length 1
        everyone = np.concatenate([everyone, everyone], axis=1)
    ours, ours_between = nearest_neighbours(everyone, 20, 21)
    theirs, theirs_between = nearest_on_gpu.torch_nearest_neighbours(everyone, 20, 21, device="cpu")
    np.testing.assert_array_equal(theirs.items, ours.items)
    np.testing.assert_allclose(theirs.squared, ours.squared, atol=1e-6)
    np.testing.assert_allclose(theirs.farthest, ours.farthest, rtol=1e-5)
    np.testing.assert_allclose(theirs_between, ours_between, atol=1e-6)


def test_the_search_by_torch_gives_the_same_distances() -> None:
    arrays = embeddings("clustered", 5, 20, 150)
    by_torch = partial(nearest_on_gpu.torch_nearest_neighbours, device="cpu")
    np.testing.assert_allclose(
        k_reciprocal_distances(*arrays, find_nearest=by_torch), k_reciprocal_distances(*arrays), atol=1e-5
    )


def test_a_gpu_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert nearest_on_gpu.choose_search("auto") is nearest_neighbours
    with pytest.raises(InputError, match="reranking_device is cuda, but torch sees no GPU"):
        nearest_on_gpu.choose_search("cuda")
