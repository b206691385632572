"""Camera and start time of a video file: from a sidecar, the file's name, or a district's folder.

A sidecar `<file>.yaml` beside the file, such as gate.mp4.yaml, has precedence over the file's name:

    camera: c1
    start: 2026-05-12T18:40:00+09:00     # without an offset: in the district's time zone
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from districts.layout import District
from domain.errors import InputError, shown
from domain.foreign_files import SMALL_BYTES, read_yaml
from domain.names import is_hidden, require_name

_TIME_GROUPS = ("year", "month", "day", "hour", "minute", "second")
_SIDECAR = ".yaml"
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LEAD = timedelta(days=1)  # clocks of cameras and time zones are wrong by hours


@dataclass(frozen=True)
class Recording:
    """A video file with its camera and start time."""

    file: Path  # absolute
    camera_id: str
    start: datetime  # time of the first frame, with a time zone


@dataclass(frozen=True)
class Naming:
    """Rules that give a file its camera and start time; values given here have precedence over those of a file.

    Args:
        file_name: regular expression for the whole name of a file without its suffix, with the groups `camera`, `year`,
            `month`, `day`, `hour`, `minute` and `second`.
        time_zone: IANA name of the time zone for times without an offset.
        camera_id: camera of all files.
        start: start time of the only file.
    """

    file_name: str
    time_zone: str
    camera_id: str | None = None
    start: str | None = None

    def recording(self, file: Path) -> Recording:
        """The recording in `file`.

        Raises:
            InputError: if its camera or start time is missing or invalid.
        """
        try:
            str(file).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{str(file)!a} must have a name in UTF-8, to be stored with its sightings") from error
        from_name = self._from_name(file)
        sidecar = _sidecar(file)
        camera_id = self.camera_id or sidecar.get("camera") or from_name.get("camera")
        start = self.start or sidecar.get("start") or from_name.get("start")
        if not camera_id or not start:
            missing = " and ".join(name for name, value in (("camera", camera_id), ("start", start)) if not value)
            raise InputError(
                f"{file} must have a known {missing}: give it a name that matches {self.file_name}, write {file.name}"
                f"{_SIDECAR} beside it, or give --camera and --start"
            )
        try:
            camera_id = require_name(camera_id)
        except InputError as error:
            raise InputError(f"{file} must be of a camera: {error}") from error
        return Recording(file.resolve(), camera_id, self._moment(file, start))

    def _from_name(self, file: Path) -> dict[str, str]:
        match = re.fullmatch(self.file_name, unicodedata.normalize("NFC", file.stem))
        if match is None:
            return {}
        groups = match.groupdict()
        fields = {"camera": groups["camera"]} if groups.get("camera") else {}
        if all(groups.get(name) for name in _TIME_GROUPS):
            year, month, day, hour, minute, second = (groups[name] for name in _TIME_GROUPS)
            fields["start"] = f"{year}-{month}-{day}T{hour}:{minute}:{second}"
        return fields

    def _moment(self, file: Path, text: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise InputError(
                f"{file} must have a start time in ISO 8601, such as 2026-05-12T18:40:00+09:00, got {shown(text)}"
            ) from error
        moment = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.time_zone))
        require_plausible(moment, f"the start of {file}")
        return moment


def require_plausible(moment: datetime, what: str) -> None:
    """Raise `InputError` if `moment`, which is `what`, is before 1990 or more than a day from now.

    What is dated in the future outlives its retention.
    """
    if not _EARLIEST <= moment <= datetime.now(UTC) + _LEAD:
        raise InputError(
            f"{what} must lie between {_EARLIEST.year} and a day from now by this machine's clock, got "
            f"{moment.isoformat()}"
        )


def files_of(path: Path) -> list[Path]:
    """`path` itself if it is a file; else the files of the folder by name, without hidden files and sidecars."""
    if not path.is_dir():
        return [path]
    return sorted(
        file for file in path.iterdir() if file.is_file() and file.suffix != _SIDECAR and not is_hidden(file.name)
    )


def recordings_of_district(district: District, folder: Path) -> Iterator[Recording | InputError]:
    """The recording of each camera in a district's folder, or the error why a camera has none."""
    for camera in district.cameras:
        if camera.start is None:
            yield InputError(
                f"{folder / 'district.yaml'} must say when the video of camera {camera.id} starts (start:)"
            )
        elif (error := _error_of_start(camera.start, folder)) is not None:
            yield error
        else:
            file = folder / "videos" / f"{camera.id}.mp4"
            as_on_macos = file.with_name(unicodedata.normalize("NFD", file.name))
            found = as_on_macos if as_on_macos.is_file() and not file.is_file() else file
            yield Recording(found.resolve(), camera.id, camera.start)


def _error_of_start(start: datetime, folder: Path) -> InputError | None:
    if start.tzinfo is None:
        return InputError(f"{folder / 'district.yaml'} must give each start: with an offset, got {start.isoformat()}")
    try:
        require_plausible(start, f"a start: in {folder / 'district.yaml'}")
    except InputError as error:
        return error
    return None


def _sidecar(file: Path) -> dict[str, str]:
    sidecar = file.with_name(file.name + _SIDECAR)
    if not sidecar.exists():
        return {}
    content = read_yaml(sidecar, SMALL_BYTES, texts=True)
    is_text = isinstance(content, dict) and all(isinstance(value, str) for value in content.values())
    if not is_text or not set(content) <= {"camera", "start"}:
        raise InputError(f"{sidecar} must have only camera: and start:, got {shown(content)}")
    return content
