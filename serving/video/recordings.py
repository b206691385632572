"""Camera and start time of a video file: from a sidecar, the file's name, or a district's folder.

A sidecar `<file>.yaml` beside the file, such as gate.mp4.yaml, has precedence over the file's name:

    camera: c1
    start: 2026-05-12T18:40:00+09:00     # without an offset: in the district's time zone
"""

import re
import unicodedata
from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from districts.layout import District
from domain.errors import InputError, shown
from domain.foreign_files import SMALL_BYTES, read_yaml
from domain.names import is_hidden, require_name
from serving.video.folders import SIDECAR

_TIME_GROUPS = ("year", "month", "day", "hour", "minute", "second")
_VIDEOS = {".avi", ".dav", ".flv", ".m2ts", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".ts", ".webm"}
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
            `month`, `day`, `hour`, `minute` and `second`, of which `camera` may be missing, and perhaps `offset`.
        time_zone: IANA name of the time zone for times without an offset.
        camera_id: camera of all files.
        start: start time of the only file.
        cameras: names of folders that say the camera of their files, if nothing else does.
    """

    file_name: str
    time_zone: str
    camera_id: str | None = None
    start: str | None = None
    cameras: Set[str] = frozenset()

    def recording(self, file: Path, folder: Path | None = None) -> Recording:
        """The recording in `file`, which was found in `folder` or below it.

        Raises:
            InputError: if its camera or start time is missing or invalid.
        """
        try:
            str(file).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{str(file)!a} must have a name in UTF-8, to be stored with its sightings") from error
        from_name = self._from_name(file)
        sidecar = _sidecar(file)
        camera_id = self.camera_id or sidecar.get("camera") or from_name.get("camera") or self._of_folder(file, folder)
        start = self.start or sidecar.get("start") or from_name.get("start")
        if not camera_id or not start:
            missing = " and ".join(name for name, value in (("camera", camera_id), ("start", start)) if not value)
            raise InputError(
                f"{file} must have a known {missing}: give it a name that matches serving.ingest.file_name, by default "
                f"such as c1_20260512T184000, write {file.name}{SIDECAR} beside it, or give --camera and --start"
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
            fields["start"] = f"{year}-{month}-{day}T{hour}:{minute}:{second}{groups.get('offset') or ''}"
        return fields

    def _of_folder(self, file: Path, folder: Path | None) -> str | None:
        """The name of the nearest folder, up to `folder`, that is a camera's."""
        if folder is None:
            return None
        inside = [parent for parent in file.absolute().parents if parent.is_relative_to(folder.absolute())]
        return next((parent.name for parent in inside if parent.name in self.cameras), None)

    def _moment(self, file: Path, text: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise InputError(
                f"{file} must have a start time in ISO 8601, such as 2026-05-12T18:40:00+09:00, got {shown(text)}"
            ) from error
        moment = moment if moment.tzinfo else _local(moment, self.time_zone, file)
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


def _local(moment: datetime, time_zone: str, file: Path) -> datetime:
    """`moment` in this time zone, unless its clocks show it twice or never."""
    zone = ZoneInfo(time_zone)
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    shown_never = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment
    choices = " or ".join(
        one.astimezone(timezone(one.utcoffset() or timedelta())).isoformat() for one in (first, second)
    )
    raise InputError(
        f"{file} must have a start with an offset from UTC, because clocks in {time_zone} show "
        f"{moment.isoformat(sep=' ')} {'never' if shown_never else 'twice'} on that day: write {choices} as start: in "
        f"{file.name}{SIDECAR}, or give it as --start"
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
            yield Recording(_as_named(file).resolve(), camera.id, camera.start)


def passed_over_in_district(district: District, folder: Path) -> list[str]:
    """What is said of videos in a district's folder that are not called as a camera."""
    expected = {unicodedata.normalize("NFC", camera.id) for camera in district.cameras}
    try:
        names = sorted(file.name for file in (folder / "videos").iterdir() if not is_hidden(file.name))
    except OSError:  # the recordings that are missing say so
        return []
    others = [
        name
        for name in names
        if Path(name).suffix.lower() in _VIDEOS
        and (unicodedata.normalize("NFC", Path(name).stem) not in expected or Path(name).suffix.lower() != ".mp4")
    ]
    if not others:
        return []
    listed = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    return [
        f"{len(others)} videos in {folder / 'videos'} were passed over, because they are not called <camera>.mp4: "
        f"{listed}; give them as files, with names that say camera and start"
    ]


def _as_named(file: Path) -> Path:
    """`file`, also if its ending is in capitals or its name is composed as on macOS."""
    stems = file.stem, unicodedata.normalize("NFD", file.stem)
    names = [f"{stem}{suffix}" for stem in stems for suffix in (file.suffix, file.suffix.upper())]
    return next((one for name in names if (one := file.with_name(name)).is_file()), file)


def _error_of_start(start: datetime, folder: Path) -> InputError | None:
    if start.tzinfo is None:
        return InputError(f"{folder / 'district.yaml'} must give each start: with an offset, got {start.isoformat()}")
    try:
        require_plausible(start, f"a start: in {folder / 'district.yaml'}")
    except InputError as error:
        return error
    return None


def _sidecar(file: Path) -> dict[str, str]:
    sidecar = file.with_name(file.name + SIDECAR)
    if not sidecar.exists():
        return {}
    content = read_yaml(sidecar, SMALL_BYTES, texts=True)
    is_text = isinstance(content, dict) and all(isinstance(value, str) for value in content.values())
    if not is_text or not set(content) <= {"camera", "start"}:
        raise InputError(f"{sidecar} must have only camera: and start:, got {shown(content)}")
    return content
