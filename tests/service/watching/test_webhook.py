"""Alerts reach a receiver signed and at least once, however it behaves."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from domain.errors import InputError
from serving.database import tables
from serving.database.store import Store
from serving.watching.webhook import SECRET, AlertsSettings, Webhook
from tests.helpers.sightings import CAMERAS, tracklet, unit_vectors

KEY = "s" * 40


class Receiver(ThreadingHTTPServer):
    """Answers with `statuses` one after the other, then 204; keeps what came with a right signature."""

    def __init__(self, statuses: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses, self.came = statuses, 0
        self.taken: list[dict[str, Any]] = []
        self.taken_at: list[datetime] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}/alerts"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        at = self.headers["Dongseon-Time"]
        right = hmac.new(KEY.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        self.server.came += 1
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        if status == 204 and self.headers["Dongseon-Signature"] == f"sha256={right}":
            self.server.taken.append(json.loads(body))
            self.server.taken_at.append(datetime.now(UTC))
        self.send_response(status)
        if status in (301, 302, 307):
            self.send_header("Location", self.server.address)
        self.end_headers()

    def do_GET(self) -> None:
        raise AssertionError("a redirection was followed")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def alert(shared_store: Store) -> int:
    """Number of an alert that is to be sent."""
    shared_store.replace_sightings("demo", CAMERAS, "m", [tracklet(1, unit_vectors(0, 1, 4)[0])])
    with shared_store.begin() as connection:
        case = connection.execute(
            sa.insert(tables.cases).values(title="x", legal_hold=False).returning(tables.cases.c.id)
        ).scalar_one()
        watch = {
            "case_id": case,
            "account": "lee",
            "reason": "x",
            "until": datetime.now(UTC) + timedelta(days=1),
            "min_probability": 0.5,
            "question": {},
            "model_version": "m",
        }
        table = tables.watches
        number = connection.execute(sa.insert(table).values(watch).returning(table.c.id)).scalar_one()
        told = {"watch_id": number, "district": "demo", "tracklet_id": 1, "probability": 0.87}
        return connection.execute(sa.insert(tables.alerts).values(told).returning(tables.alerts.c.id)).scalar_one()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv(SECRET, KEY)
    opened = Receiver([])
    yield opened
    opened.shutdown()
    opened.server_close()


def make_due(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(sa.update(tables.alerts).values(next_try=datetime.now(UTC)))


def test_an_alert_is_sent_once_with_a_right_signature_and_no_title(
    shared_store: Store, alert: int, receiver: Receiver
) -> None:
    webhook = Webhook(receiver.address, lambda: shared_store)
    assert webhook.send_next()
    assert not webhook.send_next()
    [sent] = receiver.taken
    assert (sent["alert"], sent["sighting"], sent["camera"], sent["match_probability"]) == (alert, 1, "cam0", 0.87)
    assert set(sent) == {
        "alert", "watch", "case", "at", "match_probability", "district", "sighting", "camera", "first_seen",
        "last_seen",
    }  # fmt: skip


@pytest.mark.parametrize("status", [500, 404, 307])
def test_what_is_not_taken_is_sent_again(shared_store: Store, alert: int, receiver: Receiver, status: int) -> None:
    receiver.statuses = [status, status]
    webhook = Webhook(receiver.address, lambda: shared_store)
    assert webhook.send_next()
    assert not webhook.send_next(), "not at once"
    make_due(shared_store)
    assert webhook.send_next()
    make_due(shared_store)
    assert webhook.send_next()
    make_due(shared_store)
    assert not webhook.send_next()
    assert (receiver.came, [sent["alert"] for sent in receiver.taken]) == (3, [alert])


def test_an_emergency_is_sent_until_a_reviewer_agrees(shared_store: Store, alert: int, receiver: Receiver) -> None:
    table, now = tables.emergencies, datetime.now(UTC)
    opened = [
        {"agree_by": now + timedelta(hours=1)},
        {"agree_by": now - timedelta(hours=1)},
        {"agree_by": now + timedelta(hours=1), "agreed": now, "agreed_by": "lee"},
    ]
    with shared_store.begin() as connection:
        new = sa.insert(tables.cases).values(title="secret", legal_hold=False).returning(tables.cases.c.id)
        cases = [connection.execute(new).scalar_one() for _ in opened]
        for case, more in zip(cases, opened, strict=True):
            connection.execute(sa.insert(table).values(case_id=case, account="kim", reason="secret", **more))
    receiver.statuses = [500]
    webhook = Webhook(receiver.address, lambda: shared_store)
    assert webhook.send_next()
    assert webhook.send_next(), "the alert does not wait for it"
    with shared_store.begin() as connection:
        connection.execute(sa.update(table).values(next_try=now))
    assert webhook.send_next()
    assert not webhook.send_next()
    assert [(sent.get("alert"), sent.get("emergency")) for sent in receiver.taken] == [(alert, None), (None, cases[0])]
    assert set(receiver.taken[1]) == {"emergency", "case", "account", "at", "agree_by"}


def test_a_receiver_that_is_away_gets_it_when_it_is_back(shared_store: Store, alert: int, receiver: Receiver) -> None:
    away = Webhook("http://127.0.0.1:1/alerts", lambda: shared_store)
    assert away.send_next()
    make_due(shared_store)
    webhook = Webhook(receiver.address, lambda: shared_store)
    webhook.start()
    for _ in range(100):
        if receiver.taken:
            break
        threading.Event().wait(0.05)
    webhook.close()
    assert [sent["alert"] for sent in receiver.taken] == [alert]


def test_a_secret_is_needed(monkeypatch: pytest.MonkeyPatch, shared_store: Store) -> None:
    monkeypatch.setenv(SECRET, "short")
    with pytest.raises(InputError, match=f"the environment variable {SECRET} must have 32 letters or more .* has 5"):
        Webhook("http://127.0.0.1:1/", lambda: shared_store)
    with pytest.raises(ValidationError, match="must be an address such as"):
        AlertsSettings(webhook="file:///etc/passwd")
