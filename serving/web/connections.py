"""Limits on connections, in force before a request is whole: how many are open, and how slowly they may send or read.

uvicorn limits neither, and asyncio accepts until no descriptor is left. So server, sockets and protocol are subclasses
of theirs. A connection is cut

- if the head of its request is not whole `head_timeout_s` after it was accepted or its last answer was sent; the TLS
  handshake, a body that the application does not read and a pause between two requests count as part of this time;
- if it reads an answer more slowly than `min_bytes_s`, see `shortest_s`;
- if too many are open, in total or of its address, and its client has kept the service waiting longest: for a head, for
  a body, or for reading an answer. A connection whose whole request is in work is never cut for others; if all are, a
  new one is closed.
"""

import asyncio
import contextlib
import logging
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import Server as UvicornServer  # uvicorn.Server may already be a limited one

from domain.errors import InputError
from serving.web.addresses import counted_address
from serving.web.http_settings import HttpSettings
from serving.web.middleware.metrics import REFUSED

_DESCRIPTORS = 65_536  # more are not asked for: some libraries walk through all of them
_RESERVED = 160  # descriptors for the database, crops, engines and what is being closed
_SWEEP_S = 0.5
_log = logging.getLogger(__name__)


def raise_descriptor_limit() -> int:
    """Raise this process's limit of open files towards its hard limit; returns the limit. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def most_connections(settings: HttpSettings, descriptors: int) -> int:
    """Connections that may be open at the same time with this limit of open files.

    Raises:
        InputError: if the files do not suffice for `max_concurrent` requests.
    """
    most = min(settings.max_connections, descriptors - _RESERVED)
    if most < settings.max_concurrent:
        raise InputError(
            f"a process of the service must be allowed {settings.max_concurrent + _RESERVED} open files for "
            f"serving.service.max_concurrent={settings.max_concurrent}, it may open {descriptors}; raise its hard "
            "limit (ulimit -Hn, systemd's LimitNOFILE)"
        )
    return most


class Connection(socket.socket):
    """An accepted connection: its client owes a head, a body or the reading of an answer, or its request is in work."""

    def open_in(self, connections: "Connections", address: str) -> None:
        """Count it among `connections`, as one of `address`."""
        self._connections, self.address = connections, address
        self._abort: Callable[[], None] | None = None
        self._sending_ends = float("inf")
        self.await_head()

    def serve_with(self, transport: asyncio.Transport) -> None:
        """`transport` carries its requests from now on."""
        self._abort = transport.abort

    def await_head(self) -> None:
        """The head of a request must be whole in time."""
        self.owes_since: float | None = time.monotonic()
        self._head_ends = self.owes_since + self._connections.settings.head_timeout_s

    def await_body(self) -> None:
        """The head is whole; the application waits for the body as long as it wants."""
        self._head_ends = float("inf")

    def work(self) -> None:
        """The request is whole and in work, until its answer is sent."""
        self._head_ends = float("inf")
        self.owes_since = None

    def hold_back(self, num_bytes: int) -> None:
        """`num_bytes` of an answer wait until the client reads on."""
        self.owes_since = time.monotonic()
        self._sending_ends = self.owes_since + shortest_s(num_bytes, self._connections.settings)

    def read_on(self) -> None:
        """The client has read what waited."""
        self._sending_ends = float("inf")
        if self._head_ends < float("inf"):
            self.await_head()
        else:
            self.owes_since = None

    def is_overdue(self, now: float) -> bool:
        """Whether the client was too slow."""
        return now > (self._sending_ends if self._sending_ends < float("inf") else self._head_ends)

    def cut(self, reason: str) -> None:
        """End it at once; it is closed in the next turn of the event loop."""
        REFUSED.labels(reason).inc()
        self._head_ends = self._sending_ends = float("inf")
        self.owes_since = None  # it is cut once
        if self._abort is not None:
            self._abort()
        else:  # in the TLS handshake
            with contextlib.suppress(OSError):
                self.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it and free its place."""
        self._connections.forget(self)
        super().close()


class Connections:
    """The open connections of the service, at most `most`."""

    def __init__(self, settings: HttpSettings, most: int) -> None:
        self.settings = settings
        self._most = most
        self._open: dict[Connection, None] = {}  # in the order in which they were accepted
        self._of_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def accept(self, listening: socket.socket) -> tuple[Connection, Any]:
        """The next connection and its address, as `socket.accept`.

        Raises:
            BlockingIOError: if there is none, or none in this turn of the event loop.
        """
        if len(self._open) >= self._most and self._cut_longest_waiting(None):
            raise BlockingIOError  # its descriptor is free in the next turn
        accepted, peer = socket.socket.accept(listening)
        connection = Connection(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        connection.open_in(self, counted_address(str(peer[0])))
        self._open[connection] = None
        self._of_address[connection.address] += 1
        is_too_many = len(self._open) > self._most  # and all are in work
        if self._of_address[connection.address] > self.settings.max_connections_per_address:
            is_too_many = not self._cut_longest_waiting(connection)
        if is_too_many:
            REFUSED.labels("connections").inc()
            connection.close()
            raise BlockingIOError
        return connection, peer

    def forget(self, connection: Connection) -> None:
        """`connection` is being closed."""
        if self._open.pop(connection, connection) is None:
            self._of_address[connection.address] -= 1
            if self._of_address[connection.address] == 0:
                del self._of_address[connection.address]

    def cut_overdue(self) -> None:
        """Cut the connections whose clients were too slow."""
        now = time.monotonic()
        for connection in [each for each in self._open if each.is_overdue(now)]:
            connection.cut("slow")

    def _cut_longest_waiting(self, newest: Connection | None) -> bool:
        """Whether a client owed something and is cut: one of the address of `newest`, or any for None."""
        waiting = [
            (each.owes_since, each)
            for each in self._open
            if each.owes_since is not None and each is not newest and (newest is None or each.address == newest.address)
        ]
        if not waiting:
            return False
        _, longest = min(waiting, key=itemgetter(0))
        longest.cut("connections")
        return True


def shortest_s(num_bytes: int, settings: HttpSettings) -> float:
    """Seconds within which a client must have sent or read `num_bytes`."""
    return settings.grace_s + num_bytes / settings.min_bytes_s


def limit_connections(settings: HttpSettings) -> None:
    """Let uvicorn keep these limits in this process."""
    uvicorn.Server = limited_server(settings)  # type: ignore[misc]


def limited_server(settings: HttpSettings) -> type[UvicornServer]:
    """uvicorn's server with these limits on ports; a Unix socket, which has one client, the front, stays as it is.

    Raises:
        InputError: if this process may open too few files.
    """
    descriptors = raise_descriptor_limit()
    most = most_connections(settings, descriptors)
    connections = Connections(settings, most)

    class ListeningSocket(socket.socket):
        def accept(self) -> tuple[Connection, Any]:
            return connections.accept(self)

    class Server(UvicornServer):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            if sockets and all(each.family in (socket.AF_INET, socket.AF_INET6) for each in sockets):
                sockets[:] = [ListeningSocket(fileno=each.detach()) for each in sockets]
                self.config.http_protocol_class = Protocol
                if most < settings.max_connections:
                    _log.warning("%d open files allow only %d connections, see max_connections", descriptors, most)
                self._sweeping = asyncio.create_task(_sweep(connections))
            await super().startup(sockets)

    return Server


class Protocol(H11Protocol):
    """uvicorn's protocol, which tells its `Connection` what it waits for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The connection is open, its TLS handshake done."""
        self._connection = _connection_of(transport)
        self._connection.serve_with(transport)
        super().connection_made(transport)

    def handle_events(self) -> None:
        """Handle what has arrived, a new request among it."""
        before = self.cycle
        super().handle_events()
        if self.cycle is None or self.cycle.response_complete:
            return
        if not self.cycle.more_body:
            self._connection.work()
        elif self.cycle is not before:
            self._connection.await_body()

    def on_response_complete(self) -> None:
        """The answer is in the hands of the transport; a request that has arrived meanwhile begins."""
        self._connection.await_head()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer is sent."""
        self._connection.hold_back(self.transport.get_write_buffer_size())
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client has read on."""
        self._connection.read_on()
        super().resume_writing()


async def _sweep(connections: Connections) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        connections.cut_overdue()


def _connection_of(transport: asyncio.Transport) -> Connection:
    """The socket below `transport`."""
    return cast(Connection, transport.get_extra_info("socket")._sock)
