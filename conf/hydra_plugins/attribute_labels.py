"""Whether a taken attribute engine answers what a district's labels ask, so that it can be scored by them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .resolvers import project

_PUBLISHED = ("pa100k", "peta", "market1501")  # importers whose schema has their name

Labels = dict[str, set[str]]  # of each group


def why_not_scored(engine: str | Mapping[str, Any], district: Mapping[str, Any]) -> str | None:
    """Why labels of the district cannot score the engine, as `take.attributes` names it; None if they can.

    What cannot be read is left to the stages, which say what is wrong with it.
    """
    try:
        answers, asked = _of_engine(engine), _of_district(district)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
    strange = sorted(group for group, labels in answers.items() if not asked.get(group, {""}) <= labels)
    if not strange:
        return None
    return f"take.attributes has other groups or labels than the district: {', '.join(strange)}"


def _of_engine(engine: str | Mapping[str, Any]) -> Labels:
    if not isinstance(engine, str):
        return _of_schema(engine["attribute_schema"], project())
    card = json.loads((project() / Path(engine).expanduser() / "card.json").read_text(encoding="utf-8"))
    return _labels(card["attribute_schema"])


def _of_district(district: Mapping[str, Any]) -> Labels:
    if district["importer"] in _PUBLISHED:
        return _of_schema(district["importer"], project())
    folder = project() / Path(district["source"]).expanduser()
    described = yaml.safe_load((folder / "district.yaml").read_text(encoding="utf-8"))
    return _of_schema(described["attribute_schema"], folder)


def _of_schema(schema: str, folder: Path) -> Labels:
    """Labels of a schema: a file in `folder`, else one that comes with the project."""
    own = folder / schema
    file = own if own.is_file() else project() / "domain" / "schemas" / f"{schema}.yaml"
    return _labels(yaml.safe_load(file.read_text(encoding="utf-8")))


def _labels(schema: Mapping[str, Any]) -> Labels:
    return {group["name"]: {label["name"] for label in group["labels"]} for group in schema["groups"]}
