"""Attribute schema: the groups that describe a person or the scene, and the labels of each group."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.errors import InputError
from domain.names import Name

UNKNOWN = ""  # an unknown label in a CSV file


class Label(BaseModel):
    """A value of a group, such as `backpack` of `bag`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    korean: str = Field(min_length=1)
    absent: bool = False  # e.g. no bag: a class of the softmax, but not counted as a label


class Group(BaseModel):
    """Mutually exclusive labels, one of which applies; each group is one softmax head."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    english: str
    korean: str
    of: Literal["person", "scene"] = "person"
    colour: bool = False
    labels: tuple[Label, ...] = Field(min_length=2)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names in the order of the head's outputs."""
        return tuple(label.name for label in self.labels)


class AttributeSchema(BaseModel):
    """All groups of a district's attributes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    groups: tuple[Group, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for what, names in [("group", [group.name for group in self.groups])] + [
            (f"label of {group.name}", list(group.label_names)) for group in self.groups
        ]:
            repeated = {name for name in names if names.count(name) > 1}
            if repeated:
                raise ValueError(f"each {what} must have a unique name, got {sorted(repeated)} more than once")
        return self

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups in order."""
        return tuple(group.name for group in self.groups)

    @property
    def num_binary_labels(self) -> int:
        """Number of labels that are not `absent`, as the study counts them (28 in `suseong_no_colour`)."""
        return sum(not label.absent for group in self.groups for label in group.labels)

    def group(self, name: str) -> Group:
        """The group called `name`.

        Raises:
            InputError: if there is no such group.
        """
        for group in self.groups:
            if group.name == name:
                return group
        names = ", ".join(self.group_names)
        raise InputError(f"an attribute group of the schema {self.name} must be one of {names}, got {name!r}")
