"""Descriptions of a person by attributes: the labels that fit, and how well a tracklet's labels fit them.

`serving.database.attribute_rows` ranks by the same numbers in SQL; a test compares the two.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from domain.attribute_query import LEAST_PROBABILITY, SURE_PROBABILITY, AttributeQuery, GroupQuery
from domain.attributes import AttributeSchema, Group
from domain.errors import InputError
from domain.texts import AtMost

Label = Annotated[str, AtMost(100)]  # also a group's name
_Labels = Annotated[tuple[Label, ...], Field(max_length=100), AfterValidator(lambda all_: tuple(dict.fromkeys(all_)))]


class LabelQuestion(BaseModel):
    """Labels of one group that fit: `{"is": ["backpack", "handbag"], "or_unknown": true}`, or a label alone.

    Example:
        >>> LabelQuestion.model_validate("backpack").is_
        ('backpack',)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    is_: _Labels = Field(default=(), alias="is")  # labels that fit; empty: all except is_not
    is_not: _Labels = ()
    or_unknown: bool = False  # a person for whom no label is sure ranks no lower than by chance

    @model_validator(mode="before")
    @classmethod
    def _single_label(cls, value: Any) -> Any:
        return {"is": [value]} if isinstance(value, str) else value


Question = Mapping[str, LabelQuestion]  # by group


def read_description(question: Question, schema: AttributeSchema) -> dict[str, GroupQuery]:
    """Query for each group of `question`. A group whose labels all fit excludes nobody and is left out.

    Raises:
        InputError: if `schema` lacks a group or label, or no label of a group fits.

    Example:
        >>> from domain.schemas import read_schema
        >>> schema = read_schema("suseong_no_colour")
        >>> read_description({"gender": LabelQuestion.model_validate({"is_not": ["male"]})}, schema)["gender"].allowed
        ('female',)
    """
    description = {}
    for name, labels in question.items():
        query = _group_query(labels, schema.group(name))
        if query.allowed != query.labels:
            description[name] = query
    return description


def attribute_evidence(described: Mapping[str, Mapping[str, float]], description: AttributeQuery) -> float:
    """Evidence of a tracklet's attributes for the person of `description`: sum over groups of ln(p / chance), in nats.

    p is the total probability of the allowed labels, chance their share of the group's labels. Positive evidence speaks
    for the person, negative against. A group without probabilities contributes nothing.

    Args:
        described: group -> label -> probability of a tracklet.
        description: labels of the person.

    Example:
        >>> description = {"bag": GroupQuery(("backpack",), ("none", "backpack"))}
        >>> round(attribute_evidence({"bag": {"none": 0.5, "backpack": 0.5}}, description), 3)
        0.0
        >>> round(attribute_evidence({"bag": {"none": 0.1, "backpack": 0.9}}, description), 3)
        0.588
    """
    return sum(
        math.log(_fit(described[group], query) / query.chance)
        for group, query in description.items()
        if group in described
    )


def description_likelihood(described: Mapping[str, Mapping[str, float]], description: AttributeQuery) -> float:
    """Geometric mean over the groups of `description` of the probability that an allowed label holds, in 0..1.

    A group without probabilities counts as least likely, or as chance if unknown is allowed.

    Example:
        >>> description = {
        ...     "bag": GroupQuery(("none",), ("none", "backpack")),
        ...     "age": GroupQuery(("child",), ("child", "adult", "old")),
        ... }
        >>> round(description_likelihood({"bag": {"none": 0.36}, "age": {"child": 0.25}}, description), 3)
        0.3
    """
    if not description:
        return 0.0
    logs = [math.log(_fit(described.get(group, {}), query)) for group, query in description.items()]
    return math.exp(sum(logs) / len(logs))


def _fit(probabilities: Mapping[str, float], query: GroupQuery) -> float:
    """Probability that an allowed label holds, `LEAST_PROBABILITY`..1.

    If unknown is allowed and no label is sure, it is at least chance.
    """
    fit = sum(probabilities.get(label, 0.0) for label in query.allowed)
    if query.or_unknown and max(probabilities.values(), default=0.0) < SURE_PROBABILITY:
        fit = max(fit, query.chance)
    return min(max(fit, LEAST_PROBABILITY), 1.0)


def _group_query(question: LabelQuestion, group: Group) -> GroupQuery:
    labels = group.label_names
    for label in (*question.is_, *question.is_not):
        if label not in labels:
            raise InputError(
                f"the attribute {group.name} must be one of {', '.join(labels)}, got {label!r}",
                code="attributes_changed",
            )
    allowed = tuple(label for label in labels if label in (question.is_ or labels) and label not in question.is_not)
    if not allowed:
        raise InputError(
            f"the attribute {group.name} must allow at least one label, got none: "
            f"is {', '.join(question.is_) or 'any'}, is_not {', '.join(question.is_not)}",
            code="attributes_nothing",
        )
    return GroupQuery(allowed, labels, question.or_unknown)
