"""Array annotations are checked while tests run, and compiled functions stay compiled."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from numba.core.registry import CPUDispatcher

from domain.errors import InputError
from evaluation import reranking, retrieval
from evaluation.neighbours import exact


def one_query(gallery_cameras: np.ndarray) -> retrieval.RetrievalScores:
    return retrieval.evaluate_retrieval(
        np.array([[0.1, 0.2]]), np.array([5]), np.array([5, 7]), np.array([1]), gallery_cameras
    )


@pytest.mark.parametrize(
    "cameras", [pytest.param(np.array([2]), id="too short"), pytest.param(np.array([2.0, 2.0]), id="not whole numbers")]
)
def test_an_array_that_its_annotation_excludes_is_refused(cameras: np.ndarray) -> None:
    with pytest.raises(TypeCheckError, match="gallery_cameras"):
        one_query(cameras)
    assert one_query(np.array([2, 2])).num_valid_queries == 1


@pytest.mark.usefixtures("unchecked_arrays")
def test_without_checks_a_function_refuses_by_itself() -> None:
    with pytest.raises(InputError, match=r"gallery_cameras must have shape \(2\), got \(1,\)"):
        one_query(np.array([2]))


def test_kernels_are_compiled_under_the_checks() -> None:
    kernels = [reranking._mix_distances, retrieval._score_queries, exact._update_neighbours]
    assert all(isinstance(kernel, CPUDispatcher) for kernel in kernels)
