"""Scaffolds `district.yaml` and `conf/district/<name>.yaml`: facts from the files, placeholders for the rest."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from districts.placeholders import FPS, LATITUDE, LONGITUDE, SIZE_PX
from domain.errors import InputError
from domain.foreign_files import read_yaml
from domain.names import Name, require_name

_NUMBERED = re.compile(r"c(\d{1,4})")
_UNFIT = re.compile(r"[^A-Za-z0-9가-힣_-]+")
_FILL_IN = "  # fill in"
SOURCES = Path("districts-in")


@dataclass(frozen=True)
class CameraFacts:
    """What the files say of a camera; None: unknown."""

    id: Name
    fps: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    start: datetime | None = None  # of its video in videos/
    remark: str = ""  # comment beside `start`


def camera_id(text: str) -> str:
    """A camera's id from a file's or folder's name.

    Example:
        >>> camera_id("cam 1 (north).avi"), camera_id("MOT17-02-FRCNN")
        ('cam-1-north-avi', 'MOT17-02-FRCNN')
    """
    return require_name(_UNFIT.sub("-", text).strip("-")[:64] or "camera")


def numbered_cameras(ids: Sequence[str]) -> list[str]:
    """`ids` in the order of `district.yaml`; with `c1`, `c2`, … the missing numbers too, so that c7 is the seventh.

    Example:
        >>> numbered_cameras(["c3", "c1"]), numbered_cameras(["gate10", "gate9"])
        (['c1', 'c2', 'c3'], ['gate9', 'gate10'])
    """
    numbers = [_NUMBERED.fullmatch(each) for each in ids]
    if ids and all(number and int(number[1]) for number in numbers):
        return [f"c{number}" for number in range(1, max(int(each[1]) for each in numbers if each) + 1)]
    return sorted(
        set(ids), key=lambda each: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", each)]
    )


def write_description(
    folder: Path, name: str, cameras: Sequence[CameraFacts], *, schema: str, time_zone: str, source: str, licence: str
) -> None:
    """Write `district.yaml`; what the files do not say is a placeholder with a comment, which the checks report too."""
    head = {"name": name, "time_zone": time_zone, "attribute_schema": schema, "source": source, "licence": licence}
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    text += "cameras:\n" if cameras else "cameras: []\n"
    for camera in cameras:
        text += f"  - id: {_quoted(camera.id)}\n    name: {_quoted(camera.id)}\n"
        text += f"    latitude: {LATITUDE}{_FILL_IN}\n    longitude: {LONGITUDE}{_FILL_IN}\n"
        text += _line("fps", None if camera.fps is None else f"{camera.fps:.6g}", FPS)
        text += _line("width_px", camera.width_px, SIZE_PX) + _line("height_px", camera.height_px, SIZE_PX)
        if camera.start is not None or camera.remark:
            start = f'"{camera.start.isoformat()}"' if camera.start else "null"
            text += f"    start: {start}  # {'' if camera.start else 'fill in, with a time zone: '}{camera.remark}\n"
    (folder / "district.yaml").write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Configuration:
    """`conf/district/<name>.yaml`, by which a district is chosen."""

    name: Name
    settings: Mapping[str, str]  # importer and source

    @property
    def file(self) -> Path:
        """Its path, relative to the project."""
        return Path("conf/district") / f"{self.name}.yaml"

    def require_free(self) -> None:
        """Raise `InputError` if the file describes other data."""
        if self.file.is_file() and any(self._written().get(key) != value for key, value in self._wanted().items()):
            raise InputError(f"{self.file} must not describe other data; choose another NAME than {self.name}")

    def write(self) -> None:
        """Write the file, unless it is there already, perhaps with more settings."""
        if not self.file.is_file():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            lines = "".join(f"{key}: {_quoted(value)}\n" for key, value in self._wanted().items())
            self.file.write_text(
                f"# Written by districts.import_data.\ndefaults: [base, _self_]\n\n{lines}", encoding="utf-8"
            )

    def _wanted(self) -> dict[str, str]:
        return {"name": self.name, **self.settings}

    def _written(self) -> dict[str, Any]:
        content = read_yaml(self.file)
        return {"importer": "folder"} | content if isinstance(content, dict) else {}


def starts_of(texts: Sequence[str], cameras: Sequence[str]) -> Mapping[str, datetime]:
    """Beginning of each camera's footage from texts such as `2026-05-12T18:40:00+09:00` (of all) or `gate=2026-…`.

    Raises:
        InputError: if a time has no time zone or is none, or a camera is not one of `cameras`.
    """
    if texts and not cameras:
        raise InputError(f"there is no recording that could begin at --start {texts[0]}")
    starts: dict[str, datetime] = {}
    for text in texts:
        camera, equals, written = text.partition("=")
        try:
            time = datetime.fromisoformat(written if equals else text)
        except ValueError as error:
            raise InputError(f"--start must be a time such as 2026-05-12T18:40:00+09:00, got {text!r}") from error
        if time.tzinfo is None:
            raise InputError(f"--start must have a time zone, such as +09:00, got {text!r}")
        if equals and camera not in cameras:
            raise InputError(f"--start must name a camera, {', '.join(cameras)}; got {camera!r}")
        starts |= {camera: time} if equals else dict.fromkeys(cameras, time)
    return starts


def _line(key: str, value: object | None, placeholder: object) -> str:
    return f"    {key}: {placeholder if value is None else value}{_FILL_IN if value is None else ''}\n"


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, allow_unicode=True, default_style='"').strip()
