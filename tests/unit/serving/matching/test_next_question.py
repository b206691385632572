import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.schemas import read_schema
from serving.matching.next_question import next_question

SCHEMA = read_schema("suseong")
MALE, FEMALE = {"male": 1.0, "female": 0.0}, {"male": 0.0, "female": 1.0}
CHILD, OLD = {"child": 1.0}, {"elderly": 1.0}


def test_it_asks_what_parts_the_candidates_evenly() -> None:
    candidates = [
        (0.5, {"gender": MALE, "age": CHILD}),
        (0.5, {"gender": MALE, "age": OLD}),
        (0.5, {"gender": FEMALE, "age": OLD}),
        (0.5, {"gender": FEMALE, "age": OLD}),
    ]
    best = next_question(candidates, SCHEMA, asked=[])
    assert best is not None
    assert (best.group, best.bits) == ("gender", pytest.approx(1.0))
    second = next_question(candidates, SCHEMA, asked=["gender"])
    assert second is not None
    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))  # entropy of one in four
    assert (second.group, second.bits) == ("age", pytest.approx(quarter))


def test_doubtful_labels_tell_nothing() -> None:
    unsure = {"bag": {"backpack": 0.5, "none": 0.5}}
    assert next_question([(0.9, unsure), (0.1, unsure)], SCHEMA, asked=[]) is None


def test_nobody_is_asked_about_the_scene_or_the_view() -> None:
    candidates = [
        (1.0, {"view": {"front": 1.0}, "time": {"day": 1.0}}),
        (1.0, {"view": {"back": 1.0}, "time": {"night": 1.0}}),
    ]
    assert next_question(candidates, SCHEMA, asked=[]) is None


def test_without_candidates_there_is_no_question() -> None:
    assert next_question([], SCHEMA, asked=[]) is None
    assert next_question([(0.0, {"gender": MALE})], SCHEMA, asked=[]) is None


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_an_answer_tells_at_most_the_entropy_of_its_labels(candidates: list[tuple[float, float]]) -> None:
    described = [(weight, {"gender": {"male": male, "female": 1 - male}}) for weight, male in candidates]
    best = next_question(described, SCHEMA, asked=[])
    assert best is None or 0 <= best.bits <= 1 + 1e-9
