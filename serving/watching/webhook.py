"""Sends alerts to the address of a control room, signed and until they are taken: at least once.

    POST <address>
    Dongseon-Time: 1779012345
    Dongseon-Signature: sha256=<HMAC-SHA256 of "<time>.<body>" by the secret, in hexadecimal digits>

    {"alert": 7, "watch": 3, "case": 12, "district": "suseong", "sighting": 4000001, "camera": "c1", …}

So are cases that an operator opened in an emergency and that await a reviewer:

    {"emergency": 13, "case": 13, "account": "kim", "at": "…", "agree_by": "…"}

The body has no picture and no title: who may see the case opens it on the page. The receiver answers 2xx, compares the
signature, refuses times that are minutes old, and takes a number that it has only once. The secret is in the
environment variable `DONGSEON_WEBHOOK_SECRET`.
"""

import hashlib
import hmac
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from pydantic import field_validator

from domain.errors import InputError
from domain.settings import Settings
from serving.database import tables
from serving.database.open_cases import has_lapsed
from serving.database.store import Store
from serving.watching.rounds import Rounds

SECRET = "DONGSEON_WEBHOOK_SECRET"
_LEAST_SECRET = 32  # letters
_TIMEOUT_S = 5.0
_LONGEST_PAUSE_S = 300.0
_GIVEN_UP = timedelta(days=1)
_log = logging.getLogger(__name__)


class AlertsSettings(Settings):
    """Settings of alerts."""

    webhook: str | None  # address

    @field_validator("webhook")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("must be an address such as https://control.example/alerts")
        return value


class Webhook(Rounds):
    """Sends alerts in a thread of its own, which ends with `close`.

    An alert that is not taken is sent again after 1, 2, 4, … up to 300 s, for a day.

    Args:
        address: of the receiver; redirections are not followed.
        store: returns the open store.

    Raises:
        InputError: if the secret is missing or short.
    """

    def __init__(self, address: str, store: Callable[[], Store]) -> None:
        secret = os.environ.get(SECRET, "")
        if len(secret) < _LEAST_SECRET:
            raise InputError(
                f"the environment variable {SECRET} must have {_LEAST_SECRET} letters or more to sign alerts, it has "
                f"{len(secret)}; make one by openssl rand -hex 32, and give it to the receiver"
            )
        super().__init__("webhook", self.send_next, "alerts cannot be sent")
        self._address, self._secret, self._store = address, secret.encode(), store
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send_next(self) -> bool:
        """Send the emergency or the alert that is due for longest; whether there was one.

        No other process sends it meanwhile. A process that is killed after the receiver took it sends it again.
        """
        with self._store().begin() as connection:
            due = _due_emergency(connection) or _due_alert(connection)
            if due is None:
                return False
            refusal = self._send(due.body)
            pause_s = min(_LONGEST_PAUSE_S, 2.0 ** min(due.tries, 30))
            later = datetime.now(UTC) + timedelta(seconds=pause_s)
            outcome = {"tries": due.tries + 1} | ({"next_try": later} if refusal else {"sent": sa.func.now()})
            connection.execute(sa.update(due.table).where(due.number == due.id).values(outcome))
        if refusal:
            message = "the %s %s was not taken, it is sent again in %.0f s: %s"
            _log.warning(message, due.kind, due.id, pause_s, refusal)
        return True

    def _send(self, body: bytes) -> str | None:
        """Why the receiver did not take `body`; None if it did."""
        at = str(int(time.time()))
        signature = hmac.new(self._secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "Dongseon-Time": at,
            "Dongseon-Signature": f"sha256={signature}",
        }
        request = urllib.request.Request(self._address, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return None if 200 <= answer.status < 300 else f"status {answer.status}"
        except urllib.error.HTTPError as error:
            return f"status {error.code}"
        except (OSError, ValueError) as error:
            return str(error)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none: the answer counts as refused."""


@dataclass(frozen=True)
class _Due:
    """What is to be sent: a row of `table`, whose key is `number`."""

    kind: str
    table: sa.Table
    number: sa.Column[int]
    id: int
    tries: int
    body: bytes


def _next(query: sa.Select[Any], table: sa.Table) -> sa.Select[Any]:
    """The row of `query` that is due for longest and that no other process sends."""
    is_due = table.c.sent.is_(None) & (table.c.next_try <= sa.func.now())
    is_new = table.c.at > datetime.now(UTC) - _GIVEN_UP
    first = query.where(is_due, is_new).order_by(table.c.next_try).limit(1)
    return first.with_for_update(of=table, skip_locked=True)


def _due_emergency(connection: sa.Connection) -> _Due | None:
    table = tables.emergencies
    row = connection.execute(_next(sa.select(table).where(table.c.agreed.is_(None), ~has_lapsed()), table)).first()
    if row is None:
        return None
    times = {"at": row.at.isoformat(), "agree_by": row.agree_by.isoformat()}
    body = json.dumps({"emergency": row.case_id, "case": row.case_id, "account": row.account, **times}).encode()
    return _Due("emergency", table, table.c.case_id, row.case_id, row.tries, body)


def _due_alert(connection: sa.Connection) -> _Due | None:
    table, watches, seen = tables.alerts, tables.watches, tables.tracklets
    query = sa.select(table, watches.c.case_id).join(watches, watches.c.id == table.c.watch_id)
    alert = connection.execute(_next(query, table)).first()
    if alert is None:
        return None
    is_seen = (seen.c.district == alert.district) & (seen.c.id == alert.tracklet_id)
    columns = seen.c.camera_id, seen.c.first_seen, seen.c.last_seen
    sighting: Any = connection.execute(sa.select(*columns).where(is_seen)).one_or_none()
    return _Due("alert", table, table.c.id, alert.id, alert.tries, _body(alert, sighting))


def _body(alert: sa.Row[Any], sighting: sa.Row[Any] | None) -> bytes:
    return json.dumps(
        {
            "alert": alert.id,
            "watch": alert.watch_id,
            "case": alert.case_id,
            "at": alert.at.isoformat(),
            "match_probability": round(alert.probability, 4),
            "district": alert.district,
            "sighting": alert.tracklet_id,
            "camera": sighting.camera_id if sighting is not None else None,
            "first_seen": sighting.first_seen.isoformat() if sighting is not None else None,
            "last_seen": sighting.last_seen.isoformat() if sighting is not None else None,
        }
    ).encode()
