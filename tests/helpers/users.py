"""What another user of the machine can do."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

NOBODY = 65534
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
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")


def opened_by_nobody(*files: Path) -> list[str]:
    """Those of `files` that another user can open."""
    return _done_by_nobody([f"open {file}" for file in files])


def reached_by_nobody(*sockets: Path) -> list[str]:
    """Those of `sockets`, with paths of any length, to which another user can connect."""
    return _done_by_nobody([f"connect {file}" for file in sockets])


def listening_sockets(numbers: Iterable[int]) -> set[str]:
    """Names of all sockets, of any kind, that these processes listen on."""
    held = set()
    for number in numbers:
        for file in Path(f"/proc/{number}/fd").iterdir():
            if file.exists() or file.is_symlink():
                held.add(str(file.readlink()))
    found = set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        _, _, _, flags, _, _, inode, *name = line.split()
        if f"socket:[{inode}]" in held and int(flags, 16) & 0x10000:
            found |= set(name)
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
            if f"socket:[{line.split()[9]}]" in held:
                found.add(f"{kind} {line.split()[1]}")
    return found


def _done_by_nobody(tries: list[str]) -> list[str]:
    command = [sys.executable, "-c", _TRY.replace("NOBODY", str(NOBODY)), *tries]  # which that user could not start
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout.splitlines()
