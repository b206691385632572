"""Settings of the stages: sections of `params.yaml`, composed by Hydra through DVC, with `key=value` overrides.

Every key has its default in `conf/`. An override of a key that is not in `params.yaml` stops the run; so does a key
that the stage's settings class does not list.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from domain.errors import InputError, shown
from domain.names import require_name

PARAMS = Path("params.yaml")
_OPENING = ("'", '"', "[", "{")
_COMMENT = re.compile(r"(^|\s)#")


_OVERRIDES = "Arguments are key=value, such as seed=2, and override params.yaml for this run."
_HELP = {"-h", "--help"}


class HelpAsked(Exception):  # noqa: N818  # no error
    """The user asks a command for help: the text says what its arguments are."""


class Settings(BaseModel):
    """A section of `params.yaml`: frozen; an unknown key stops the run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def from_params(cls, section: str, argv: Sequence[str] = (), file: Path = PARAMS) -> Self:
        """Read the section `section` (dotted if nested) of `file`, with the overrides in `argv`.

        Raises:
            InputError: if the file is missing, an override names an unknown key, or a value is invalid.
        """
        if _HELP & set(argv):
            raise HelpAsked(f"{_OVERRIDES} Keys of the section {section}: {', '.join(cls.model_fields)}.")
        values: Any = read_params(argv, file)
        for key in section.split("."):
            if not isinstance(values, Mapping) or key not in values:
                raise InputError(f"{file} must have the section {section}; compose it with `make params`")
            values = values[key]
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [_complaint(cls, section, item) for item in error.errors()]
            raise InputError("\n".join(lines)) from error

    @classmethod
    def from_arguments(cls, argv: Sequence[str]) -> Self:
        """Read the `key=value` arguments of a command without a section; values are YAML.

        Raises:
            InputError: if a key is unknown, repeated or missing, or a value is invalid.
        """
        keys, values = ", ".join(cls.model_fields), dict[str, Any]()
        if _HELP & set(argv):
            raise HelpAsked(f"Arguments are key=value; keys: {keys}.")
        for argument in argv:
            key, value = _parse(argument, f"an argument must look like key=value, got {argument!r}; keys: {keys}")
            if key not in cls.model_fields:
                raise InputError(f"unknown key {key}{_did_you_mean(key, cls.model_fields) or f'; keys: {keys}'}")
            if key in values:
                raise InputError(f"{key} must be given once, got it twice")
            values[key] = value
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError("\n".join(_argument_complaint(item, keys) for item in error.errors())) from error


def read_params(argv: Sequence[str] = (), file: Path = PARAMS) -> dict[str, Any]:
    """Read `file` as nested dicts, with the `key=value` overrides in `argv`; values are YAML.

    Raises:
        InputError: if the file is missing, an override is not `key=value`, or its key is not in the file.
    """
    if _HELP & set(argv):
        raise HelpAsked(_OVERRIDES)
    if not file.is_file():
        raise InputError(f"{file} must exist in the folder the stage runs in ({Path.cwd()}); compose it: make params")
    params = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    if not isinstance(params, dict):
        raise InputError(
            f"{file} must hold a mapping of sections, got {type(params).__name__}; compose it: make params"
        )
    for override in argv:
        _override(params, override)
    return params


def name_in(params: Mapping[str, Any], section: str, key: str, file: Path = PARAMS) -> str:
    """The name of a district, engine or backbone that `params` has at `section.key`; it becomes part of a path.

    Raises:
        InputError: if it is missing or no name; see `domain.names`.
    """
    values = params.get(section)
    if not isinstance(values, Mapping) or not isinstance(values.get(key), str):
        raise InputError(f"{file} must name {section}.{key}; compose it: make params")
    try:
        return require_name(values[key])
    except InputError as error:
        raise InputError(f"{section}.{key}: {error}") from error


def _override(params: dict[str, Any], override: str) -> None:
    key, value = _parse(override, f"an override must look like key=value, got {override!r}")
    known = list(_dotted_keys(params))
    if key not in known:
        raise InputError(f"unknown configuration key {key}{_did_you_mean(key, known)}")
    *parents, last = key.split(".")
    target = params
    for parent in parents:
        target = target[parent]
    target[last] = value


def _parse(argument: str, malformed: str) -> tuple[str, Any]:
    """Key and value of `key=value`; raises `InputError`, with the message `malformed` if there is no `=`."""
    key, equals, value = argument.partition("=")
    if not equals:
        raise InputError(malformed)
    try:
        return key, _value(value)
    except (yaml.YAMLError, ValueError) as error:  # also a date that is none
        raise InputError(f"the value of {key} must be YAML, got {value!r}") from error


def _value(text: str) -> Any:
    """`text` as YAML, without what makes sense only in a file: comments, and lists and mappings without brackets."""
    is_plain = not text.lstrip().startswith(_OPENING)
    if is_plain and _COMMENT.search(text):
        return text
    value = yaml.safe_load(text)
    return text if is_plain and isinstance(value, (list, dict)) else value


def _did_you_mean(key: str, known: Iterable[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def _dotted_keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _dotted_keys(value, f"{prefix}{key}.")


def _complaint(cls: type[Settings], section: str, item: Mapping[str, Any]) -> str:
    key = ".".join([section, *map(str, item["loc"])])
    if item["type"] != "extra_forbidden":
        return f"{key}: {item['msg']}, got {shown(item['input'])}"
    return f"unknown configuration key {key}{_did_you_mean(str(item['loc'][-1]), cls.model_fields, f'{section}.')}"


def _argument_complaint(item: Mapping[str, Any], keys: str) -> str:
    key = ".".join(map(str, item["loc"]))
    if item["type"] == "missing":
        return f"{key}=… must be given; keys: {keys}"
    return f"{key}: {item['msg']}, got {shown(item['input'])}" if key else item["msg"].removeprefix("Value error, ")
