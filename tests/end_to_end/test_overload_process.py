"""A real server with more to do than it can, with work that takes too long, and with a database that goes away."""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import httpx
import numpy as np
import pytest
import sqlalchemy as sa

from serving.database.store import open_store
from tests.end_to_end.conftest import wait_until
from tests.helpers.served import Served, serving, stuck_engines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TIMEOUT_S, MOST, CROWD, MOST_MS, TRIES = 6, 8, 100, 50, 3


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("overload")
    with serving(folder, timeout_s=TIMEOUT_S, max_concurrent=MOST) as running:
        running.search()
        yield running


def timed_search(served: Served) -> tuple[httpx.Response, float]:
    start = perf_counter()
    answer = served.search()
    return answer, perf_counter() - start


def recovers(served: Served) -> None:
    wait_until(lambda: served.search().status_code == 200, 60, served.log.read_text)
    assert served.is_ready()


def test_what_is_not_answered_in_time_gets_503_in_our_form_and_what_waited_is_not_begun(served: Served) -> None:
    given_up, searched = (
        'dongseon_requests_refused_total{reason="deadline"}',
        'dongseon_stage_seconds_count{stage="decode"}',
    )
    begun = []
    for _ in range(TRIES):  # where others use the cores, requests come apart, and the last find the first given up
        before = {name: served.figure(name) for name in (given_up, searched)}
        with stuck_engines(), ThreadPoolExecutor(MOST) as searchers:
            answers = list(searchers.map(lambda _: timed_search(served), range(MOST)))
        for answer, taken_s in answers:
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), answer.text
            assert "error" in answer.json()
            assert taken_s < TIMEOUT_S + 3
        assert served.figure(given_up) > before[given_up]
        begun.append(served.figure(searched) - before[searched])
        recovers(served)
        if begun[-1] < MOST:
            return
    pytest.fail(f"of {MOST} searches at once, {begun} were begun")


def test_a_crowd_is_turned_away_at_once_and_the_service_recovers(served: Served) -> None:
    with stuck_engines(), ThreadPoolExecutor(CROWD) as crowd:
        answers = list(crowd.map(lambda _: timed_search(served), range(CROWD)))
    assert {answer.status_code for answer, _ in answers} == {503}
    turned_away = {answer.headers["X-Request-ID"] for answer, _ in answers if "its limit" in answer.json()["error"]}
    assert len(turned_away) >= CROWD - 2 * MOST
    lines = [json.loads(line) for line in served.log.read_text().splitlines() if line.startswith("{")]
    taken_ms = [line["ms"] for line in lines if line["event"] == "request" and line["request_id"] in turned_away]
    print(f"turned away in {np.median(taken_ms)} ms, at most {max(taken_ms)}")
    assert len(taken_ms) == len(turned_away)
    assert np.median(taken_ms) < MOST_MS
    recovers(served)


def test_a_database_that_goes_away_costs_503_and_nothing_else(served: Served) -> None:
    with served.searched() as answers:
        with open_store(served.deployment.store) as store, store.begin() as connection:
            backend = connection.execute(
                sa.text(
                    "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            ).scalars()
            victim = next(iter(backend))
            connection.rollback()
        os.kill(victim, signal.SIGKILL)  # PostgreSQL ends all others then, and recovers
    assert {answer.status_code for answer in answers} == {200, 503}
    recovers(served)
