"""Options of an import."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from districts.importing.splits import Shares

Part = Literal["detection", "reid", "attributes", "videos"]
PARTS: tuple[Part, ...] = ("detection", "reid", "attributes", "videos")


@dataclass(frozen=True)
class Options:
    """What the user chooses; the command line explains each."""

    name: str
    classes: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Part, ...] = PARTS
    shares: Shares = field(default_factory=Shares)
    every_s: float = 1.0
    fps: float | None = None
    starts: tuple[str, ...] = ()
    shared_identities: bool = False
    schema: str = "suseong"
    time_zone: str = "UTC"
    source: str = ""
    licence: str = "unknown"
