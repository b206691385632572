"""Replicas that count an account's requests together, in a real Redis server."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from limits import RateLimitItemPerMinute

from domain.errors import InputError
from serving.web import request_counts
from serving.web.request_counts import RequestCounts

MOST = 5
LIMIT = RateLimitItemPerMinute(MOST)


class Redis:
    """A server on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self) -> None:
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        self._process = subprocess.Popen(["redis-server", *options], cwd=self._folder, stdout=subprocess.DEVNULL)
        for _ in range(100):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        pytest.fail("Redis did not start")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server; install Debian's")
    server = Redis(tmp_path)
    server.start()
    monkeypatch.setenv("DONGSEON_LIMITS", f"redis://127.0.0.1:{server.port}/0")
    monkeypatch.setattr(request_counts, "_LOOK_AGAIN_S", 0.0)
    yield server
    server.kill()


def taken(*replicas: RequestCounts, client: str = "kim") -> int:
    """How many requests of `client` were let in, out of more than the limit, sent to the replicas in turn."""
    return [replicas[number % len(replicas)].hit(LIMIT, client) for number in range(3 * MOST)].count(None)


def test_replicas_count_together(redis: Redis) -> None:
    one, other = RequestCounts(), RequestCounts()
    assert taken(one, other) == MOST
    assert taken(other, one, client="lee") == MOST
    for replica in (one, other):
        assert 1 <= (replica.wait_s(LIMIT, "kim") or 0) <= 60
        assert replica.wait_s(LIMIT, "park") is None


def test_a_clock_that_is_set_back_locks_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, now = RequestCounts(), time.time
    assert taken(counts) == MOST
    monkeypatch.setattr(time, "time", lambda: now() - 3 * 86400)
    assert taken(counts) == MOST


def test_an_event_loop_asks_the_same_counts(redis: Redis) -> None:
    one, other = RequestCounts(), RequestCounts()
    assert taken(one) == MOST
    assert anyio.run(other.hit_from_loop, LIMIT, "kim") is not None


def test_without_redis_each_replica_counts_for_itself_until_it_is_back(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = RequestCounts(), RequestCounts()
    assert taken(one) == MOST
    redis.kill()
    began = time.monotonic()
    assert (taken(one), taken(other)) == (MOST, MOST)
    assert time.monotonic() - began < 5
    assert "this replica counts requests for itself" in caplog.text
    redis.start()
    assert taken(one, other, client="lee") == MOST


def test_an_address_that_is_none_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DONGSEON_LIMITS", "postgresql://kim:secret@host/0")
    with pytest.raises(InputError, match="DONGSEON_LIMITS must look like redis://") as refusal:
        RequestCounts()
    assert "secret" not in str(refusal.value)
