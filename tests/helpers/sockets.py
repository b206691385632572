"""Sockets on which processes listen, and whether another user of the machine reaches them.

processes = process_and_children(server.pid)
for each in listening_sockets(processes):
    assert each.refusal_of(NOBODY) is not None, each
"""

import os
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from struct import pack, unpack

import psutil

_SOCKET = re.compile(r"socket:\[(\d+)\]")
_TCP_LISTENS, _UDP_UNCONNECTED = "0A", "07"
_UNIX_ACCEPTS, _UNIX_DATAGRAM = 0x10000, 2


@dataclass(frozen=True)
class ListeningSocket:
    """A socket that takes connections or datagrams; `address` is host:port, a path, or @ and an abstract name."""

    pid: int
    command: str
    kind: str  # tcp, udp or unix
    address: str

    @property
    def port(self) -> int | None:
        """The port; None for a Unix socket."""
        return int(self.address.rpartition(":")[2]) if self.kind != "unix" else None

    def refusal_of(self, uid: int) -> str | None:
        """What the kernel answers to a process of `uid` that connects; None if it is let in.

        A TCP port refuses nobody, and whether a UDP port takes a datagram cannot be seen: it counts as taken.
        """
        if self.kind == "udp":
            return None
        family = socket.AF_UNIX if self.kind == "unix" else _family(self.address)
        where = _unix_name(self.address) if self.kind == "unix" else _host_and_port(self.address)
        kinds = (
            (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
            if self.kind == "unix"
            else (socket.SOCK_STREAM,)
        )
        answers = [_connect_as(uid, family, kind, where) for kind in kinds]
        return None if "" in answers else " / ".join(answers)


def process_and_children(pid: int) -> list[psutil.Process]:
    """The process `pid` and all that it has started, directly or not."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def listening_sockets(processes: Iterable[psutil.Process]) -> list[ListeningSocket]:
    """Sockets of `processes` that take connections or datagrams from others; needs root, or their own user."""
    found = set()
    for process in processes:
        inodes, command = set(), " ".join(process.cmdline())[:200]
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                if match := _SOCKET.fullmatch(str(descriptor.readlink())):
                    inodes.add(match[1])
        for kind, address, inode in _of_namespace(process.pid):
            if inode in inodes:
                found.add(ListeningSocket(process.pid, command, kind, address))
    return sorted(found, key=lambda each: (each.kind, each.address, each.pid))


def _of_namespace(pid: int) -> Iterable[tuple[str, str, str]]:
    """Kind, address and inode of all sockets of the network namespace of `pid` that take something."""
    for table, state in (
        ("tcp", _TCP_LISTENS), ("tcp6", _TCP_LISTENS), ("udp", _UDP_UNCONNECTED), ("udp6", _UDP_UNCONNECTED),
        ("udplite", _UDP_UNCONNECTED), ("udplite6", _UDP_UNCONNECTED),
    ):  # fmt: skip
        for fields in _rows(pid, table):
            if fields[3] == state:
                yield table[:3], _address(fields[1]), fields[9]
    for fields in _rows(pid, "unix"):
        is_open = int(fields[3], 16) & _UNIX_ACCEPTS or int(fields[4], 16) == _UNIX_DATAGRAM
        if is_open and len(fields) > 7:
            yield "unix", " ".join(fields[7:]), fields[6]


def _rows(pid: int, table: str) -> list[list[str]]:
    file = Path(f"/proc/{pid}/net/{table}")
    return [line.split() for line in file.read_text().splitlines()[1:]] if file.exists() else []


def _address(hexadecimal: str) -> str:
    host, port = hexadecimal.split(":")
    words = [unpack("<I", bytes.fromhex(host[at : at + 8]))[0] for at in range(0, len(host), 8)]
    address = ip_address(b"".join(pack(">I", word) for word in words))
    return f"[{address}]:{int(port, 16)}" if address.version == 6 else f"{address}:{int(port, 16)}"


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if address.startswith("[") else socket.AF_INET


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _unix_name(address: str) -> str:
    return "\0" + address[1:] if address.startswith("@") else address


def _connect_as(uid: int, family: int, kind: int, where: str | tuple[str, int]) -> str:
    """What a child that becomes `uid` is told when it connects; empty if it is let in."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        told = "the child failed"
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with socket.socket(family, kind) as peer:
                peer.settimeout(5)
                peer.connect(where)
            told = ""
        except OSError as error:
            told = f"{type(error).__name__}: {error}"
        finally:
            os.write(writes, told.encode())
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(child, 0)
    return told
