"""Descriptions: the labels that fit, and that the store ranks by the same numbers as the search."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from domain.attribute_query import GroupQuery
from domain.errors import InputError
from domain.schemas import read_schema
from serving.database import queries
from serving.database.store import open_store
from serving.matching.description import LabelQuestion, attribute_evidence, description_likelihood, read_description
from tests.helpers.sightings import CAMERAS, in_transaction, tracklet, unit_vectors

SCHEMA = read_schema("suseong")
BAGS = SCHEMA.group("bag").label_names


def labels_that_fit(label: str | None = None, **question: Any) -> LabelQuestion:
    named = {name.removesuffix("_"): value for name, value in question.items()}
    return LabelQuestion.model_validate(label if label is not None else named)


@pytest.mark.parametrize(
    ("question", "allowed"),
    [
        pytest.param(labels_that_fit("backpack"), {"backpack"}, id="a label"),
        pytest.param(labels_that_fit(is_=["backpack", "handbag"]), {"backpack", "handbag"}, id="any of"),
        pytest.param(labels_that_fit(is_not=["backpack"]), set(BAGS) - {"backpack"}, id="is not"),
        pytest.param(labels_that_fit(is_=["backpack", "handbag"], is_not=["handbag"]), {"backpack"}, id="both"),
    ],
)
def test_a_question_names_the_labels_that_fit(question: LabelQuestion, allowed: set[str]) -> None:
    query = read_description({"bag": question}, SCHEMA)["bag"]
    assert (set(query.allowed), query.labels, query.or_unknown) == (allowed, BAGS, False)


@pytest.mark.parametrize(
    "question", [labels_that_fit(), labels_that_fit(is_=list(BAGS)), labels_that_fit(or_unknown=True)]
)
def test_a_group_whose_labels_all_fit_is_left_out_of_the_query(question: LabelQuestion) -> None:
    assert read_description({"bag": question}, SCHEMA) == {}


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"bag": labels_that_fit("rocket")}, "the attribute bag must be one of backpack, .*, got 'rocket'"),
        ({"bag": labels_that_fit(is_not=["rocket"])}, "got 'rocket'"),
        ({"hat": labels_that_fit("none")}, "of the schema suseong must be one of .*, got 'hat'"),
        (
            {"bag": labels_that_fit(is_=["backpack"], is_not=["backpack"])},
            "must allow at least one label, got none: is backpack",
        ),
    ],
)
def test_what_cannot_fit_is_refused(question: dict[str, LabelQuestion], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_description(question, SCHEMA)


def test_a_misspelt_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="isnot"):
        labels_that_fit(isnot=["backpack"])


@pytest.mark.parametrize(
    ("bag", "fit"),
    [
        pytest.param({"none": 0.6, "backpack": 0.1, "handbag": 0.3}, 0.1, id="surely another"),
        pytest.param({"none": 0.45, "backpack": 0.1, "handbag": 0.45}, 1 / 3, id="not known"),
        pytest.param({"none": 0.3, "backpack": 0.4, "handbag": 0.3}, 0.4, id="not known, but likelier than chance"),
    ],
)
def test_where_unknown_is_allowed_the_unsure_count_as_chance(bag: dict[str, float], fit: float) -> None:
    query = GroupQuery(("backpack",), ("none", "backpack", "handbag"), or_unknown=True)
    assert description_likelihood({"bag": bag}, {"bag": query}) == pytest.approx(fit)
    assert attribute_evidence({"bag": bag}, {"bag": query}) == pytest.approx(np.log(3 * fit))


def test_where_nobody_looked_unknown_counts_as_chance_and_else_as_least() -> None:
    labels = ("none", "backpack", "handbag")
    assert description_likelihood({}, {"bag": GroupQuery(labels[:1], labels, or_unknown=True)}) == pytest.approx(1 / 3)
    assert description_likelihood({}, {"bag": GroupQuery(labels[:1], labels)}) == pytest.approx(0.01)


QUESTIONS: list[dict[str, LabelQuestion]] = [
    {"bag": labels_that_fit("backpack")},
    {"bag": labels_that_fit(is_=["backpack", "handbag"]), "upper_colour": labels_that_fit(is_not=["red", "pink"])},
    {"bag": labels_that_fit(is_=["backpack"], or_unknown=True)},
    {
        "bag": labels_that_fit(is_not=["none"], or_unknown=True),
        "upper_colour": labels_that_fit(is_=["red", "orange"], or_unknown=True),
    },
    {"gender": labels_that_fit("female"), "age": labels_that_fit(is_not=["child"], or_unknown=True)},
]


def test_the_store_ranks_as_the_likelihood_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    embeddings = unit_vectors(seed=0, number=60, feature=8)
    groups = [SCHEMA.group(name) for name in ("bag", "upper_colour", "gender")]  # age has no probabilities
    stored = []
    for i in range(60):
        seen = groups if i % 5 else groups[1:]
        attributes = {
            group.name: dict(zip(group.label_names, rng.dirichlet([0.3] * len(group.labels)).tolist(), strict=True))
            for group in seen
        }
        stored.append(tracklet(i + 1, embeddings[i], attributes=attributes))
    with open_store(tmp_path / "store") as store:
        store.replace_sightings("demo", CAMERAS, "net-1", stored)
        for question in QUESTIONS:
            description = read_description(question, SCHEMA)
            ranked = in_transaction(store, queries.described, description, 60)
            fits = {
                hit.id: round(description_likelihood(described, description), 12)
                for hit, described in zip(ranked, in_transaction(store, queries.attributes, ranked), strict=True)
            }
            assert [hit.id for hit in ranked] == sorted(range(1, 61), key=lambda number: (-fits[number], number))
            first = in_transaction(store, queries.described, description, 7)
            assert [hit.id for hit in first] == [hit.id for hit in ranked[:7]]
            assert len(set(fits.values())) > 10
