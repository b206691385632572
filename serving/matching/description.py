"""A description of a person in words: which labels of each attribute group fit, and how well a tracklet's do.

`serving.database.attribute_rows` ranks by the same numbers in SQL; a test holds the two together.
"""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.attribute_query import LEAST_PROBABILITY, SURE_PROBABILITY, AttributeQuery, GroupQuery
from domain.attributes import AttributeSchema, Group
from domain.errors import InputError


class LabelQuestion(BaseModel):
    """What is asked of one group, such as `{"is": ["backpack", "handbag"], "or_unknown": true}`, or `"backpack"` alone.

    Example:
        >>> LabelQuestion.model_validate("backpack").is_
        ('backpack',)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    is_: tuple[str, ...] = Field(default=(), alias="is")  # any of these; empty: any but those of is_not
    is_not: tuple[str, ...] = ()
    or_unknown: bool = False  # people of whom it is not known are not pushed back

    @model_validator(mode="before")
    @classmethod
    def _label_alone(cls, asked: Any) -> Any:
        return {"is": [asked]} if isinstance(asked, str) else asked


Question = Mapping[str, LabelQuestion]  # by group


def read_description(question: Question, schema: AttributeSchema) -> dict[str, GroupQuery]:
    """`question` in the words of `schema`; a group of which every label fits says nothing and is left out.

    Raises:
        InputError: if a group or label does not exist, or no label of a group is left that may fit.

    Example:
        >>> from domain.schemas import read_schema
        >>> schema = read_schema("suseong_no_colour")
        >>> read_description({"gender": LabelQuestion.model_validate({"is_not": ["male"]})}, schema)["gender"].allowed
        ('female',)
    """
    description = {}
    for name, asked in question.items():
        wanted = _wanted(asked, schema.group(name))
        if wanted.allowed != wanted.labels:
            description[name] = wanted
    return description


def attribute_evidence(described: Mapping[str, Mapping[str, float]], description: AttributeQuery) -> float:
    """How much better than chance `described` fits: sum over groups of ln(p / chance), in nats.

    p is the probability of all labels that are allowed together, chance their share of the group's labels. Above 0
    speaks for the person, below against. A group that nobody looked at says nothing.

    Args:
        described: group -> label -> probability, of a tracklet.
        description: of the person.

    Example:
        >>> wanted = {"bag": GroupQuery(("backpack",), ("none", "backpack"))}
        >>> round(attribute_evidence({"bag": {"none": 0.5, "backpack": 0.5}}, wanted), 3)
        0.0
        >>> round(attribute_evidence({"bag": {"none": 0.1, "backpack": 0.9}}, wanted), 3)
        0.588
    """
    return sum(
        math.log(_fit(described[group], wanted) / wanted.chance)
        for group, wanted in description.items()
        if group in described
    )


def description_likelihood(described: Mapping[str, Mapping[str, float]], description: AttributeQuery) -> float:
    """Geometric mean over groups of the probability that a label of `description` holds, in 0..1.

    A group that nobody looked at counts as least likely, or as chance where unknown is allowed.

    Example:
        >>> wanted = {
        ...     "bag": GroupQuery(("none",), ("none", "backpack")),
        ...     "age": GroupQuery(("child",), ("child", "adult", "old")),
        ... }
        >>> round(description_likelihood({"bag": {"none": 0.36}, "age": {"child": 0.25}}, wanted), 3)
        0.3
    """
    if not description:
        return 0.0
    logs = [math.log(_fit(described.get(group, {}), wanted)) for group, wanted in description.items()]
    return math.exp(sum(logs) / len(logs))


def _fit(probabilities: Mapping[str, float], wanted: GroupQuery) -> float:
    """Probability that an allowed label holds, `LEAST_PROBABILITY`..1; if unknown is allowed, an unsure one is chance
    at least."""
    fit = sum(probabilities.get(label, 0.0) for label in wanted.allowed)
    if wanted.or_unknown and max(probabilities.values(), default=0.0) < SURE_PROBABILITY:
        fit = max(fit, wanted.chance)
    return min(max(fit, LEAST_PROBABILITY), 1.0)


def _wanted(asked: LabelQuestion, group: Group) -> GroupQuery:
    labels = group.label_names
    for label in (*asked.is_, *asked.is_not):
        if label not in labels:
            raise InputError(f"the attribute {group.name} must be one of {', '.join(labels)}, got {label!r}")
    allowed = tuple(label for label in labels if label in (asked.is_ or labels) and label not in asked.is_not)
    if not allowed:
        raise InputError(
            f"the attribute {group.name} must leave a label that fits, got none: is {', '.join(asked.is_) or 'any'}, "
            f"is_not {', '.join(asked.is_not)}"
        )
    return GroupQuery(allowed, labels, asked.or_unknown)
