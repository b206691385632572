"""Checks of a district's data before training; each defect is reported with its file and line.

Fatal: training or evaluation would break, or its figures would mean nothing. Warning: worth a look.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from districts.checks.appearance import check_appearance
from districts.checks.attributes import check_attributes
from districts.checks.cameras import check_cameras
from districts.checks.detection import check_detection
from districts.checks.readings import Readings
from districts.checks.reid import check_reid
from districts.checks.splits import attribute_pictures, check_identities, check_same_pictures
from districts.checks.videos import check_videos
from districts.findings import Finding, contents, fatal
from districts.layout import REID_PARTS, SPLITS, District, find_pictures, read_district
from districts.placeholders import check_placeholders
from domain.attributes import AttributeSchema
from domain.errors import InputError
from domain.names import is_hidden
from domain.schemas import read_schema

_PARTS = ("detection", "reid", "videos", "attributes")  # what has many warnings, last

_DEMO = "recordings"  # videos from which the demo's training pictures are cut


def check_district(folder: Path, *, is_published: bool = False) -> list[Finding]:
    """All defects of the district in `folder`; only the parts that exist are checked.

    A picture in training and in test is no reason to refuse a set that `is_published`: everybody has the same one.
    """
    findings: list[Finding] = []
    district, schema = _described(folder, findings)
    present = [name for name in _PARTS if (folder / name).is_dir()]
    if not present:
        findings.append(
            Finding(True, str(folder), f"must hold one of the folders {', '.join(_PARTS)}; {contents(folder)}")
        )
    findings.extend(_check_folders(folder))
    readings = Readings().read(_pictures_of(folder))
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        "detection": lambda: check_detection(folder, SPLITS, readings),
        "reid": lambda: check_reid(folder, len(district.cameras) if district else 0, readings),
    }
    if schema is not None and district is not None:
        cameras = {camera.id for camera in district.cameras}
        checks["attributes"] = lambda: check_attributes(folder, schema, cameras, readings)
        checks["videos"] = lambda: check_videos(folder, district, schema)
    findings.extend(check_identities(folder))
    findings.extend(check_same_pictures(folder, readings, is_published=is_published))
    for name in present:
        if name in checks:
            findings.extend(checks[name]())
        else:
            findings.append(Finding(False, str(folder / name), "is not checked before district.yaml is right"))
    findings.extend(check_appearance(folder, readings))
    if district is not None:
        findings.extend(check_cameras(folder, district))
        place, has_videos = str(folder / "district.yaml"), "videos" in present
        findings.extend(check_placeholders(place, district, has_videos=has_videos))
    return findings


def _pictures_of(folder: Path) -> Iterator[Path]:
    """All pictures of the district in `folder`, but those of problems in videos."""
    scenes = [folder / "detection" / "images" / split for split in SPLITS]
    for place in (*scenes, *(folder / "reid" / part for part in REID_PARTS), folder / "attributes" / "images"):
        yield from find_pictures(place) if place.is_dir() else ()
    for split in SPLITS:
        yield from attribute_pictures(folder / "attributes", split)


def _check_folders(folder: Path) -> Iterator[Finding]:
    """Folders that are no part of a district, and so are not read."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in (*_PARTS, _DEMO) and not is_hidden(path.name):
            is_misspelt = path.name.casefold() in _PARTS
            message = f"must be called {path.name.casefold()}" if is_misspelt else "is not read"
            yield Finding(is_misspelt, str(path), f"{message}; a district has the folders {', '.join(_PARTS)}")


def _described(folder: Path, findings: list[Finding]) -> tuple[District | None, AttributeSchema | None]:
    """What `district.yaml` says, and its schema; adds to `findings` what is wrong."""
    try:
        district = read_district(folder)
        return district, read_schema(_schema_file(folder, district.attribute_schema))
    except InputError as error:
        findings.append(fatal(folder / "district.yaml", error))
        return None, None


def _schema_file(folder: Path, schema: str) -> str | Path:
    return folder / schema if schema.endswith((".yaml", ".yml")) else schema
