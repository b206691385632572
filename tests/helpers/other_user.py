"""What another user of this machine, who owns nothing and is in no group, can read or reach."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534
_GROUP, _OTHERS = (stat.S_IXGRP, stat.S_IRGRP), (stat.S_IXOTH, stat.S_IROTH)


_TRY = """
import os, socket, sys
os.setgroups([]); os.setgid(NOBODY); os.setuid(NOBODY)
for name in sys.argv[1:]:
    try:
        kind, _, path = name.partition(" ")
        if kind == "open":
            os.close(os.open(path, os.O_RDONLY))
        else:
            os.chdir(os.path.dirname(path))
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(os.path.basename(path))
        print(name)
    except OSError as error:
        print(f"{name}: {error}", file=sys.stderr)
"""


def require_root() -> None:
    """Skip unless this process may become another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")


def opened_by_nobody(*files: Path) -> list[str]:
    """Those of `files` that another user can open."""
    return _done_by_nobody([f"open {file}" for file in files])


def reached_by_nobody(*sockets: Path) -> list[str]:
    """Those of `sockets`, with paths of any length, to which another user can connect."""
    return _done_by_nobody([f"connect {file}" for file in sockets])


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


def _done_by_nobody(tries: list[str]) -> list[str]:
    command = [sys.executable, "-c", _TRY.replace("NOBODY", str(NOBODY)), *tries]  # which that user could not start
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout.splitlines()
