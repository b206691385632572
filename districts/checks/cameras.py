"""Checks of a district's cameras: those without any data, and several at one place."""

from collections.abc import Iterator
from pathlib import Path

from districts.checks.splits import rows_of
from districts.findings import Finding, listed
from districts.layout import REID_PARTS, SPLITS, District, filmed_cameras, find_pictures, identity_and_camera
from districts.placeholders import LATITUDE, LONGITUDE
from domain.cameras import Camera
from domain.errors import InputError

_MOST_AT_ONE_PLACE = 2  # on one pole


def check_cameras(folder: Path, district: District) -> Iterator[Finding]:
    """Cameras of `district` in `folder` that no data came from, or that stand where several others do."""
    place = str(folder / "district.yaml")
    used = _used(folder, district)
    if (unused := [camera.id for camera in district.cameras if camera.id not in used]) and used:
        message = f"{len(unused)} of {len(district.cameras)} cameras have no video, re-ID crop or row of attributes: "
        yield Finding(False, place, message + listed(unused))
    places: dict[tuple[float, float], list[Camera]] = {}
    for camera in district.cameras:
        places.setdefault((camera.latitude, camera.longitude), []).append(camera)
    for (latitude, longitude), cameras in places.items():
        is_known = (latitude, longitude) != (LATITUDE, LONGITUDE)  # placeholders are reported elsewhere
        if is_known and len(cameras) > _MOST_AT_ONE_PLACE:
            message = (
                f"{len(cameras)} cameras are all at {latitude}, {longitude}; walking times between them would be 0: "
            )
            yield Finding(False, place, message + listed([camera.id for camera in cameras]))


def _used(folder: Path, district: District) -> set[str]:
    """Cameras that some data are from."""
    used = {camera.id for camera in filmed_cameras(folder, district)}
    for split in SPLITS:
        used |= {row["camera"] for row in rows_of(folder / "attributes" / f"{split}.csv", "camera").values()}
    for part in REID_PARTS:
        place = folder / "reid" / part
        for picture in find_pictures(place) if place.is_dir() else ():
            try:
                number = identity_and_camera(picture)[1]
            except InputError:  # `check_reid` says why
                continue
            used |= {camera.id for camera in district.cameras[number - 1 : number]}
    return used & {camera.id for camera in district.cameras}
