"""Attribute schema: the groups by which a person (or the scene) is described, and the labels of each."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.errors import InputError

UNKNOWN = ""  # how a CSV says that a label is not known


class Label(BaseModel):
    """One value of a group, such as `backpack` of `bag`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    korean: str = Field(min_length=1)
    absent: bool = False  # says that there is nothing (no bag): a class of the softmax, but no label to be counted


class Group(BaseModel):
    """Labels of which exactly one holds; each group is one softmax head."""

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
    """All groups by which a district describes people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    groups: tuple[Group, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for what, names in [("group", [group.name for group in self.groups])] + [
            (f"label of {group.name}", list(group.label_names)) for group in self.groups
        ]:
            double = {name for name in names if names.count(name) > 1}
            if double:
                raise ValueError(f"each {what} must be named once, got {sorted(double)} twice")
        return self

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups in order."""
        return tuple(group.name for group in self.groups)

    @property
    def num_binary_labels(self) -> int:
        """How many labels say that something is there; the study counts these (28 in `suseong_no_colour`)."""
        return sum(not label.absent for group in self.groups for label in group.labels)

    def group(self, name: str) -> Group:
        """The group called `name`.

        Raises:
            InputError: if there is none.
        """
        for group in self.groups:
            if group.name == name:
                return group
        raise InputError(f"the schema {self.name} has the groups {', '.join(self.group_names)}, got {name!r}")
