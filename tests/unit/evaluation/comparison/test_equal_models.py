"""Of comparisons of equal models about one in twenty claims a difference, for that is what 95 % means."""

from collections.abc import Callable

import numpy as np
import pytest

from domain.boxes import Detections
from domain.embeddings import cosine_distances, unit_length
from domain.schemas import read_schema
from evaluation.comparison.changes import changes
from evaluation.intervals.bootstrap import Sample
from evaluation.intervals.of_attributes import attribute_sample
from evaluation.intervals.of_detection import detection_sample
from evaluation.intervals.of_retrieval import retrieval_sample
from evaluation.open_set import nearest_distances
from evaluation.retrieval import evaluate_retrieval

SCHEMA = read_schema("market1501")
PEOPLE, REPEATS = 40, 300


def reid_models(rng: np.random.Generator, better_by: float) -> tuple[Sample, Sample]:
    """Two models on the same people: what is hard to tell apart is hard for both, the rest is their own."""
    query, gallery = np.repeat(np.arange(1, PEOPLE + 1), 2), np.repeat(np.arange(1, PEOPLE + 1), 3)
    cameras = np.ones_like(query), np.full_like(gallery, 2)
    centres = rng.normal(size=(PEOPLE + 1, 16))
    crops = [centres[identities] + 0.7 * rng.normal(size=(len(identities), 16)) for identities in (query, gallery)]
    samples = []
    for noise in (0.8 - better_by, 0.8):
        embeddings = [unit_length(each + noise * rng.normal(size=each.shape)) for each in crops]
        distances = cosine_distances(*embeddings)
        labels = query, gallery, *cameras
        scores, nearest = evaluate_retrieval(distances, *labels), nearest_distances(distances, *labels)
        samples.append(retrieval_sample(scores, nearest, query, (0.1,)))
    return samples[0], samples[1]


def attribute_models(rng: np.random.Generator, better_by: float) -> tuple[Sample, Sample]:
    """Crops of one person are alike: a model is right or wrong of most of them."""
    people = np.repeat(np.arange(PEOPLE), 4)
    labels = np.stack([rng.integers(0, len(group.labels), PEOPLE) for group in SCHEMA.groups], axis=1)[people]
    hard, samples = rng.random((PEOPLE, len(SCHEMA.groups))), []
    for right in (0.75 + better_by, 0.75):
        is_right = (0.5 * hard[people] + 0.5 * rng.random((PEOPLE, len(SCHEMA.groups)))[people]) < right - 0.1
        is_right ^= rng.random(is_right.shape) < 0.1
        parts = []
        for i, group in enumerate(SCHEMA.groups):
            answered = np.where(is_right[:, i], labels[:, i], (labels[:, i] + 1) % len(group.labels))
            parts.append(np.eye(len(group.labels))[answered])
        samples.append(attribute_sample(np.concatenate(parts, axis=1), labels, SCHEMA, people))
    return samples[0], samples[1]


def detectors(rng: np.random.Generator, better_by: float) -> tuple[Sample, Sample]:
    """Three people in each of 40 pictures, some hard to see."""
    true = [np.array([[40.0 * i, 0, 40 * i + 20, 60] for i in range(3)], np.float32) for _ in range(PEOPLE)]
    hard, samples = rng.random((PEOPLE, 3)), []
    for found in (0.7 + better_by, 0.7):
        is_found = 0.5 * hard + 0.5 * rng.random((PEOPLE, 3)) < found - 0.1
        predicted = []
        for boxes, seen in zip(true, is_found, strict=True):
            false = rng.random(3) < 0.2
            all_boxes = np.concatenate([boxes[seen], boxes[false] + np.float32(200)])
            scores = np.concatenate([rng.beta(4, 2, seen.sum()), rng.beta(2, 3, false.sum())]).astype(np.float32)
            predicted.append(Detections(all_boxes, scores, np.zeros(len(scores), np.int64)))
        samples.append(detection_sample(predicted, true, 0.4, 0.5))
    return samples[0], samples[1]


MODELS: dict[str, tuple[Callable[[np.random.Generator, float], tuple[Sample, Sample]], str, float]] = {
    "reid": (reid_models, "map", 0.3),
    "attributes": (attribute_models, "instance_f1", 0.15),
    "detector": (detectors, "ap50", 0.2),
}


def share_of_claims(task: str, num: int, *, better_by: float = 0.0) -> float:
    """Share of comparisons whose interval of the main figure holds no 0."""
    models, figure, _ = MODELS[task]
    rng, claims = np.random.default_rng(2026), 0
    for _ in range(num):
        change = changes(*models(rng, better_by), REPEATS)[figure]
        claims += change.rises or change.falls
    return claims / num


@pytest.mark.slow
@pytest.mark.parametrize("task", MODELS)
def test_equal_models_are_seldom_told_apart(task: str) -> None:
    assert share_of_claims(task, 40) <= 0.15  # at 5 %, more in 1.4 % of such tests: its seed is fixed


@pytest.mark.slow
@pytest.mark.parametrize("task", MODELS)
def test_a_better_model_is_told_apart(task: str) -> None:
    assert share_of_claims(task, 10, better_by=MODELS[task][2]) == 1


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("task", MODELS)
def test_of_a_thousand_comparisons_of_equal_models_one_in_twenty_claims_a_difference(task: str) -> None:
    share = share_of_claims(task, 1000)
    print(f"{task}: {share:.1%} of 1,000")
    assert 0.025 <= share <= 0.075
