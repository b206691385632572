"""Places for work that computes, shared fairly between accounts: who sends much does not make others wait."""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_REMEMBERED_S = 10.0  # an account whose work ended less than this ago counts as active


class FairPlaces:
    """At most `number` pieces of work at the same time.

    An active account holds at most its share, `number` divided by the number of active accounts and rounded up, so that
    others who come back find a place free. Accounts that wait take turns; the requests of an account keep their order.
    For use in one event loop.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()  # whose turn it is comes first
        self._ended: dict[str, float] = {}  # account -> when its last work ended

    @asynccontextmanager
    async def place(self, account: str) -> AsyncIterator[None]:
        """Hold a place for `account` while the block runs; waits for it before."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account, deque()).append(turn)
        self._hand_out()
        try:
            await turn
            yield
        finally:
            self._leave(account, turn)

    def _leave(self, account: str, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self._held[account] -= 1
            if self._held[account] == 0:
                del self._held[account]
            self._ended[account] = time.monotonic()
        else:  # given up while it waited
            self._forget(account, turn)
        self._hand_out()

    def _forget(self, account: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting[account]
        turns.remove(turn)
        if not turns:
            del self._waiting[account]

    def _hand_out(self) -> None:
        """Give free places to accounts in turn."""
        share = -(-self._number // max(1, self._num_active()))
        while self._held.total() < self._number and (account := self._next(share)) is not None:
            turn = next(each for each in self._waiting[account] if not each.done())
            self._forget(account, turn)
            turn.set_result(None)
            self._held[account] += 1
            if account in self._waiting:
                self._waiting.move_to_end(account)

    def _next(self, share: int) -> str | None:
        """The account whose turn it is; None if nobody waits but accounts that hold their share."""
        for account, turns in self._waiting.items():
            if self._held[account] < share and not all(each.done() for each in turns):
                return account
        return None

    def _num_active(self) -> int:
        since = time.monotonic() - _REMEMBERED_S
        self._ended = {account: ended for account, ended in self._ended.items() if ended > since}
        return len(self._ended.keys() | self._held.keys() | self._waiting.keys())
