"""The worst mistakes come first, and one of a picture or person."""

import numpy as np

from domain.boxes import Detections
from evaluation.mistakes import surest_wrong_boxes, tallest_missed_people, worst_queries
from evaluation.retrieval import evaluate_retrieval


def found(*boxes: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(boxes, np.float32).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4], np.zeros(len(table), np.int64))


PEOPLE = [
    np.array([[0, 0, 20, 40], [100, 0, 140, 90]], np.float32),
    np.array([[0, 0, 30, 120]], np.float32),
]


def test_the_surest_boxes_on_nobody_and_second_boxes() -> None:
    predicted = [
        found((0, 0, 20, 40, 0.5), (0, 1, 20, 40, 0.95), (300, 0, 320, 40, 0.6), (400, 0, 420, 40, 0.55)),
        found((200, 0, 220, 40, 0.9), (0, 0, 30, 120, 0.99)),
    ]
    mistakes = surest_wrong_boxes(predicted, PEOPLE, 0.5, count=5)
    assert [(each.picture, round(each.score or 0, 2)) for each in mistakes] == [(1, 0.9), (0, 0.6)]
    assert mistakes[0].iou == 0
    doubles = surest_wrong_boxes([found((0, 1, 20, 40, 0.95), (0, 0, 20, 40, 0.7))], PEOPLE[:1], 0.5, count=5)
    assert doubles[0].iou == 1.0  # a second box on somebody who has one


def test_the_tallest_people_without_a_box_at_the_threshold() -> None:
    predicted = [found((0, 0, 20, 40, 0.9)), found((0, 0, 30, 120, 0.3))]
    mistakes = tallest_missed_people(predicted, PEOPLE, 0.5, 0.5, count=5)
    assert [(each.picture, float(each.box_xyxy[3])) for each in mistakes] == [(1, 120), (0, 90)]
    assert tallest_missed_people(predicted, PEOPLE, 0.2, 0.5, count=5)[0].picture == 0


def test_the_worst_query_of_each_person_whose_first_crop_is_another() -> None:
    people, gallery = np.array([1, 1, 2, 3]), np.array([1, 2, 3])
    cameras, gallery_cameras = np.ones(4, int), np.full(3, 2)
    distances = np.array([[0.2, 0.1, 0.3], [0.3, 0.1, 0.2], [0.1, 0.2, 0.3], [0.9, 0.8, 0.1]])
    scores = evaluate_retrieval(distances, people, gallery, cameras, gallery_cameras)
    assert worst_queries(scores, people, count=5).tolist() == [1, 2]
