"""A real server process: what it logs and measures; a fuzzer and 1,000 hostile uploads, of which it keeps nothing."""

import json
import re
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from domain.settings import PARAMS
from serving import package
from serving.access.roles import Role
from serving.deployment import Deployment
from tests.end_to_end.conftest import free_port, server
from tests.helpers.deployments import FOR_CASE, fill_store, token_of, write_deployment
from tests.helpers.hostile_uploads import BOUNDARY, MULTIPART, form, hostile_uploads, picture_file
from tests.helpers.stored import num_searches, stored

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LONGEST_S = 20
SECRET = "s3cret"
PHOTO = picture_file(np.random.default_rng(0))
MOST_GROWTH_MB = 300


@dataclass(frozen=True)
class Served:
    address: str
    token: str
    deployment: Deployment
    temporary: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def head(self) -> str:
        """The beginning of a search, but for the length."""
        kind = f"Content-Type: {MULTIPART}\r\n"
        return f"POST /v1/search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n{kind}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, temporary = tmp_path_factory.mktemp("hostile") / "service", tmp_path_factory.mktemp("temporary")
    deployment = unlimited(write_deployment(folder))
    package._stage_code(folder)
    fill_store(deployment)
    port = free_port()
    serve = [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    with server(folder, ["env", f"TMPDIR={temporary}", *serve], f"http://127.0.0.1:{port}/readyz"):
        token = token_of(deployment, "reviewer", Role.REVIEWER)
        yield Served(f"http://127.0.0.1:{port}", token, deployment, temporary)


def unlimited(deployment: Deployment) -> Deployment:
    """All requests of the test come from one account, as fast as they can; figures and document need no token."""
    file = deployment.root / PARAMS
    params = yaml.safe_load(file.read_text())
    params["serving"]["service"] |= {"requests_per_minute": 1_000_000, "searches_per_minute": 1_000_000}
    params["serving"]["access"]["open_paths"] += ["/v1/openapi.json", "/metrics"]
    file.write_text(yaml.safe_dump(params))
    return Deployment.read(deployment.root)


def kept(served: Served) -> tuple[dict[str, int], set[Path]]:
    """What the deployment holds, less what the running server writes by itself: its log, code and metrics."""
    rows, files = stored(served.deployment, served.temporary)
    return rows, {file for file in files if file.suffix not in {".log", ".pyc", ".db"}}


def memory_mb(served: Served, field: str) -> float:
    """Of the process that answers: `VmRSS` is now, `VmHWM` the most it ever had."""
    port = str(urlsplit(served.address).port)
    children = psutil.Process().children(recursive=True)
    listening = [
        each
        for each in children
        if any(str(at.laddr.port) == port for at in each.net_connections("tcp") if at.status == "LISTEN")
    ]
    texts = [Path(f"/proc/{each.pid}/status").read_text() for each in listening]
    return max(int(each) for text in texts for each in re.findall(rf"{field}:\s+(\d+) kB", text)) / 1000


def figures(served: Served) -> dict[str, float]:
    """Samples of /metrics, by name and labels as they stand there."""
    text = httpx.get(f"{served.address}/metrics", timeout=LONGEST_S).text
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[:1] not in "# "}


def test_a_search_is_measured_and_its_lines_carry_its_id(served: Served) -> None:
    before = figures(served)
    sent = {"X-Request-ID": "search-of-the-test", **served.headers}
    files = {"photo": (f"{SECRET}.png", PHOTO)}
    asked = {"data": FOR_CASE | {"reason": SECRET}, "files": files, "headers": sent, "timeout": LONGEST_S}
    answer = httpx.post(f"{served.address}/v1/search?x={SECRET}", **asked)
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (200, "search-of-the-test")
    after = figures(served)
    for name in (
        'dongseon_search_seconds_count{kind="photo"}',
        *(f'dongseon_stage_seconds_count{{stage="{stage}"}}' for stage in ("decode", "detect", "embed", "re-rank")),
        'dongseon_requests_total{method="POST",route="/v1/search",status="200"}',
    ):
        assert after[name] == before.get(name, 0) + 1, name
    assert after['dongseon_segments{state="done"}'] >= 1
    assert after["dongseon_queue_age_seconds"] == 0

    log = (served.deployment.root / "server.log").read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    mine = [line for line in lines if line.get("request_id") == "search-of-the-test"]
    said = [(line["event"], line["route"], line["status"], line["account"]) for line in mine]
    assert said == [("request", "/v1/search", 200, "reviewer")]
    assert SECRET not in log
    assert served.token not in log
    assert "/v1/search" not in "".join(line for line in log.splitlines() if not line.startswith("{"))


def test_a_thousand_hostile_uploads_leave_nothing(served: Served) -> None:
    before, answers = kept(served), Counter[tuple[int, bool]]()
    searches = num_searches(served.deployment)
    with httpx.Client(base_url=served.address, headers=served.headers, timeout=LONGEST_S) as client:
        for _ in range(20):  # what the engines and the decoder allocate once
            client.post("/v1/search", data=FOR_CASE, files={"photo": PHOTO})
        start, started = memory_mb(served, "VmRSS"), memory_mb(served, "VmHWM")
        for upload in hostile_uploads(seed=1, each=40):
            answer = client.post(
                "/v1/search", content=upload.body, headers={"Content-Type": upload.content_type.encode("latin-1")}
            )
            allowed = {200, 400, 404, 413} if upload.may_be_readable else {400, 413}
            assert answer.status_code in allowed, f"{upload.kind}: {answer.status_code} {answer.text[:200]}"
            answers[answer.status_code, upload.may_be_readable] += 1
        assert client.get("/readyz").status_code == 200
    most = memory_mb(served, "VmHWM")
    print(f"answers by status and whether a decoder may read them: {dict(answers)}")
    print(f"memory {start:.0f} (at most {started:.0f} before) to {most:.0f} MB")
    assert answers.total() > 1000
    assert num_searches(served.deployment) == searches + 20 + answers[200, True]  # of pictures, none of the refused
    assert most - start < MOST_GROWTH_MB
    assert kept(served) == before


@pytest.mark.parametrize("chunked", [True, False], ids=["in chunks", "with its length"])
def test_a_body_that_never_ends_is_cut_off(served: Served, chunked: bool) -> None:
    before, limit = kept(served), served.deployment.settings.service.max_upload_bytes
    where = urlsplit(served.address)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {10**12}"
    head = f"{served.head}{length}\r\n\r\n"
    begun = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="photo"; filename="x"\r\n\r\n'.encode()
    megabyte, sent, answer = bytes(1_000_000), 0, b""
    with socket.create_connection((where.hostname, where.port), timeout=LONGEST_S) as peer:
        peer.sendall(head.encode() + (b"%x\r\n%s\r\n" % (len(begun), begun) if chunked else begun))
        with suppress(OSError):  # it has hung up
            while sent < 5 * limit:
                peer.sendall(b"%x\r\n%s\r\n" % (len(megabyte), megabyte) if chunked else megabyte)
                sent += len(megabyte)
        with suppress(OSError):
            answer = peer.recv(4096)
    assert sent < 5 * limit or b" 413 " in answer
    assert httpx.get(f"{served.address}/readyz", timeout=LONGEST_S).status_code == 200
    assert kept(served) == before


def test_an_answer_before_the_end_of_the_body_arrives(served: Served) -> None:
    limit = served.deployment.settings.service.max_upload_bytes
    with httpx.Client(base_url=served.address, headers=served.headers, timeout=LONGEST_S) as client:
        for _ in range(20):  # a connection that were reset under the answer would lose it only now and then
            broken = client.post("/v1/search", content=bytes(limit - 1000), headers={"Content-Type": MULTIPART})
            assert (broken.status_code, bool(broken.json()["error"])) == (400, True)
            assert client.post("/v1/search", files={"photo": bytes(limit + 1)}).status_code == 413


@pytest.mark.parametrize("length", ["5", "-1", "abc", "9999999", "1, 2"])
def test_a_length_that_is_wrong_leaves_nothing(served: Served, length: str) -> None:
    before, where, body = kept(served), urlsplit(served.address), form(PHOTO)
    head = f"{served.head}Content-Length: {length}\r\n\r\n"
    with socket.create_connection((where.hostname, where.port), timeout=2) as peer:
        peer.sendall(head.encode() + body)
        try:
            answer = peer.recv(4096)
        except TimeoutError:
            answer = b"HTTP/1.1 400 is what it would say if we waited"
    assert answer.startswith(b"HTTP/1.1 4"), answer
    assert httpx.get(f"{served.address}/readyz", timeout=LONGEST_S).status_code == 200
    assert kept(served) == before


def test_the_fuzzer_finds_no_answer_that_is_not_declared(served: Served) -> None:
    before = kept(served)
    interface = schemathesis.openapi.from_url(f"{served.address}/v1/openapi.json")
    operations = [found.ok() for found in interface.get_all_operations()]
    asked: Counter[str] = Counter()

    @seed(2023)
    @settings(max_examples=15, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def ask(operation: Any, data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from([schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        case.validate_response(case.call(headers=served.headers), excluded_checks=[positive_data_acceptance])
        asked[operation.label] += 1

    for operation in operations:
        ask(operation)
    assert set(asked) == {operation.label for operation in operations}
    assert kept(served) == before
