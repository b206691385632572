"""Numbers for the identities of a source, and names for its cameras."""

import re
from collections.abc import Iterable

from districts.importing.description import camera_id
from districts.layout import DISTRACTOR_IDENTITY, whole_number

_DIGITS = re.compile(r"(\d+)")


def number_identities(names: Iterable[str]) -> tuple[dict[str, int], str]:
    """A number from 1 for each identity, and a note on it: the names themselves, if all are such numbers.

    Example:
        >>> number_identities(["0012"]), number_identities(["b10", "b9"])[0]
        (({'0012': 12}, ''), {'b9': 1, 'b10': 2})
    """
    unique = set(names)
    numbers = {name: whole_number(name) for name in unique}
    kept = {name: number for name, number in numbers.items() if number is not None and number > DISTRACTOR_IDENTITY}
    if len(kept) == len(unique) == len(set(kept.values())):
        return kept, ""
    ordered = sorted(unique, key=_natural)
    return (
        {name: number for number, name in enumerate(ordered, start=1)},
        f"identities are numbered from 1 in the order of their names, {ordered[0]} to {ordered[-1]}",
    )


def name_camera(text: str) -> str:
    """A camera's id; a number becomes c1, c2, …

    Example:
        >>> name_camera("003"), name_camera("north gate")
        ('c3', 'north-gate')
    """
    return f"c{int(text)}" if text.isdecimal() and len(text) < 5 else camera_id(text)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """A key by which numbers in names are in the order of numbers, however long they are."""
    parts = [(part.lstrip("0") or "0") if part.isdecimal() else part for part in _DIGITS.split(name)]
    return [(not part.isdecimal(), len(part) if part.isdecimal() else 0, part) for part in parts]
