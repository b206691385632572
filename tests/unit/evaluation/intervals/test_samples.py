"""A draw is scored as the data set is that holds each unit as often as the draw does."""

import numpy as np
import pytest

from districts.box_files import TrackTable
from domain.attributes import AttributeSchema, Group, Label
from domain.boxes import Detections
from evaluation.attributes import score_attributes
from evaluation.detection import precision_recall_curve, score_detections
from evaluation.intervals.of_attributes import attribute_sample
from evaluation.intervals.of_detection import detection_sample, height_sample
from evaluation.intervals.of_retrieval import retrieval_sample
from evaluation.intervals.of_tracking import camera_sample, problem_sample
from evaluation.open_set import nearest_distances, score_open_set
from evaluation.retrieval import evaluate_retrieval
from evaluation.tracking import combine, count_tracking
from tests.reference.test_detection_scores import random_pictures

pytestmark = pytest.mark.slow

DRAW = np.array([2, 0, 1, 3, 0, 1])
SCHEMA = AttributeSchema(
    name="small",
    groups=(
        Group(name="bag", english="bag", korean="가방",
              labels=tuple(Label(name=name, korean=name, absent=name == "none") for name in ("none", "back", "hand"))),
        Group(name="hat", english="hat", korean="모자",
              labels=tuple(Label(name=name, korean=name) for name in ("no", "yes"))),
    ),
)  # fmt: skip


def copies(items: list) -> list:  # type: ignore[type-arg]
    return [item for item, count in zip(items, DRAW, strict=True) for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_detection_is_scored_as_torchmetrics_scores_the_copied_pictures(seed: int) -> None:
    predicted, truth = random_pictures(seed, pictures=len(DRAW))
    sample = detection_sample(predicted, truth, score_threshold=0.4, iou_threshold=0.5)
    drawn = {name: values[0] for name, values in sample.figures(DRAW[None].astype(float)).items()}
    expected = score_detections(copies(predicted), copies(truth))
    for name in ("ap50", "ap75", "ap50_95", "ar100"):
        assert drawn[name] == pytest.approx(getattr(expected, name), abs=1e-6), name
    curve = precision_recall_curve(copies(predicted), copies(truth))
    last = int((curve.scores >= 0.4).sum()) - 1
    points = [curve.precision[last], curve.recall[last], curve.f1[last]]
    np.testing.assert_allclose([drawn[name] for name in ("precision", "recall", "f1")], points)


def test_a_detector_without_threshold_has_no_precision() -> None:
    assert not detection_sample(*random_pictures(0), None, 0.5).as_it_is().keys() & {"precision", "recall", "f1"}


def test_pictures_without_any_box_are_scored() -> None:
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    person = np.array([[0, 0, 10, 50]], np.float32)
    figures = detection_sample([nothing], [person], 0.5, 0.5).as_it_is()
    assert (figures["ap50"], figures["recall"]) == (0, 0)
    assert np.isnan(figures["precision"])


def test_recall_and_precision_by_height_by_hand() -> None:
    # a person of 50 px is found, one of 100 px is missed, a box of 60 px stands nowhere
    truth = np.array([[0, 0, 20, 50], [100, 0, 140, 100]], np.float32)
    boxes = np.array([[0, 0, 20, 50], [300, 0, 320, 60]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64))
    assert height_sample([found], [truth], 0.5, 0.5, (30.0, 80.0))[0].counted == {"recall": 1, "precision": 1}
    middle, num_middle = height_sample([found], [truth], 0.5, 0.5, (30.0, 80.0))
    tall, num_tall = height_sample([found], [truth], 0.5, 0.5, (80.0, 160.0))
    assert (num_middle, middle.as_it_is()) == (1, {"recall": 1, "precision": 0.5})
    assert num_tall == 1
    assert tall.as_it_is()["recall"] == 0
    assert np.isnan(tall.as_it_is()["precision"])


@pytest.mark.parametrize("seed", range(3))
def test_retrieval_is_scored_as_the_copied_queries_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people, cameras = rng.permutation(np.repeat(np.arange(1, 7), 3)), rng.integers(1, 3, 18)
    gallery, gallery_cameras = (
        rng.permutation(np.append(np.repeat(np.arange(1, 7), 4), [0, -1])),
        rng.integers(1, 4, 26),
    )
    distances = rng.random((18, 26))
    labels = (people, gallery, cameras, gallery_cameras)
    scores, nearest = evaluate_retrieval(distances, *labels), nearest_distances(distances, *labels)
    sample = retrieval_sample(scores, nearest, people, [0.0, 0.1])
    drawn = {name: values[0] for name, values in sample.figures(DRAW[None].astype(float)).items()}
    rows = np.concatenate([np.flatnonzero(people == person) for person in copies(list(range(1, 7)))])
    again = (people[rows], gallery, cameras[rows], gallery_cameras)
    expected = evaluate_retrieval(distances[rows], *again)
    assert drawn["map"] == pytest.approx(expected.mean_average_precision)
    assert drawn["minp"] == pytest.approx(expected.mean_inverse_negative_penalty)
    assert [drawn["rank1"], drawn["rank5"]] == pytest.approx([expected.rank(1), expected.rank(5)])
    open_set = score_open_set(nearest_distances(distances[rows], *again), [0.0, 0.1])
    assert [drawn["detection_rate_far0"], drawn["detection_rate_far10"]] == pytest.approx(
        [each.detection_rate for each in open_set]
    )
    of_one = retrieval_sample(scores, nearest, people, [0.1], chosen=cameras == 1)
    first = cameras == 1
    alone = evaluate_retrieval(distances[first], people[first], gallery, cameras[first], gallery_cameras)
    assert of_one.as_it_is()["map"] == pytest.approx(alone.mean_average_precision)


def random_attributes(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    people = rng.permutation(np.repeat(np.arange(6), 4))
    labels = np.stack([rng.integers(-1, 3, 24), rng.integers(-1, 2, 24)], axis=1)
    return rng.random((24, 5)), labels, people


@pytest.mark.parametrize("seed", range(4))
def test_attributes_are_scored_as_the_copied_crops_are(seed: int) -> None:
    probabilities, labels, people = random_attributes(seed)
    sample = attribute_sample(probabilities, labels, SCHEMA, people)
    for draw, rows in (
        (np.ones(6), np.arange(24)),
        (DRAW, np.concatenate([np.flatnonzero(people == person) for person in copies(list(range(6)))])),
    ):
        drawn = {name: values[0] for name, values in sample.figures(draw[None].astype(float)).items()}
        expected = score_attributes(probabilities[rows], labels[rows], SCHEMA)
        for name in (
            "instance_accuracy",
            "instance_precision",
            "instance_recall",
            "instance_f1",
            "label_mean_accuracy",
        ):
            assert drawn[name] == pytest.approx(getattr(expected, name)), name
        for group, scores in expected.groups.items():
            assert (drawn[f"accuracy/{group}"], drawn[f"f1/{group}"]) == pytest.approx((scores.accuracy, scores.f1))
        of_hats = expected.groups["hat"].confusion
        assert drawn["missed/hat/yes"] == pytest.approx(of_hats[1, 0] / of_hats[1].sum())
        assert drawn["invented/hat/yes"] == pytest.approx(of_hats[0, 1] / of_hats[0].sum())
        assert "missed/bag/none" not in drawn


def test_tracking_is_scored_as_the_copied_cameras_are() -> None:
    rng = np.random.default_rng(0)
    sequences = []
    for _ in DRAW:
        frames, tracks = np.tile(np.arange(1, 9), 2), np.repeat([1, 2], 8)
        corner = np.repeat(rng.uniform(0, 50, (2, 2)), 8, axis=0)
        boxes = np.concatenate([corner, corner + np.array([20, 50])], axis=1).astype(np.float32)
        truth = TrackTable(frames, tracks, boxes, np.ones(16, np.float32))
        moved = (boxes + rng.normal(0, 3, boxes.shape)).astype(np.float32)
        result = TrackTable(frames, rng.integers(1, 4, 16), moved, np.ones(16, np.float32))
        sequences.append(count_tracking(truth, result))
    drawn = camera_sample(sequences).figures(DRAW[None].astype(float))
    expected = combine(copies(sequences))
    theirs = [expected.idf1, expected.mota, expected.hota, expected.detection_accuracy, expected.association_accuracy]
    assert [drawn[name][0] for name in ("idf1", "mota", "hota", "deta", "assa")] == pytest.approx(theirs)
    assert drawn["loca"][0] == pytest.approx(expected.localisation_accuracy)
    orders = [1.0, None, 0.5, 0.0, 1.0, None]
    problems = problem_sample({"rank1": [1, 0, 0.5, 0, 1, 1], "route_order": orders}, sequences)
    figures = problems.figures(DRAW[None].astype(float))
    assert figures["rank1"][0] == pytest.approx((2 + 0.5 + 0 + 1) / 7)
    assert figures["route_order"][0] == pytest.approx((2 + 0.5 + 0) / 6)
    assert figures["route_hota"][0] == pytest.approx(expected.hota)
