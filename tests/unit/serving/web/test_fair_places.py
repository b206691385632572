"""Places that accounts share: nobody waits for the many requests of another account."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.web import fair_places
from serving.web.fair_places import FairPlaces


class Work:
    """Pieces of work that hold a place until they are told to end."""

    def __init__(self, number: int) -> None:
        self.places = FairPlaces(number)
        self.begun: list[str] = []
        self._ends: list[asyncio.Event] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, account: str) -> asyncio.Task[None]:
        async def hold() -> None:
            async with self.places.place(account):
                self.begun.append(account)
                ends = asyncio.Event()
                self._ends.append(ends)
                await ends.wait()

        self.tasks.append(asyncio.create_task(hold()))
        await turn_of_the_loop()
        return self.tasks[-1]

    async def end_one(self) -> None:
        self._ends.pop(0).set()
        await turn_of_the_loop()

    async def give_up(self) -> None:
        for each in self.tasks:
            each.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def turn_of_the_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_one_account_alone_has_all_places() -> None:
    async def main() -> list[str]:
        work = Work(3)
        for _ in range(5):
            await work.ask("a")
        begun = [*work.begun]
        await work.give_up()
        return begun

    assert asyncio.run(main()) == ["a"] * 3


def test_another_account_has_its_turn_before_the_rest_of_a_crowd() -> None:
    async def main() -> list[str]:
        work = Work(2)
        for account in "aaaaaaab":
            await work.ask(account)
        await work.end_one()
        begun = [*work.begun]
        await work.give_up()
        return begun

    assert asyncio.run(main()) == ["a", "a", "b"]


def test_who_searched_a_moment_ago_finds_a_place_free(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(remembered_s: float) -> list[str]:
        monkeypatch.setattr(fair_places, "_REMEMBERED_S", remembered_s)
        work = Work(2)
        await work.ask("b")
        await work.end_one()
        for _ in range(4):
            await work.ask("a")
        await work.ask("b")
        begun = work.begun[1:]
        await work.give_up()
        return begun

    assert asyncio.run(main(60)) == ["a", "b"]
    assert asyncio.run(main(-1)) == ["a", "a"]  # b is forgotten and waits for one of them


def test_who_gives_up_while_waiting_or_working_leaves_the_place_to_others() -> None:
    async def main() -> list[str]:
        work = Work(1)
        working, waiting = await work.ask("a"), await work.ask("b")
        waiting.cancel()
        await turn_of_the_loop()
        await work.ask("c")
        working.cancel()
        await turn_of_the_loop()
        begun = [*work.begun]
        await work.give_up()
        return begun

    assert asyncio.run(main()) == ["a", "c"]


@given(
    number=st.integers(1, 4),
    steps=st.lists(st.one_of(st.sampled_from("abc"), st.integers(0, 30)), max_size=40),
)
def test_whoever_asks_gets_a_place_once_and_never_more_hold_one_than_there_are(
    number: int, steps: list[str | int]
) -> None:
    async def main() -> None:
        work = Work(number)
        held: Counter[str] = Counter()
        most = 0

        async def hold(account: str) -> None:
            nonlocal most
            async with work.places.place(account):
                held[account] += 1
                most = max(most, held.total())
                try:
                    await turn_of_the_loop()
                finally:
                    held[account] -= 1

        tasks: list[asyncio.Task[None]] = []
        for step in steps:
            if isinstance(step, str):
                tasks.append(asyncio.create_task(hold(step)))
            elif step < len(tasks):
                tasks[step].cancel()
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert most <= number
        await asyncio.wait_for(hold("d"), 10)  # and no place is lost

    asyncio.run(main())
