"""Files below the source of an import, found by the paths that its annotations name.

Annotations name pictures by paths of the machine they were made on (`C:\\data\\a.jpg`, `../train/images`). A path is
therefore looked up by its last parts among the files that the source holds, so no name leads out of the source.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from districts.layout import Split, is_picture_name
from domain.errors import InputError, shown
from domain.names import is_hidden

_MOST_FILES = 10_000_000
VIDEOS = {".mp4", ".avi", ".mkv", ".mov"}
_SPLIT_WORDS: dict[str, Split] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip


class SourceFiles:
    """Index of the files below `root`, without hidden ones; links to folders are followed, each folder once.

    Raises:
        InputError: if `root` is not a folder or holds more than ten million files.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            is_packed = root.suffix.lower() in {".tar", ".gz", ".tgz", ".7z", ".rar"}
            advice = "unpack it first" if is_packed else "name the folder that holds it with its pictures or videos"
            raise InputError(f"SOURCE must be a folder or a .zip, got {root}{f'; {advice}' if root.is_file() else ''}")
        self.root = root
        self.files: list[Path] = []
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        seen = {root.resolve()}
        for folder, folders, names in os.walk(root, followlinks=True):
            entered = [name for name in sorted(folders) if not is_hidden(name)]
            folders[:] = [name for name in entered if Path(folder, name).resolve() not in seen]
            seen |= {Path(folder, name).resolve() for name in folders}
            for name in sorted(names):
                if not is_hidden(name):
                    file = Path(folder, name)
                    self.files.append(file)
                    self._by_name[name].append(file)
            if len(self.files) > _MOST_FILES:
                raise InputError(f"{root} must hold at most {_MOST_FILES} files, got more")

    @cached_property
    def folders(self) -> set[Path]:
        """Folders with files somewhere below them."""
        return {folder for parent in {file.parent for file in self.files} for folder in (parent, *parent.parents)}

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Files with one of these suffixes (lower case, with the point), in path order."""
        return [file for file in self.files if file.suffix.lower() in suffixes]

    def pictures(self, below: Path | None = None) -> list[Path]:
        """Pictures, or those anywhere below a folder."""
        found = [file for file in self.files if is_picture_name(file.name)]
        return found if below is None else [file for file in found if below in file.parents]

    @cached_property
    def pictures_by_stem(self) -> Mapping[str, Sequence[Path]]:
        """Pictures by their name without suffix."""
        found: dict[str, list[Path]] = defaultdict(list)
        for file in self.pictures():
            found[file.stem].append(file)
        return found

    def videos(self) -> list[Path]:
        """Video files."""
        return self.with_suffix(*VIDEOS)

    def find(self, path: str, place: object = "", near: Path | None = None, split: Split | None = None) -> Path:
        """The file that `path` names: the one that ends most like it, then of the `split`, then nearest to `near`.

        Raises:
            InputError: if there is none, or several are as near; begins with `place`.
        """
        prefix = f"{place}: " if place else ""
        parts = PurePosixPath(unquote(path) if "%" in path and path not in self._by_name else path.replace("\\", "/"))
        same = self._by_name.get(parts.name, []) or self._by_name.get(path, [])
        if not same:
            raise InputError(f"{prefix}the file {shown(path)} must be below {self.root}; it is missing")
        if len(same) == 1:
            return same[0]
        ranked = sorted((self._likeness(file, parts, near, split), file) for file in same)
        if ranked[-1][0] == ranked[-2][0]:
            raise InputError(
                f"{prefix}the file {shown(path)} must be only once below {self.root}, got {ranked[-2][1]} and "
                f"{ranked[-1][1]}"
            )
        return ranked[-1][1]

    def _likeness(
        self, file: Path, parts: PurePosixPath, near: Path | None, split: Split | None
    ) -> tuple[int, bool, int]:
        of_split = split_of(file.relative_to(self.root).parts[:-1]) == split
        return _common_end(file, parts), of_split, _common_begin(file, near)

    def relative(self, file: Path) -> str:
        """Path of `file` relative to the source, for messages."""
        return file.relative_to(self.root).as_posix()


def split_of(words: Iterable[str]) -> Split | None:
    """The split that a path's parts name, the last one first; None if none or `trainval` is named.

    Example:
        >>> split_of(("annotations", "instances_val2017.json")), split_of(("train", "_annotations.coco.json"))
        ('val', 'train')
    """
    for word in reversed(list(words)):
        for part in _letters(word):
            if part in _SPLIT_WORDS:
                return _SPLIT_WORDS[part]
    return None


def _letters(word: str) -> Iterator[str]:
    yield from "".join(letter if letter.isalpha() else " " for letter in word.lower()).split()


def _common_end(file: Path, parts: PurePosixPath) -> int:
    """Number of last parts that the two share."""
    return _num_same(reversed(file.parts), reversed(parts.parts))


def _common_begin(file: Path, near: Path | None) -> int:
    """Number of first parts that the two share."""
    return 0 if near is None else _num_same(file.parts, near.parts)


def _num_same(ours: Iterable[str], theirs: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
