"""Attribute schema: the groups by which a person (or the scene) is described, and the labels of each."""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from domain.errors import InputError

_SCHEMAS = Path(__file__).parent / "schemas"
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


def read_schema(name_or_file: str | Path) -> AttributeSchema:
    """A schema that comes with the project, by name, or any other by its YAML file.

    Raises:
        InputError: if there is no such schema or the file does not hold one.

    Example:
        >>> read_schema("suseong_no_colour").num_binary_labels
        28
    """
    file = Path(name_or_file)
    if file.suffix not in {".yaml", ".yml"}:
        file = _SCHEMAS / f"{name_or_file}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in _SCHEMAS.glob("*.yaml")))
        raise InputError(f"an attribute schema must be one of {known}, or a .yaml file, got {name_or_file}")
    try:
        return AttributeSchema.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise InputError(f"{file} must be YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{file} must be an attribute schema; {place}: {first['msg']}, got {first['input']!r}"
        ) from error
