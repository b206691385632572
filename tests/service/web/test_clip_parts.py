"""A clip is answered while it is made."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from fastapi import FastAPI
from starlette.requests import Request

from domain.deadline import OverdueError, deadline_after
from serving.database import audit
from serving.database.store import open_store
from serving.deployment import Deployment
from serving.footage.clips import NoFootageError
from serving.footage.footage import MOST_CLIPS, Footage, Window
from serving.web.api import build_api
from serving.web.dependencies import parts_in_clip_thread
from serving.web.gate import AuthenticatedAccount
from tests.helpers.deployments import FOR_CASE, MAX_UPLOAD_BYTES, REVIEWER, client_of
from tests.helpers.sightings import NOON

REFUSAL = "the recording of cam0 must be a video that can be decoded, it is not"


@pytest.fixture
def request_of() -> Callable[[], Request]:
    """Makes requests to one application."""
    api = FastAPI()
    api.state.threads = 1
    return lambda: Request({"type": "http", "app": api, "user": AuthenticatedAccount(REVIEWER)})


async def all_of(parts: AsyncIterator[bytes]) -> list[bytes]:
    return [part async for part in parts]


def test_a_part_comes_before_the_next_is_made(request_of: Callable[[], Request]) -> None:
    first_came = threading.Event()

    def made() -> Iterator[bytes]:
        yield b"first"
        yield b"second" if first_came.wait(20) else b"too late"

    async def read() -> list[bytes]:
        parts = parts_in_clip_thread(request_of(), made)
        first = await anext(parts)
        first_came.set()
        return [first, *await all_of(parts)]

    assert asyncio.run(read()) == [b"first", b"second"]


def test_who_takes_no_parts_holds_no_thread(request_of: Callable[[], Request]) -> None:
    def made() -> Iterator[bytes]:
        yield from (b"first", b"second")

    async def read() -> list[bytes]:
        slow = [parts_in_clip_thread(request_of(), made) for _ in range(2 * MOST_CLIPS)]
        for parts in slow:
            await anext(parts)
        return await asyncio.wait_for(all_of(parts_in_clip_thread(request_of(), made)), 20)

    assert asyncio.run(read()) == [b"first", b"second"]


def test_a_clip_that_nobody_waits_for_any_more_is_not_begun(request_of: Callable[[], Request]) -> None:
    goes_on, begun = threading.Event(), []

    def made(number: int) -> Iterator[bytes]:
        begun.append(number)
        goes_on.wait(20)
        yield b"all"

    async def read() -> None:
        streams = [parts_in_clip_thread(request_of(), made, number) for number in range(MOST_CLIPS + 1)]
        clips = [asyncio.create_task(all_of(parts)) for parts in streams]
        while len(begun) < MOST_CLIPS:
            await asyncio.sleep(0.01)
        clips[-1].cancel()
        await asyncio.sleep(0)
        goes_on.set()
        assert await asyncio.gather(*clips[:-1]) == MOST_CLIPS * [[b"all"]]

    asyncio.run(read())
    assert sorted(begun) == list(range(MOST_CLIPS))


def test_after_the_deadline_no_clip_begins(request_of: Callable[[], Request]) -> None:
    with deadline_after(0), pytest.raises(OverdueError):
        asyncio.run(all_of(parts_in_clip_thread(request_of(), lambda: iter([b"all"]))))


class Recorded(Footage):
    """Footage whose clips are `parts`, after which they fail."""

    parts: tuple[bytes, ...] = ()

    def window(self, *_: object, **__: object) -> Window:
        return Window("cam0", NOON, NOON)

    def clip(self, *_: object) -> Iterator[bytes]:
        yield from self.parts
        raise NoFootageError(REFUSAL)


def test_a_clip_that_fails_is_refused_before_its_first_part_and_breaks_off_after_it(deployment: Deployment) -> None:
    api: FastAPI = build_api()
    api.state.max_upload_bytes, api.state.threads = MAX_UPLOAD_BYTES, 2

    def num_views() -> int:
        with open_store(deployment.store) as store, store.begin() as connection:
            return sum(one.action == audit.Action.FOOTAGE for one in audit.records(connection))

    with client_of(api, deployment) as client:
        api.state.footage.close()
        api.state.footage = Recorded(api.state.search_service.store)
        client.post("/search", data=FOR_CASE | {"attributes": '{"bag": "backpack"}'})
        asked = {"case": 1, "reason": "a child is missing"}
        before = num_views()
        refused = client.post("/footage/demo/1/clip", json=asked)
        assert (refused.status_code, refused.json()["code"]) == (404, "no_footage")
        assert REFUSAL in refused.json()["error"]
        assert num_views() == before
        Recorded.parts = (b"first", b"second")
        with pytest.raises(RuntimeError, match="response already started") as broken_off:
            client.post("/footage/demo/1/clip", json=asked)
        assert REFUSAL in str(broken_off.value.__cause__)
        assert num_views() == before + 1
