"""Endpoints of /v1 for watches and alerts; those that take a search's form are in `serving.web.api`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from domain.deadline import remaining_s
from domain.errors import DongseonError
from serving.access.roles import Permission
from serving.cases.emergency import AwaitedCase, tell_reviewer
from serving.cases.visible import case_of
from serving.watching import watches
from serving.watching.watches import Alert, WatchAnswer
from serving.web.case_api import CaseId
from serving.web.dependencies import CurrentAccount, SearchService, Transaction, in_transaction
from serving.web.errors import declared

EVENTS = "/v1/alerts/events"
_EVERY_S = 1.0
EVENTS_S = 25.0  # then the browser connects again, for no answer may take longer than the service's deadline
_SPARE_S = 2.0
WatchId = Annotated[int, Path(ge=1, lt=2**63)]
AlertNumber = Annotated[int, Field(ge=0, lt=2**63)]
_EVENT = {  # each of the answer
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
}
router = APIRouter()


class WatchesAnswer(BaseModel):
    """Watches of a case, newest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    watches: list[WatchAnswer]


class AlertsAnswer(BaseModel):
    """Alerts, oldest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alerts: list[Alert]
    newest: int  # number of the newest alert of all cases, to go on from


@router.get("/watches", responses=declared(400, 404, 503))
def watches_of_case(
    connection: Transaction, account: CurrentAccount, case: Annotated[CaseId, Query()]
) -> WatchesAnswer:
    """Watches of a case."""
    case_of(connection, account, case)
    return WatchesAnswer(watches=watches.watches_of(connection, account, case))


@router.post("/watches/{watch_id}/end", responses=declared(400, 404, 503))
def end_watch(connection: Transaction, account: CurrentAccount, watch_id: WatchId) -> WatchAnswer:
    """End a watch; what it told stays."""
    return watches.end_watch(connection, account, watch_id)


@router.get("/alerts", responses=declared(400, 404, 503))
def alerts(
    connection: Transaction,
    account: CurrentAccount,
    case: Annotated[CaseId | None, Query()] = None,
    after: Annotated[AlertNumber, Query()] = 0,
) -> AlertsAnswer:
    """The first hundred alerts with a number above `after`, of one case or of all cases of the account."""
    if case is not None:
        case_of(connection, account, case)
    newest = watches.newest_alert(connection)
    return AlertsAnswer(alerts=watches.alerts_after(connection, account, after, case), newest=newest)


@router.get(
    "/alerts/events",
    response_class=StreamingResponse,
    responses=declared(400, 503) | {200: {"content": {"text/event-stream": {"schema": _EVENT}}}},
)
async def events(
    request: Request,
    service: SearchService,
    account: CurrentAccount,
    after: Annotated[AlertNumber | None, Query()] = None,
    last_event_id: Annotated[AlertNumber | None, Header()] = None,
) -> StreamingResponse:
    """Alerts of the account's cases as server-sent events, each with its number as id, from `after` or from now on.

    Reviewers get the event `emergencies` too: the cases that await their agreement, at first and whenever they change.
    The answer ends after 25 s; a browser then asks again with the header Last-Event-ID.
    """
    given = last_event_id if last_event_id is not None else after
    start = await in_transaction(request, watches.newest_alert) if given is None else given
    most_s: float = request.app.state.events_s
    lasts_s = min(most_s, (remaining_s() or 2 * most_s + _SPARE_S) - _SPARE_S)
    return StreamingResponse(_events(request, account, start, lasts_s), media_type="text/event-stream")


async def _events(request: Request, account: CurrentAccount, after: int, lasts_s: float) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    ends = loop.time() + lasts_s
    awaited = "" if account.may(Permission.REVIEW) else None
    yield f"retry: {round(1000 * _EVERY_S)}\nid: {after}\n\n"  # the browser goes on from here if it is told nothing
    while loop.time() < ends and not await request.is_disconnected():
        try:
            told = await in_transaction(request, watches.alerts_after, account, after)
            before = awaited
            if awaited is not None:
                awaited = _as_json(await in_transaction(request, tell_reviewer, account))
        except (DongseonError, sa.exc.SQLAlchemyError):  # the browser asks again, and is told then
            return
        if awaited != before:
            yield f"event: emergencies\ndata: {awaited}\n\n"
        for alert in told:
            after = alert.id
            yield f"id: {alert.id}\nevent: alert\ndata: {alert.model_dump_json()}\n\n"
        if not told:
            yield ": nothing new\n\n"
            await asyncio.sleep(_EVERY_S)


def _as_json(cases: list[AwaitedCase]) -> str:
    return f"[{','.join(case.model_dump_json() for case in cases)}]"
