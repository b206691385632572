"""Dependencies of the endpoints: the search service, the account of the request, the database, threads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
import sqlalchemy as sa
from anyio import CapacityLimiter
from fastapi import Depends, Request

from domain.deadline import require_time
from serving.access.accounts import Account
from serving.cases.settings import CasesSettings
from serving.footage.footage import MOST_CLIPS
from serving.search import service
from serving.web.fair_places import FairPlaces

# Transactions of endpoints at the same time: the pool has 15 connections, and searches and the gate need some.
_MOST_TRANSACTIONS = 4
_P = ParamSpec("_P")
_T = TypeVar("_T")


def _search_service(request: Request) -> service.SearchService:
    search_service = request.app.state.search_service
    assert isinstance(search_service, service.SearchService), "serving.service sets it"
    return search_service


def _account(request: Request) -> Account:
    account = request.user.account
    assert isinstance(account, Account), "serving.web.gate refuses requests without one"
    return account


@dataclass(frozen=True)
class _Limiters:
    """Threads at the same time, by kind of work; searches and clips of all accounts share theirs fairly."""

    searches: FairPlaces
    slow: FairPlaces
    clips: FairPlaces
    short: CapacityLimiter
    computing: CapacityLimiter


def _limiters(request: Request) -> _Limiters:
    state = request.app.state
    if not hasattr(state, "limiters"):
        state.limiters = _Limiters(
            FairPlaces(state.threads),
            FairPlaces(1),
            FairPlaces(MOST_CLIPS),
            CapacityLimiter(_MOST_TRANSACTIONS),
            CapacityLimiter(state.threads + 1 + MOST_CLIPS),  # one for each place, so nobody waits here
        )
    limiters = state.limiters
    assert isinstance(limiters, _Limiters)
    return limiters


async def _run(limiter: CapacityLimiter, work: Callable[[], _T]) -> _T:
    def run() -> _T:
        require_time()
        return work()

    return await anyio.to_thread.run_sync(run, limiter=limiter)


async def _compute(request: Request, places: FairPlaces, work: Callable[[], _T]) -> _T:
    async with places.place(_account(request).name):
        return await _run(_limiters(request).computing, work)


def _case_rules(request: Request) -> CasesSettings:
    rules = request.app.state.cases
    assert isinstance(rules, CasesSettings), "serving.service sets it"
    return rules


CaseRules = Annotated[CasesSettings, Depends(_case_rules)]
SearchService = Annotated[service.SearchService, Depends(_search_service)]
CurrentAccount = Annotated[Account, Depends(_account)]


def _transaction(search_service: SearchService) -> Iterator[sa.Connection]:
    require_time()
    with search_service.store().begin() as connection:
        yield connection


# A transaction of an endpoint, which must be a plain `def`: FastAPI runs it in a thread, where it may wait for the
# database. The transaction is committed before the answer is sent (`scope`), so that every answer is in the audit; an
# error rolls it back. FastAPI takes a thread to open the transaction, one for the endpoint and one to end it. Without
# `max_concurrency`, requests that wait for a connection of the pool could occupy all threads, and the requests that
# have a connection could not go on.
Transaction = Annotated[sa.Connection, Depends(_transaction, scope="function", max_concurrency=_MOST_TRANSACTIONS)]


async def in_thread(request: Request, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Value of `work(*args, **kwargs)`, which is short, run in a thread that no search occupies.

    Raises:
        OverdueError: if the request's deadline passes before a thread is free.
    """
    return await _run(_limiters(request).short, lambda: work(*args, **kwargs))


async def in_search_thread(request: Request, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Value of `work(*args, **kwargs)`, run in one of the application's `state.threads` threads of searches.

    Accounts share the threads fairly.

    Raises:
        OverdueError: if the request's deadline passes before a thread is free.
    """
    return await _compute(request, _limiters(request).searches, lambda: work(*args, **kwargs))


async def in_slow_thread(request: Request, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Value of `work(*args, **kwargs)`, run in the one thread of slow searches, so that others never wait for it.

    Raises:
        OverdueError: if the request's deadline passes before the thread is free.
    """
    return await _compute(request, _limiters(request).slow, lambda: work(*args, **kwargs))


async def parts_in_clip_thread(
    request: Request, work: Callable[_P, Iterator[bytes]], *args: _P.args, **kwargs: _P.kwargs
) -> AsyncIterator[bytes]:
    """Parts that `work(*args, **kwargs)` yields, from one of the threads in which clips are made, as they come.

    The thread does not wait until they are taken, so that no slow client holds it.

    Raises:
        OverdueError: if the request's deadline passes before a thread is free.
    """
    loop, parts = asyncio.get_running_loop(), asyncio.Queue[bytes | None]()

    def make_all() -> None:
        for part in work(*args, **kwargs):
            loop.call_soon_threadsafe(parts.put_nowait, part)

    waiting = anyio.CancelScope()

    async def make() -> None:
        with waiting:
            await _compute(request, _limiters(request).clips, make_all)

    making = asyncio.create_task(make())
    making.add_done_callback(lambda _: parts.put_nowait(None))
    try:
        while (part := await parts.get()) is not None:
            yield part
        await making
    finally:
        waiting.cancel()  # a thread that has begun goes on, and keeps its place


async def in_transaction(
    request: Request, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """Value of `work(connection, *args, **kwargs)`, run in a thread in a transaction of its own.

    For endpoints that compute between two transactions; the others take a `Transaction`.

    Raises:
        NotReadyError: if the store does not open.
        OverdueError: if the request's deadline passes before a thread is free.
    """

    def run() -> _T:
        with _search_service(request).store().begin() as connection:
            return work(connection, *args, **kwargs)

    return await in_thread(request, run)
