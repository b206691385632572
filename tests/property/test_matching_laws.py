"""Laws of the match curve and of descriptions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.attribute_query import LEAST_PROBABILITY
from domain.schemas import read_schema
from serving.matching.description import (
    LabelQuestion,
    Question,
    attribute_evidence,
    description_likelihood,
    read_description,
)
from serving.matching.match_curve import MatchCurve

SCHEMA = read_schema("suseong")
GROUPS = SCHEMA.group_names[:4]
Described = dict[str, dict[str, float]]


@st.composite
def described_people(draw: st.DrawFn) -> Described:
    """Probabilities of some groups; they add up to 1."""
    described: Described = {}
    for name in draw(st.sets(st.sampled_from(GROUPS))):
        labels = SCHEMA.group(name).label_names
        weights = [draw(st.integers(0, 9)) for _ in labels]
        total = sum(weights) or 1
        described[name] = {label: weight / total for label, weight in zip(labels, weights, strict=True)}
    return described


@st.composite
def questions(draw: st.DrawFn) -> dict[str, LabelQuestion]:
    """At least one label fits each group."""
    question = {}
    for name in draw(st.sets(st.sampled_from(GROUPS), min_size=1)):
        labels = SCHEMA.group(name).label_names
        allowed = draw(st.sets(st.sampled_from(labels), min_size=1))
        either = {"is": sorted(allowed)} if draw(st.booleans()) else {"is_not": sorted(set(labels) - allowed)}
        question[name] = LabelQuestion.model_validate({**either, "or_unknown": draw(st.booleans())})
    return question


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0, 2), st.floats(1e-3, 10))
def test_a_nearer_sighting_is_never_less_likely(first: float, second: float, middle: float, softness: float) -> None:
    nearer, farther = sorted((first, second))
    likely, unlikely = (MatchCurve(middle, softness).probability(distance) for distance in (nearer, farther))
    assert 1 >= likely >= unlikely >= 0


@given(described_people(), questions())
def test_the_likelihood_of_a_description_is_a_fraction(described: Described, question: Question) -> None:
    assert 0 <= description_likelihood(described, read_description(question, SCHEMA)) <= 1 + 1e-12


@given(described_people(), questions(), st.sampled_from(GROUPS))
def test_asking_for_all_labels_of_a_group_changes_nothing(
    described: Described, question: dict[str, LabelQuestion], group: str
) -> None:
    without = read_description({name: labels for name, labels in question.items() if name != group}, SCHEMA)
    everything = LabelQuestion.model_validate({"is": list(SCHEMA.group(group).label_names)})
    description = read_description({**question, group: everything}, SCHEMA)
    assert attribute_evidence(described, description) == attribute_evidence(described, without)
    assert description_likelihood(described, description) == description_likelihood(described, without)


@given(described_people(), st.sampled_from(GROUPS), st.data())
def test_is_not_is_the_rest(described: Described, group: str, data: st.DataObject) -> None:
    labels = SCHEMA.group(group).label_names
    some = data.draw(st.sets(st.sampled_from(labels), min_size=1, max_size=len(labels) - 1))
    by_is = read_description({group: LabelQuestion.model_validate({"is": sorted(some)})}, SCHEMA)
    rest = sorted(set(labels) - some)
    by_is_not = read_description({group: LabelQuestion.model_validate({"is_not": rest})}, SCHEMA)
    assert attribute_evidence(described, by_is) == attribute_evidence(described, by_is_not)


@given(described_people(), st.sampled_from(GROUPS), st.data())
def test_allowing_unknown_or_more_labels_never_makes_it_less_likely(
    described: Described, group: str, data: st.DataObject
) -> None:
    labels = SCHEMA.group(group).label_names
    more = data.draw(st.sets(st.sampled_from(labels), min_size=1, max_size=len(labels) - 1))
    fewer = data.draw(st.sets(st.sampled_from(sorted(more)), min_size=1))
    unknown = data.draw(st.booleans())
    strict, wide = (
        read_description({group: LabelQuestion.model_validate({"is": sorted(allowed), "or_unknown": either})}, SCHEMA)
        for allowed, either in ((fewer, False), (more, unknown))
    )
    assert (
        description_likelihood(described, wide)
        >= description_likelihood(described, strict)
        >= LEAST_PROBABILITY - 1e-12
    )


@given(described_people(), questions())
def test_groups_outside_the_query_are_no_evidence(described: Described, question: dict[str, LabelQuestion]) -> None:
    of_query = {group: labels for group, labels in described.items() if group in question}
    description = read_description(question, SCHEMA)
    assert attribute_evidence(described, description) == attribute_evidence(of_query, description)


@given(questions())
def test_a_guess_among_equal_labels_is_no_evidence(question: Question) -> None:
    groups = [SCHEMA.group(name) for name in question]
    equal = {group.name: dict.fromkeys(group.label_names, 1 / len(group.labels)) for group in groups}
    assert attribute_evidence(equal, read_description(question, SCHEMA)) == pytest.approx(0, abs=1e-12)
