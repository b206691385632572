"""What another user of this machine, who owns nothing and is in no group, can read."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

NOBODY = 65534
_GROUP, _OTHERS = (stat.S_IXGRP, stat.S_IRGRP), (stat.S_IXOTH, stat.S_IROTH)


def readable_by_others(folder: Path) -> set[Path]:
    """Files below `folder` that its group or others can open, by their modes and, as root, by the tries of `NOBODY`."""
    found = {file for bits in (_GROUP, _OTHERS) for file in _open_to(folder, *bits)}
    if os.geteuid() == 0:
        found |= set(_opened_by_nobody(folder))
    return found


def _open_to(folder: Path, enter: int, read: int) -> Iterator[Path]:
    if not folder.stat().st_mode & enter:
        return
    for child in folder.iterdir():
        if child.is_symlink():
            continue
        if child.is_dir():
            yield from _open_to(child, enter, read)
        elif child.stat().st_mode & read:
            yield child


def _opened_by_nobody(folder: Path) -> list[Path]:
    find = ["find", ".", "-type", "f", "-readable", "-print0"]
    listed = subprocess.run(
        find, cwd=folder, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=False
    )
    return [folder / name for name in listed.stdout.decode().split("\0") if name]
