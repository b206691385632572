"""What is sent to do harm is refused, and leaves nothing behind."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from serving.deployment import Deployment
from tests.helpers.deployments import FOR_CASE, api_client_of
from tests.helpers.hostile_uploads import hostile_uploads
from tests.helpers.stored import num_searches, stored

LONGEST_S = 10  # a decoder on a busy machine; a bomb that goes off takes minutes
INJECTIONS = [
    "' OR 1=1 --",
    "demo'; DROP TABLE tracklets; --",
    '"; SELECT pg_sleep(20); --',
    "1) UNION SELECT crop FROM tracklets --",
    "%' AND (SELECT count(*) FROM pg_user) > 0 --",
    "../../../../etc/passwd",
    "..\\..\\params.yaml",
    "/etc/passwd",
    "file:///etc/passwd",
    "....//....//params.yaml",
    "$(touch /tmp/x)",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1:9/x}",
    "<script>alert(1)</script>",
    "a\0b",
    "\ufeff\u202e\ufffe",
    "9" * 5000,
    "-1",
    "1e400",
    "NaN",
    "null",
    "[" * 20_000,
]


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> Iterator[TestClient]:
    with api_client_of(deployment, max_upload_bytes=20_000_000) as client:
        assert client.get("/status").status_code == 200  # the first request records the service's models
        yield client


@pytest.fixture
def unchanged(deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The store and the folder of temporary files hold the same after the test as before it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = stored(deployment, tmp_path)
    yield
    assert stored(deployment, tmp_path) == before


@pytest.mark.usefixtures("unchanged")
def test_hostile_uploads_are_refused_and_leave_nothing(client: TestClient, deployment: Deployment) -> None:
    statuses: Counter[tuple[int, bool]] = Counter()
    searches = num_searches(deployment)
    for upload in hostile_uploads(seed=2023, each=2):
        began = monotonic()
        headers = {"Content-Type": upload.content_type.encode("latin-1")}
        answer = client.post("/search", content=upload.body, headers=headers)
        assert monotonic() - began < LONGEST_S, upload.kind
        allowed = {200, 400, 404, 413} if upload.may_be_readable else {400, 413}
        assert answer.status_code in allowed, f"{upload.kind}: {answer.status_code} {answer.text[:200]}"
        assert answer.status_code == 200 or answer.json()["error"]
        statuses[answer.status_code, upload.may_be_readable] += 1
    assert num_searches(deployment) == searches + statuses[200, True]  # of pictures, none of the refused
    assert statuses[400, False] > 150
    assert statuses[200, True] > 10  # the generator makes pictures that only look damaged, too


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("text", INJECTIONS, ids=range(len(INJECTIONS)))
def test_injections_are_data_wherever_they_stand(client: TestClient, text: str) -> None:
    for field in ("top_k", "cameras", "since", "until", "attributes", "case", text[:100]):
        answer = client.post(
            "/search", files={field: (None, text)}, data=FOR_CASE | {"attributes": '{"bag": "backpack"}'}
        )
        assert answer.status_code == 400, answer.text
    for attributes in ({text: "backpack"}, {"bag": text}):
        answer = client.post("/search", data=FOR_CASE, files={"attributes": (None, json.dumps(attributes))})
        assert answer.status_code == 400, answer.text
    for sighting in ({"district": text, "tracklet_id": 1}, {"district": "demo", "tracklet_id": text}):
        assert client.post("/route", json=FOR_CASE | {"sightings": [sighting]}).status_code in (400, 404)
    for field in ("case", "since", "until", "fill", text[:100]):
        asked = FOR_CASE | {"sightings": [{"district": "demo", "tracklet_id": 1}], field: text}
        assert client.post("/route", json=asked).status_code == 400
    for address in (f"/crops/{quote(text, safe='')}/1", f"/crops/demo/{quote(text, safe='')}"):
        answer = client.get(address, params={"case": 1})
        assert (answer.status_code, bool(answer.json()["error"])) == (404, True)
    assert client.get("/crops/demo/1", params={"case": text[:5000]}).status_code == 400
    plain = client.get("/cameras")
    asked = client.get("/cameras", params={text[:200]: text[:200]}, headers={"X-Asked": text[:200].encode()})
    assert (asked.status_code, asked.json()) == (200, plain.json())


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 200_000, id="deep"),
        pytest.param(b'{"case": 1, "reason": "x", "sightings": ' + b'[{"district":' * 50_000, id="deep objects"),
        pytest.param(
            b'{"case": 1, "reason": "x", "sightings": [{"district": "\\ud800", "tracklet_id": 1}]}', id="half a pair"
        ),
        pytest.param(
            b'{"case": 1, "reason": "x", "sightings": [{"district": "demo", "tracklet_id": 1, "\\udfff": 1}]}',
            id="half a pair as a key",
        ),
        pytest.param(
            b'{"case": 1, "reason": "x", "sightings": [{"district": "a\\u0000", "tracklet_id": 1}]}', id="NUL"
        ),
        pytest.param(
            b'{"case": 1, "reason": "x", "sightings": [{"district": "demo", "tracklet_id": ' + b"9" * 5000 + b"}]}",
            id="5,000 digits",
        ),
        pytest.param(
            b'{"case": 1, "reason": "x", "sightings": [{"district": "demo", "tracklet_id": 1e999}]}', id="infinite"
        ),
        pytest.param(
            b'{"case": 1, "reason": "x", "sightings": [{"district": "demo", "tracklet_id": NaN}]}', id="no number"
        ),
        pytest.param(
            b'{"case": 1, "reason": "x", "sightings": [' + b'{"district":"demo","tracklet_id":1},' * 100_000 + b"0]}",
            id="many",
        ),
        pytest.param(b'\xff\xfe{"case": 1, "reason": "x", "sightings": []}', id="not UTF-8"),
    ],
)
def test_hostile_json_gets_400(client: TestClient, body: bytes) -> None:
    answer = client.post("/route", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-14:00",
        "1e20",
        "-1",
        "253402300799",
    ],
)
def test_a_time_that_no_camera_has_seen_gets_400(client: TestClient, moment: str) -> None:
    for field in ("since", "until"):
        answer = client.post("/search", data=FOR_CASE | {"attributes": '{"bag": "backpack"}', field: moment})
        assert (answer.status_code, f"{field} must be" in answer.json()["error"]) == (400, True)


FORM = "application/x-www-form-urlencoded"


def test_only_a_form_with_files_may_be_long(client: TestClient) -> None:
    empty_objects = b"[" + b"{}," * 1_500_000 + b"0]"
    for path, kind in (("/route", "application/json"), ("/cases", "application/json"), ("/search", FORM)):
        answer = client.post(path, content=empty_objects, headers={"Content-Type": kind})
        assert (answer.status_code, "at most 4000000 bytes" in answer.json()["error"]) == (413, True), path
