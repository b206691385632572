"""Short work waits for no search, and no search waits for slow ones."""

import asyncio
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from fastapi import FastAPI, Request

from serving.web.dependencies import in_search_thread, in_slow_thread, in_thread


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
    request = Request({"type": "http", "app": app})
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
