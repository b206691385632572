"""Watches tell new sightings of the person sought: once, whatever happens, and to those who work on the case."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from starlette.testclient import TestClient

from domain.tracklets import Tracklet
from serving.access.accounts import Account
from serving.access.roles import Role
from serving.cases.cases import open_case
from serving.database import audit, segments, tables
from serving.database.store import Store
from serving.deployment import Deployment
from serving.perception.perception import Perception
from serving.search.search import log_odds
from serving.watching import active, rounds
from serving.watching import watcher as module
from serving.watching.watcher import Watcher
from serving.watching.watches import Alert, alerts_after
from tests.helpers.deployments import GREEN, RED, REVIEWER, api_client_of, picture
from tests.helpers.rtsp import until
from tests.helpers.sightings import in_transaction, tracklet

OPERATOR = Account("kim", Role.OPERATOR, datetime.now(UTC), expires=None, disabled=None)


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def store(client: TestClient) -> Store:
    """Without watches."""
    opened: Store = client.app.state.search_service.store()  # type: ignore[attr-defined]
    with opened.begin() as connection:
        connection.execute(sa.delete(tables.watches))
        connection.execute(sa.delete(tables.new_sightings))
    return opened


@pytest.fixture
def watcher(client: TestClient) -> Watcher:
    watcher: Watcher = client.app.state.watcher  # type: ignore[attr-defined]
    return watcher


@pytest.fixture
def case(store: Store) -> int:
    return in_transaction(store, open_case, REVIEWER, "빨간 외투의 아이", operators=[]).id


def watch(client: TestClient, case: int, colour: tuple[int, int, int] = RED, **fields: str) -> dict[str, Any]:
    form = {"case": str(case), "reason": "a child is missing", "min_probability": "0.6", **fields}
    answer = client.post("/watches", files={"photo": png(picture(colour, seed=77))}, data=form)
    assert answer.status_code == 201, answer.text
    opened: dict[str, Any] = answer.json()
    return opened


def walk_by(
    deployment: Deployment,
    store: Store,
    colour: tuple[int, int, int] = RED,
    camera: int = 0,
    seed: int = 50,
    seconds_ago: float = 0,
) -> int:
    """Number of the stored sighting of somebody who left the view `seconds_ago`."""
    engines = deployment.open_engines()
    crop = picture(colour, seed=seed)
    perception = Perception(*engines, deployment.perception)
    one: Tracklet = tracklet(1, perception.embed([crop])[0], camera=camera)
    now = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    [one] = perception.described([replace(one, first_seen=now - timedelta(seconds=5), last_seen=now, crops=[crop])])
    segment = in_transaction(store, segments.register, "demo", f"cam{camera}", "stream", f"stream@{now}", now)
    store.add_sightings(segment.id, [one], engines.reid.card.version)
    return segment.id * segments.IDS_A_SEGMENT + 1


def told(store: Store, account: Account = REVIEWER) -> list[Alert]:
    return in_transaction(store, alerts_after, account, 0)


def test_the_next_walk_by_is_told_and_nobody_else(
    client: TestClient, deployment: Deployment, store: Store, watcher: Watcher, case: int
) -> None:
    opened = watch(client, case)
    seen = walk_by(deployment, store)
    walk_by(deployment, store, GREEN)
    assert watcher.look() == 2
    [alert] = told(store)
    assert (alert.watch_id, alert.case_id, alert.tracklet_id) == (opened["id"], case, seen)
    assert alert.match_probability >= 0.6
    assert alert.camera_id == "cam0"
    assert client.get(f"/crops/demo/{seen}?case={case}").status_code == 200, "the case shows what was told"
    assert client.get("/watches", params={"case": case}).json()["watches"][0]["told"] == 1
    with store.begin() as connection:
        recorded = [one.details for one in audit.records(connection) if one.action == audit.Action.ALERT]
    assert {
        "watch": opened["id"],
        "case_id": case,
        "reason": "a child is missing",
        "found": [["demo", seen]],
    } in recorded


def test_a_process_that_ends_during_a_pass_loses_nothing_and_tells_nothing_twice(
    client: TestClient,
    deployment: Deployment,
    store: Store,
    watcher: Watcher,
    case: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch(client, case)
    walk_by(deployment, store)
    with monkeypatch.context() as broken:
        broken.setattr(module, "record_alerts", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watcher.look()
    assert told(store) == []
    assert watcher.look() == 1
    assert watcher.look() == 0
    assert len(told(store)) == 1


def test_other_places_and_times_and_ended_watches_tell_nothing(
    client: TestClient, deployment: Deployment, store: Store, watcher: Watcher, case: int
) -> None:
    watch(client, case, cameras="demo/cam1")
    over = watch(client, case)
    ended = watch(client, case)
    with store.begin() as connection:
        table = tables.watches
        past = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(sa.update(table).where(table.c.id == over["id"]).values(until=past))
    assert client.post(f"/watches/{ended['id']}/end").json()["is_active"] is False
    walk_by(deployment, store)
    watcher.look()
    assert told(store) == []
    walk_by(deployment, store, camera=1)
    watcher.look()
    assert [alert.camera_id for alert in told(store)] == ["cam1"]
    client.post(f"/cases/{case}/close")
    walk_by(deployment, store, camera=1)
    assert watcher.look() == 0, "nothing is kept for closed cases"


def test_words_alone_are_watched_for(
    client: TestClient, deployment: Deployment, store: Store, watcher: Watcher, case: int
) -> None:
    form = {"case": str(case), "reason": "x", "attributes": '{"bag": "backpack"}', "min_probability": "0.5"}
    assert client.post("/watches", data=form).status_code == 201
    seen = walk_by(deployment, store)  # the red ones carry one
    walk_by(deployment, store, GREEN)
    watcher.look()
    assert [alert.tracklet_id for alert in told(store)] == [seen]


def test_who_was_rejected_is_told_with_less_probability(
    client: TestClient, deployment: Deployment, store: Store, watcher: Watcher, case: int
) -> None:
    watch(client, case, min_probability="0.01")
    first = walk_by(deployment, store)
    watcher.look()
    verdict = {"district": "demo", "tracklet_id": first, "verdict": "rejected"}
    assert client.post(f"/cases/{case}/verdicts", json=verdict).status_code == 200
    walk_by(deployment, store, seed=51)
    watcher.look()
    before, *after = told(store)
    assert all(alert.match_probability < before.match_probability / 1.8 for alert in after)


def told_seen_at(place: dict[str, Any], seconds_ago: float) -> str:
    time = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return json.dumps([place | {"time": time.isoformat(), "within_s": 0}])


def test_where_and_when_the_person_was_seen_counts_as_in_a_search(
    client: TestClient, deployment: Deployment, store: Store, watcher: Watcher, case: int
) -> None:
    far = {"area": {"latitude": 36.5, "longitude": 128.6, "radius_m": 100}}  # 70 km away
    anywhere = watch(client, case, min_probability="0.01")["id"]
    near = watch(client, case, min_probability="0.01", seen_at=told_seen_at({"camera": "demo/cam1"}, 100))["id"]
    away = watch(client, case, min_probability="0.01", seen_at=told_seen_at(far, 100))["id"]
    walk_by(deployment, store)  # 111 m from cam1, at a walker's pace
    watcher.look()
    odds = {one.watch_id: log_odds(one.match_probability) for one in told(store)}
    assert odds[near] > odds[anywhere] + 0.5
    assert odds[away] < odds[anywhere] - 0.5


def test_a_match_of_the_case_says_where_the_person_comes_next(
    client: TestClient, deployment: Deployment, store: Store, watcher: Watcher, case: int
) -> None:
    watch(client, case, min_probability="0.01")
    first = walk_by(deployment, store, camera=1, seconds_ago=100)
    watcher.look()
    walk_by(deployment, store)
    watcher.look()
    verdict = {"district": "demo", "tracklet_id": first, "verdict": "confirmed"}
    assert client.post(f"/cases/{case}/verdicts", json=verdict).status_code == 200
    walk_by(deployment, store)
    watcher.look()
    _, before, after = told(store)
    assert log_odds(after.match_probability) > log_odds(before.match_probability) + 0.5


def test_the_watch_goes_on_when_the_camera_of_what_was_said_is_gone(
    client: TestClient, deployment: Deployment, store: Store, watcher: Watcher, case: int
) -> None:
    opened = watch(client, case, seen_at=told_seen_at({"camera": "demo/cam1"}, 100))
    table = tables.watches
    question = opened["question"] | {"seen_at": [opened["question"]["seen_at"][0] | {"camera": "removed/cam1"}]}
    with store.begin() as connection:
        connection.execute(sa.update(table).where(table.c.id == opened["id"]).values(question=question))
    seen = walk_by(deployment, store)
    watcher.look()
    assert [one.tracklet_id for one in told(store)] == [seen]


def test_the_estimate_counts_the_alarms_of_the_last_days(client: TestClient, store: Store, case: int) -> None:
    form = {"case": str(case), "reason": "x"}
    photo = {"photo": png(picture(RED, seed=77))}
    answer = client.post("/watches/estimate", files=photo, data=form).json()
    assert answer["video_hours"] > 0
    alarms = [one["alarms_a_day"] for one in answer["at"]]
    assert alarms == sorted(alarms, reverse=True)
    assert alarms[0] >= 4 * 24 / answer["video_hours"], "the red person was seen four times"
    nowhere = client.post("/watches/estimate", files=photo, data=form | {"cameras": "demo/cam2"}).json()
    assert nowhere == {"video_hours": 0, "at": []}
    assert watch(client, case)["alarms_a_day"] == pytest.approx(alarms[0])
    first = min(client.post("/search", files=photo, data=form).json()["sightings"], key=lambda hit: hit["first_seen"])
    beside = {"camera": "demo/cam1" if first["camera_id"] == "cam0" else "demo/cam0"}
    before = datetime.fromisoformat(first["first_seen"]) - timedelta(seconds=100)
    said = json.dumps([beside | {"time": before.isoformat(), "within_s": 0}])
    near = client.post("/watches/estimate", files=photo, data=form | {"seen_at": said}).json()
    assert near["at"][-1]["alarms_a_day"] > alarms[-1] == 0, "who walks there in that time is surely told"


def test_alerts_are_for_those_who_work_on_the_case(
    client: TestClient, deployment: Deployment, store: Store, watcher: Watcher, case: int
) -> None:
    opened = watch(client, case)
    walk_by(deployment, store)
    watcher.look()
    assert told(store, OPERATOR) == []
    with api_client_of(deployment, account=OPERATOR) as stranger:
        assert stranger.get("/alerts").json()["alerts"] == []
        assert stranger.get("/alerts", params={"case": case}).status_code == 404
        assert stranger.post(f"/watches/{opened['id']}/end").status_code == 404
        assert "event: alert" not in stranger.get("/alerts/events?after=0").text


def test_server_sent_events_go_on_after_the_last_that_was_told(
    client: TestClient, deployment: Deployment, store: Store, watcher: Watcher, case: int
) -> None:
    watch(client, case)
    walk_by(deployment, store)
    watcher.look()
    answer = client.get("/alerts/events?after=0")
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in answer.text.split("\n\n") if block.startswith("id:")]
    assert len(blocks) == 1
    number, kind, data = blocks[0]
    assert kind == "event: alert"
    alert = json.loads(data.removeprefix("data: "))
    assert number == f"id: {alert['id']}"
    again = client.get("/alerts/events?after=0", headers={"Last-Event-ID": str(alert["id"])})
    assert "event: alert" not in again.text, "the header of the browser counts"
    from_now_on = client.get("/alerts/events").text
    assert "event: alert" not in from_now_on, "without a number"
    assert f"\nid: {alert['id']}\n" in from_now_on, "what is told while the browser connects again is not lost"


def test_a_hundred_watches_are_one_pass(
    client: TestClient, deployment: Deployment, store: Store, watcher: Watcher, case: int
) -> None:
    opened = watch(client, case)
    table = tables.watches
    with store.begin() as connection:
        row = connection.execute(sa.select(table).where(table.c.id == opened["id"])).mappings().one()
        copied = {name: value for name, value in row.items() if name != "id"}
        connection.execute(sa.insert(table), [copied] * 99)
    for seed in range(5):
        walk_by(deployment, store, seed=seed)
    with statements_to(store) as statements:
        watcher.look()
    reads = [one for one in statements if one.startswith("SELECT") and "tracklets" in one]
    assert len(reads) <= 2, "the sightings are read once for all"
    assert np.array([alert.tracklet_id for alert in told(store)]).size == 100, "a page of them"


@contextmanager
def statements_to(store: Store) -> Iterator[list[str]]:
    """What is asked of the database."""
    statements: list[str] = []
    count = lambda *arguments: statements.append(arguments[2])  # noqa: E731
    sa.event.listen(store.engine, "before_cursor_execute", count)
    try:
        yield statements
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", count)


def test_watches_are_read_again_when_they_or_verdicts_change_and_each_minute(
    client: TestClient,
    deployment: Deployment,
    store: Store,
    watcher: Watcher,
    case: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reads() -> int:
        """How often a pass over one new sighting reads the people sought."""
        walk_by(deployment, store, GREEN)
        with statements_to(store) as statements:
            assert watcher.look() == 1
        return sum("watches.embedding" in one for one in statements)

    watch(client, case)
    seen = walk_by(deployment, store)
    watcher.look()
    assert reads() == 0
    verdict = {"district": "demo", "tracklet_id": seen, "verdict": "rejected"}
    assert client.post(f"/cases/{case}/verdicts", json=verdict).status_code == 200
    assert [reads(), reads()] == [1, 0]
    more = watch(client, case)
    assert [reads(), reads()] == [1, 0]
    client.post(f"/watches/{more['id']}/end")
    assert [reads(), reads()] == [1, 0]
    monkeypatch.setattr(active, "_FRESH_S", 0.0)
    assert reads() == 1, "sightings that verdicts name may have been removed"


def test_a_watch_has_no_beginning(client: TestClient, case: int) -> None:
    form = {"case": str(case), "reason": "x", "since": "2026-05-01T00:00:00Z"}
    answer = client.post("/watches", files={"photo": png(picture(RED))}, data=form)
    assert answer.status_code == 400
    nothing = client.post("/watches", data={"case": str(case), "reason": "x"})
    assert "a watch must have a file photo, attributes or confirmed sightings, got none" in nothing.json()["error"]


def test_a_bug_in_a_pass_is_logged_and_ends_no_later_one(
    client: TestClient,
    deployment: Deployment,
    store: Store,
    case: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(rounds, "_EVERY_S", 0.05)
    watch(client, case)
    walk_by(deployment, store)
    watcher = Watcher(client.app.state.search_service, deployment.settings.search)  # type: ignore[attr-defined]
    with monkeypatch.context() as broken:
        broken.setattr(module, "record_alerts", lambda *_: 1 / 0)
        watcher.start()
        until(lambda: "watches cannot look at new sightings: division by zero" in caplog.text)
    until(lambda: len(told(store)) == 1)
    watcher.close()
