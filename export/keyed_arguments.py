"""Command lines of `key=value` for commands that are no stage of `dvc.yaml` and so have no section of `params.yaml`."""

import difflib
from collections.abc import Sequence
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from domain.errors import InputError
from domain.settings import Settings

_Arguments = TypeVar("_Arguments", bound=Settings)


def parse_arguments(kind: type[_Arguments], argv: Sequence[str]) -> _Arguments:
    """`argv` as `kind`; values are YAML.

    Raises:
        InputError: if a key is unknown, given twice or missing, or a value does not fit.
    """
    values: dict[str, Any] = {}
    for argument in argv:
        key, equals, value = argument.partition("=")
        if not equals:
            raise InputError(f"an argument must look like key=value, got {argument!r}; keys: {_keys(kind)}")
        if key not in kind.model_fields:
            near = difflib.get_close_matches(key, list(kind.model_fields), n=1)
            raise InputError(f"unknown key {key}{f'; did you mean {near[0]}?' if near else f'; keys: {_keys(kind)}'}")
        if key in values:
            raise InputError(f"{key} must be given once, got it twice")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"the value of {key} must be YAML, got {value!r}") from error
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InputError("\n".join(_complaint(kind, item) for item in error.errors())) from error


def _complaint(kind: type[Settings], item: Any) -> str:
    key = ".".join(map(str, item["loc"]))
    if item["type"] == "missing":
        return f"{key}=… must be given; keys: {_keys(kind)}"
    return f"{key}: {item['msg']}, got {item['input']!r}" if key else item["msg"].removeprefix("Value error, ")


def _keys(kind: type[Settings]) -> str:
    return ", ".join(kind.model_fields)
