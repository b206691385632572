"""Short work waits for no search, and no search waits for slow ones."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from fastapi import FastAPI, Request

from serving.access.accounts import Account
from serving.access.roles import Role
from serving.web.dependencies import in_search_thread, in_slow_thread, in_thread
from serving.web.gate import AuthenticatedAccount


@pytest.mark.parametrize(
    ("busy", "free"),
    [
        pytest.param([in_search_thread, in_slow_thread], in_thread, id="short"),
        pytest.param([in_slow_thread, in_thread], in_search_thread, id="a search"),
        pytest.param([in_search_thread, in_thread], in_slow_thread, id="a slow search"),
    ],
)
def test_work_of_one_kind_waits_for_no_other(busy: list[Callable[..., Any]], free: Callable[..., Any]) -> None:
    app = FastAPI()
    app.state.threads = 2
    kim = Account("kim", Role.OPERATOR, datetime.now(UTC), None, None)
    request = Request({"type": "http", "app": app, "user": AuthenticatedAccount(kim)})
    is_over = Event()

    async def work() -> int:
        held = [asyncio.create_task(kind(request, is_over.wait)) for kind in busy for _ in range(10)]
        await asyncio.sleep(0)  # they begin
        try:
            answer: int = await asyncio.wait_for(free(request, lambda: 7), timeout=20)
        finally:
            is_over.set()
            await asyncio.gather(*held)
        return answer

    assert asyncio.run(work()) == 7
