"""Times of crops: `times.csv` of a source, with the columns image and time_s: seconds on one clock, or ISO 8601."""

from pathlib import Path, PurePosixPath

from districts.findings import Finding
from districts.importers.intake import Intake
from districts.importing.crop_sets import write_times
from districts.layout import REID_PARTS, find_pictures, seconds
from domain.errors import InputError, shown
from domain.foreign_files import read_rows

_TABLE = "times.csv"


def read_times(source: Path) -> dict[str, float]:
    """Time of each picture by its path relative to `source`, and by its file name where that is unique.

    A source without `times.csv` has none.

    Raises:
        InputError: if the table lacks a column, a time is no number, or two pictures of one name have different times.
    """
    file = source / _TABLE
    if not file.is_file():
        return {}
    times: dict[str, float] = {}
    ambiguous = set[str]()
    for line, row in read_rows(file, ("image", "time_s")).items():
        path, time = row["image"].replace("\\", "/"), seconds(row["time_s"])
        if time is None:
            raise InputError(
                f"{file}, line {line}: time_s must be seconds or an ISO 8601 time, got {shown(row['time_s'])}"
            )
        for key in {path, PurePosixPath(path).name}:
            if times.setdefault(key, time) != time:
                ambiguous.add(key)
    for key in ambiguous:
        if "/" in key:
            raise InputError(f"{file} must give each picture one time, got two for {key}")
        del times[key]
    return times


def time_of(picture: str, times: dict[str, float]) -> float | None:
    """The time of a picture by its path relative to the source, or by its name."""
    return times.get(picture, times.get(PurePosixPath(picture).name))


def carry_times(intake: Intake) -> None:
    """Write `reid/times.csv` of a district whose re-ID crops kept their names, and say how many have times.

    Nothing is done if the source has no times, or the district has some already.

    Raises:
        InputError: as `read_times` does.
    """
    times, reid = read_times(intake.source), intake.folder / "reid"
    if not times or not reid.is_dir() or (reid / _TABLE).exists():
        return
    names = [file.name for part in REID_PARTS if (reid / part).is_dir() for file in find_pictures(reid / part)]
    known = {name: times[name] for name in names if name in times}
    intake.stands_for(f"reid/{_TABLE}", intake.source / _TABLE)
    if len(known) < len(names):
        message = f"gives {len(known)} of {len(names)} re-ID crops a time"
        intake.findings.append(Finding(False, str(intake.source / _TABLE), message))
    if known:
        write_times(reid / _TABLE, known)
