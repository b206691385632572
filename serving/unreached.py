"""Places on this machine that hold pictures or embeddings of people, and that retention does not reach.

`docs/deploy.md` has the same list, with how to remove each.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from serving.database import tables
from serving.database.audit import Action

# Folders of the project, as globs; stages, DVC and MLflow write them.
FOLDERS = {
    "data/*": "pictures and videos of a district",
    "districts-in/*": "pictures and videos of a district, as they were imported",
    "predictions/*": "embeddings of a district's people",
    "label_reports/*": "pictures of a district's people",
    "comparisons/*": "pictures of people whom two models see differently",
    "plots/*": "pictures of people and their ranks",
    "reports": "the same pictures",
    "tracks": "crops and embeddings of sightings",
    "checkpoints": "pictures of an unfinished training",
    "models/*/*/training": "plots of trainings, with pictures of the demo's people",
    "mlruns": "plots of trainings and evaluations",
    "mlartifacts": "files sent to MLflow's pages",
    ".dvc/cache": "all versions of what stages wrote",
    ".dvc/tmp": "copies of queued experiments",
}
LABELS, VIDEOS = "exported labels", "video files that were taken in"


@dataclass(frozen=True)
class Place:
    """Files at one place.

    Args:
        path: folder, or the folder in which all the files lie.
        holds: their content, in words.
        files: number of files.
        size_bytes: of the files.
        readable: number of files that every user of the machine can open.
    """

    path: Path
    holds: str
    files: int
    size_bytes: int
    readable: int

    def __str__(self) -> str:
        said = f"{self.path}: {self.files} files, {self.size_bytes / 1e6:.1f} MB ({self.holds})"
        return said + (f"; other users can read {self.readable}: chmod -R go= {self.path}" if self.readable else "")


def unreached(project: Path, connection: sa.Connection) -> list[Place]:
    """The places with files: folders of `project`, exported labels, and videos that segments of the store name."""
    folders = [(folder, holds) for glob, holds in FOLDERS.items() for folder in sorted(project.glob(glob))]
    folders += [(folder, LABELS) for folder in _exported_labels(connection)]
    places = [_place(folder, holds, _files_in(folder)) for folder, holds in folders]
    known = [folder.resolve() for folder, _ in folders]
    videos = [file for file in _videos(connection, project) if not any(file.is_relative_to(each) for each in known)]
    by_folder = {file.parent: [each for each in videos if each.parent == file.parent] for file in videos}
    places += [_place(folder, VIDEOS, iter(files)) for folder, files in by_folder.items()]
    return [place for place in places if place.files]


def _exported_labels(connection: sa.Connection) -> list[Path]:
    details = tables.audit.c.details
    exports = sa.select(details["folder"].astext).where(
        tables.audit.c.action == Action.EXPORT, details["what"].astext == "labels"
    )
    return sorted({Path(folder) for folder in connection.scalars(exports)})


def _videos(connection: sa.Connection, project: Path) -> list[Path]:
    sources = connection.scalars(sa.select(tables.segments.c.source).distinct())
    return sorted(file.resolve() for file in (project / source for source in sources) if file.is_file())


def _place(path: Path, holds: str, files: Iterator[Path]) -> Place:
    is_open = cache(_is_open)
    number = size_bytes = readable = 0
    for file in files:
        status = file.lstat()
        number, size_bytes = number + 1, size_bytes + status.st_size
        readable += bool(status.st_mode & stat.S_IROTH) and is_open(file.parent)
    return Place(path, holds, number, size_bytes, readable)


def _is_open(folder: Path) -> bool:
    """Whether every user of the machine can enter `folder`."""
    folders = (folder.resolve(), *folder.resolve().parents)
    return all(each.stat().st_mode & stat.S_IXOTH for each in folders)


def _files_in(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)
