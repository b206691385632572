"""Placeholders in `district.yaml`: values that no camera has, which an import writes for what its files do not say."""

from collections.abc import Iterator

from districts.findings import Finding
from districts.layout import District
from domain.cameras import Camera

LATITUDE, LONGITUDE = 0.0, 0.0
FPS, SIZE_PX = 0.01, 1


def unknown_facts(camera: Camera) -> list[str]:
    """Names of the fields of `camera` that hold placeholders."""
    fields = ["latitude and longitude"] if (camera.latitude, camera.longitude) == (LATITUDE, LONGITUDE) else []
    fields += ["fps"] if camera.fps == FPS else []
    return fields + (["width_px and height_px"] if (camera.width_px, camera.height_px) == (SIZE_PX, SIZE_PX) else [])


def check_placeholders(place: str, district: District, *, has_videos: bool) -> Iterator[Finding]:
    """A finding for each camera with placeholders; fatal where people are followed from camera to camera."""
    for camera in district.cameras:
        if unknown := unknown_facts(camera):
            yield Finding(
                has_videos and len(district.cameras) > 1,
                place,
                f"camera {camera.id}: {', '.join(unknown)} must be filled in; the import could not know them, and "
                "walking times and the map need them",
            )
