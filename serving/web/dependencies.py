"""What endpoints get of a request: the search, the account that asks, the database; and a thread to work in."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import anyio.to_thread
import sqlalchemy as sa
from anyio import CapacityLimiter
from fastapi import Depends, Request

from domain.deadline import require_time
from serving.access.accounts import Account
from serving.search.service import PhotoSearch

_T = TypeVar("_T")


def _photo_search(request: Request) -> PhotoSearch:
    found = request.app.state.photo_search
    assert isinstance(found, PhotoSearch), "build_api says who sets it"
    return found


def _account(request: Request) -> Account:
    account = request.user.account
    assert isinstance(account, Account), "serving.web.gate lets nobody else in"
    return account


Found = Annotated[PhotoSearch, Depends(_photo_search)]
By = Annotated[Account, Depends(_account)]


async def in_thread(request: Request, work: Callable[[], _T]) -> _T:
    """The value of `work`, run in one of the application's `state.threads` threads.

    Raises:
        OverdueError: if the request has waited for one until its deadline.
    """
    state = request.app.state
    if not hasattr(state, "limiter"):
        state.limiter = CapacityLimiter(state.threads)

    def run() -> _T:
        require_time()
        return work()

    return await anyio.to_thread.run_sync(run, limiter=state.limiter)


async def in_transaction(request: Request, work: Callable[[sa.Connection], _T]) -> _T:
    """The value of `work`, run in a thread with a transaction on the store's database.

    Raises:
        NotReadyError: if the store does not open.
    """
    found = _photo_search(request)

    def run() -> _T:
        with found.store().begin() as connection:
            return work(connection)

    return await in_thread(request, run)
