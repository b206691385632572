"""From a live camera to the operator: who is watched for walks by, and page and webhook tell it within seconds."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
import yaml

from domain.settings import PARAMS
from serving import package
from serving.access.roles import Role
from serving.database import tables
from serving.database.store import open_store
from serving.deployment import Deployment
from serving.watching.webhook import SECRET
from tests.end_to_end.conftest import free_port, server, wait_until
from tests.end_to_end.test_operator_page import Served, click, sign_in
from tests.helpers.browser import Browser
from tests.helpers.deployments import fill_store, token_of, write_deployment
from tests.helpers.project import ROOT
from tests.helpers.rtsp import Server, require_server
from tests.helpers.walkers import Walker
from tests.service.watching.test_webhook import KEY, Receiver

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LOOP_S = 14.0  # in which one person walks by, and is away for longer than a track waits
WALKERS = [Walker("red", -60, 40, seen_s=(2.0, 6.0))]
ALERTS = "document.querySelectorAll('#alerts li')"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver([500])  # the first time it takes nothing
    yield opened
    opened.shutdown()
    opened.server_close()


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Server]:
    require_server()
    running = Server(tmp_path / "pictures", WALKERS, seconds=LOOP_S).start()
    yield running
    running.kill()


@pytest.fixture
def deployment(tmp_path: Path, camera: Server, receiver: Receiver) -> Deployment:
    written = write_deployment(tmp_path / "service")
    params = yaml.safe_load((written.root / PARAMS).read_text())
    params["serving"]["alerts"]["webhook"] = receiver.address
    (written.root / PARAMS).write_text(yaml.safe_dump(params))
    cameras = {"district": "demo", "cameras": {"cam0": camera.address()}}
    (written.root / "cameras.yaml").write_text(yaml.safe_dump(cameras))
    fill_store(written)
    return written


@contextmanager
def streams(deployment: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "serving.streams",
        "serving.streams.file=cameras.yaml",
        "serving.streams.ring.hours=1",
    ]
    with (deployment.root / "streams.log").open("ab") as log:
        here = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=deployment.root, env=here, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def live_sightings(deployment: Deployment) -> list[int]:
    seen, segments = tables.tracklets, tables.segments
    of_stream = sa.select(segments.c.id).where(segments.c.source == "stream cam0")
    with open_store(deployment.store) as store, store.begin() as connection:
        query = sa.select(seen.c.id).where(seen.c.segment_id.in_(of_stream)).order_by(seen.c.first_seen)
        return list(connection.execute(query).scalars())


@pytest.mark.soak
@pytest.mark.parametrize("walks", [2, 20])
def test_a_walk_by_is_told_on_the_page_and_at_the_webhook_within_seconds(
    chromium: str, deployment: Deployment, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, walks: int
) -> None:
    monkeypatch.setenv(SECRET, KEY)
    package._stage_code(deployment.root)
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    log = (deployment.root / "streams.log").read_text
    with server(deployment.root, command, f"http://127.0.0.1:{port}/readyz"):
        served = Served(f"http://127.0.0.1:{port}", token_of(deployment, "lee", Role.REVIEWER), "")
        with streams(deployment):
            wait_until(lambda: bool(live_sightings(deployment)), 120, log)
            first = live_sightings(deployment)[0]
            case = watched_case(served, first)
            with Browser(chromium) as browser:
                sign_in(browser, served.address, served.token)
                browser.evaluate(f"sessionStorage.setItem('case', '{case}'); sessionStorage.setItem('reason', '실종')")
                browser.open(f"{served.address}/")
                told_s = told_on_the_page(browser, walks)
                assert browser.evaluate("document.title").startswith(f"({walks}) ")
                assert browser.barriers() == []
                click(browser, "#alerts .told")
                browser.wait_for("document.querySelector('#clip').readyState >= 2")  # from the ring
                assert browser.complaints == []
            wait_until(lambda: len(receiver.taken) >= walks, 30, log)
    print(f"seen to alert on the page: p50 {np.median(told_s):.1f} s, p95 {np.quantile(told_s, 0.95):.1f} s")
    assert np.quantile(told_s, 0.95) <= 10
    assert receiver.came > len(receiver.taken), "the refused one was sent again"
    numbers = [sent["alert"] for sent in receiver.taken]
    assert sorted(set(numbers)) == sorted(numbers), "each was taken once"
    assert {sent["case"] for sent in receiver.taken} == {case}


def watched_case(served: Served, sighting: int) -> int:
    """A case that watches for the person of a live sighting."""
    with served.client() as client:
        case = int(client.post("/v1/cases", json={"title": "빨간 외투의 아이"}).json()["id"])
        asked = {"case": str(case), "reason": "실종", "attributes": '{"bag": {"is_not": ["none"]}}', "top_k": "100"}
        since = {"since": datetime.now(UTC).replace(hour=0, minute=0).isoformat()}
        found = client.post("/v1/search", data=asked | since).json()["sightings"]
        assert sighting in {one["tracklet_id"] for one in found}, "live sightings are found before their segment ends"
        person = f'[{{"district": "demo", "tracklet_id": {sighting}}}]'
        form = {"case": str(case), "reason": "실종", "confirmed": person, "min_probability": "0.5"}
        opened = client.post("/v1/watches", data=form)
        assert opened.status_code == 201, opened.text
    return case


def told_on_the_page(browser: Browser, walks: int) -> list[float]:
    """Seconds from the last picture of each walk to its alert on the page."""
    told_s: list[float] = []
    ends = time.monotonic() + (walks + 4) * LOOP_S + 60
    while len(told_s) < walks:
        assert time.monotonic() < ends, f"{len(told_s)} of {walks} walks were told"
        before = len(told_s)
        browser.wait_for(f"{ALERTS}.length > {before}", timeout_s=3 * LOOP_S)
        shown = time.time()
        newest = browser.evaluate("fetch('v1/alerts').then(answer => answer.json())")["alerts"]
        ended = [datetime.fromisoformat(alert["last_seen"]).timestamp() for alert in newest[before:walks]]
        told_s += [shown - last_seen for last_seen in ended]
    return told_s


def test_a_killed_process_of_live_cameras_loses_no_sighting_that_had_ended(deployment: Deployment) -> None:
    log = (deployment.root / "streams.log").read_text
    with streams(deployment):
        wait_until(lambda: len(live_sightings(deployment)) >= 1, 120, log)
        stored = live_sightings(deployment)
    with streams(deployment):
        wait_until(lambda: len(live_sightings(deployment)) > len(stored), 120, log)
    assert set(stored) <= set(live_sightings(deployment))
    with open_store(deployment.store) as store, store.begin() as connection:
        seen = tables.tracklets
        crops = connection.execute(sa.select(seen.c.crop).where(seen.c.id.in_(stored))).scalars()
        assert all(store.crops.read(crop) for crop in crops)
