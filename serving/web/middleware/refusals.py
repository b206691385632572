"""Refused requests in the audit: another's case, a sighting that the case does not show, a role without the permission.

Tries of numbers or paths leave records, but cannot fill the audit: of an account's refusals within a minute the
1st, 2nd, 4th, 8th, … are recorded, each with its count.
"""

import logging
from collections.abc import Callable
from time import monotonic

import anyio.to_thread
import sqlalchemy as sa
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import DongseonError
from serving.database import audit
from serving.database.audit import Action
from serving.database.store import Store

_log = logging.getLogger(__name__)
_KEY = "dongseon.refusal"  # in the scope
_WINDOW_S = 60
_MOST_REASON = 500  # letters


def mark_refused(scope: Scope, account: str, reason: str) -> None:
    """Say that the request of `scope` is refused to `account`, so that it is recorded with its answer."""
    scope[_KEY] = (account, reason[:_MOST_REASON])


class RefusalsInAudit:
    """Middleware that records a refused request before its answer is sent; outside of the authentication."""

    def __init__(self, app: ASGIApp, store: Callable[[], Store]) -> None:
        self._app = app
        self._store = store
        self._counts: dict[str, tuple[float, int]] = {}  # account -> start of its minute, refusals in it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start" and _KEY in scope:
                account, reason = scope[_KEY]
                if (number := self._count(account)).bit_count() == 1:
                    what = {"status": message["status"], "method": scope["method"], "reason": reason}
                    await anyio.to_thread.run_sync(self._record, account, what | {"within_a_minute": number})
            await send(message)

        await self._app(scope, receive, send_recorded if scope["type"] == "http" else send)

    def _count(self, account: str) -> int:
        """How many refusals the account has in this minute, with this one."""
        began, number = self._counts.get(account, (monotonic(), 0))
        if monotonic() - began >= _WINDOW_S:
            began, number = monotonic(), 0
        self._counts[account] = (began, number + 1)
        return number + 1

    def _record(self, account: str, details: dict[str, object]) -> None:
        try:
            with self._store().begin() as connection:
                audit.append(connection, account, Action.REFUSED_ACCESS, details)
        except (DongseonError, sa.exc.DBAPIError) as error:
            _log.warning("a refusal could not be recorded in the audit: %s", error)
