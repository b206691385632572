"""Files in a folder of recordings and its sub-folders, and what of it is passed over."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import InputError
from domain.names import is_hidden

SIDECAR = ".yaml"
_UNFINISHED = {".part", ".tmp", ".partial", ".filepart", ".crdownload", ".download"}
# What recorders and computers put beside videos.
_NO_VIDEOS = {".bmp", ".csv", ".db", ".gif", ".htm", ".html", ".idx", ".ini", ".jpeg", ".jpg", ".json", ".log", ".md5"}
_NO_VIDEOS |= {".nfo", ".png", ".sha256", ".srt", ".txt", ".vtt", ".wav", ".webp", ".xml"}


@dataclass
class Listing:
    """Files at a path."""

    files: list[Path] = field(default_factory=list)  # that may be recordings, by folder and name
    refused: list[InputError] = field(default_factory=list)  # that cannot be read, or not yet
    passed_over: list[str] = field(default_factory=list)  # what else is there, in words


def files_of(path: Path) -> Listing:
    """`path` itself if it is no folder; else the files in the folder and its sub-folders, also behind links.

    Hidden files, sidecars and files whose ending is of no video are passed over.
    """
    if not path.is_dir():
        return Listing([path])
    found, others = Listing(), Counter[str]()
    seen = {os.path.realpath(path)}

    def refuse(error: OSError) -> None:
        found.refused.append(InputError(f"{error.filename} must be readable, to find the recordings: {error.strerror}"))

    for folder, subfolders, names in os.walk(path, onerror=refuse, followlinks=True):
        others["hidden"] += sum(map(is_hidden, subfolders))
        places = {name: os.path.realpath(Path(folder) / name) for name in sorted(subfolders) if not is_hidden(name)}
        subfolders[:] = [name for name, place in places.items() if place not in seen]
        seen |= set(places.values())
        for name in sorted(names):
            _sort_in(Path(folder) / name, found, others)
    found.passed_over += _described(path, others)
    return found


def _sort_in(file: Path, found: Listing, others: Counter[str]) -> None:
    suffix = file.suffix.lower()
    if is_hidden(file.name):
        others["hidden"] += 1
    elif file.suffix == SIDECAR:
        if not os.path.lexists(file.with_suffix("")):
            found.passed_over.append(f"{file} was passed over: there is no {file.stem} whose camera and start it says")
    elif suffix in _UNFINISHED:
        found.refused.append(InputError(f"{file} must be whole, but its name says that it is still being written"))
    elif suffix in _NO_VIDEOS:
        others[suffix] += 1
    elif file.is_symlink() and not file.exists():
        found.refused.append(InputError(f"{file} must lead to a file, but what it links to is missing"))
    else:
        found.files.append(file)  # its reader says what is wrong with it


def _described(path: Path, others: Counter[str]) -> Sequence[str]:
    kinds = [f"{number} {kind}" for kind, number in sorted(others.items()) if number]
    return [f"{others.total()} files in {path} were passed over as no videos: {', '.join(kinds)}"] if kinds else []
