"""Pictures of sightings: the one place that writes, finds and deletes them."""

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from domain.images import write_image
from serving.tracklet import Tracklet

_FOLDER = "crops"


def crop_path(district: str, segment_id: int, tracklet_id: int) -> str:
    """Where the picture of a tracklet lies, below the store's folder."""
    return f"{_FOLDER}/{district}/{segment_id}/{tracklet_id:06d}.jpg"


class Crops:
    """The crops below one store's folder; rows of the database name them by their paths there."""

    def __init__(self, folder: Path) -> None:
        """Those below `folder`, which may be empty."""
        self._folder = folder

    def write(self, district: str, segment_id: int, tracklets: Iterable[Tracklet]) -> None:
        """Write the best crop of each of a segment's tracklets; a second time is as once."""
        for tracklet in tracklets:
            write_image(self._folder / crop_path(district, segment_id, tracklet.id), tracklet.crops[0])

    def file(self, path: str) -> Path:
        """The file that a row names."""
        return self._folder / path

    def of_district(self, district: str) -> set[str]:
        """Paths of all crops of `district`, also those that no row names."""
        top = self._folder / _FOLDER / district
        return {str(file.relative_to(self._folder)) for file in top.rglob("*") if file.is_file()}

    def keep_segments(self, district: str, segment_ids: Collection[int]) -> None:
        """Delete all crops of `district` but those of these segments."""
        kept = {str(number) for number in segment_ids}
        for entry in self._entries(district):
            if entry.name in kept:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def delete(self, paths: Iterable[str]) -> list[OSError]:
        """Delete these and the folders they leave empty; what could not be deleted."""
        failures = []
        for path in paths:
            file = self._folder / path
            try:
                file.unlink()
                _remove_if_empty(file.parent)
            except OSError as error:
                failures.append(error)
        return failures

    def _entries(self, district: str) -> list[Path]:
        top = self._folder / _FOLDER / district
        return list(top.iterdir()) if top.is_dir() else []


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
