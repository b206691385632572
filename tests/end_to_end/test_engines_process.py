"""The engines run in a process of their own, which nobody else reaches, and which may be killed at any moment."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.conftest import wait_until
from tests.helpers.served import Served, serving, stuck_engines, worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("engines")) as running:
        yield running


def test_the_engines_are_called_in_their_own_process_and_counted_by_batch(served: Served) -> None:
    assert served.search().status_code == 200
    figures = served.client.get("/metrics", headers=served.admin).text
    for method in ("detect", "embed"):
        counted = [
            line for line in figures.splitlines() if f'adaptive_batch_size_count{{method_name="{method}"' in line
        ]
        assert counted, method
        assert 'service_name="BatchedEngines"' in counted[0]
    assert served.client.get("/v1/status").json()["engines"]["reid-osnet"]["precision"] == "fp32"


def test_nobody_else_reaches_the_engines(served: Served) -> None:
    engines = worker("BatchedEngines")
    ports = {each.laddr.port for each in engines.net_connections("tcp") if each.status == "LISTEN"}
    assert ports <= {
        served.client.base_url.port
    }  # the supervisor hands all its sockets down; only the front accepts there
    sockets = list(served.temporary.glob("bentoml-uds-*"))
    assert [folder.stat().st_mode & 0o077 for folder in sockets] == [0]
    for path in ("/detect", "/embed", "/describe", "/state"):
        assert httpx.post(f"{served.client.base_url}{path}").status_code == 401
        assert served.client.post(path, headers=served.admin).status_code == 404


def test_its_processes_write_files_for_their_user_alone(served: Served) -> None:
    processes = [worker(name) for name in ("BatchedEngines", "PersonSearch")]
    for process in (*processes, *(one.parent() for one in processes)):
        assert process is not None
        assert "Umask:\t0077" in Path(f"/proc/{process.pid}/status").read_text()


def test_what_is_counted_lies_in_a_folder_of_this_service(served: Served) -> None:
    assert served.search().status_code == 200
    (folder,) = served.temporary.glob("dongseon-metrics-*")
    pids = {worker(name).pid for name in ("BatchedEngines", "PersonSearch")}
    assert {int(file.stem.rsplit("_", 1)[1]) for file in folder.iterdir()} == pids


def test_searches_survive_the_death_of_the_engines(served: Served) -> None:
    with served.searched() as answers:
        killed = worker("BatchedEngines")
        killed.suspend()
        time.sleep(2)  # all four searchers wait for it
        killed.kill()
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 503}
    for answer in answers:
        if answer.status_code == 503:
            assert answer.headers["Retry-After"] == "1"
            assert "the engines must answer" in answer.json()["error"]
    assert served.is_ready()
    assert worker("BatchedEngines").pid != killed.pid
    assert served.search().status_code == 200


def test_without_engines_the_service_is_not_ready_and_waits_for_them(served: Served) -> None:
    with stuck_engines(), pytest.raises(httpx.ReadTimeout):
        served.client.get("/readyz", timeout=2)
    wait_until(served.is_ready, 60, served.log.read_text)
    assert served.search().status_code == 200
