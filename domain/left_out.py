"""Stages that a district does not have, as the section `stages` of `params.yaml` says."""

from collections.abc import Mapping
from typing import Any


def left_out_lines(params: Mapping[str, Any]) -> list[str]:
    """A line for each stage that is left out, with the reason.

    Example:
        >>> left_out_lines({"stages": {"left_out": {"track": "the district has no videos"}}})
        ['track: left out, the district has no videos']
    """
    return [f"{stage}: left out, {reason}" for stage, reason in params.get("stages", {}).get("left_out", {}).items()]
