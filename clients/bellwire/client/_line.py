"""A line to stand in: whoever comes while others wait, waits behind them."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class Line:
    """First come, first served, without the gap of `asyncio.Lock`.

    A released lock reads as free until its next waiter has run, and somebody who comes in that moment overtakes.
    Here the place is handed over: the line is never free while anybody waits.
    """

    __slots__ = ("_taken", "_waiting")

    def __init__(self) -> None:
        self._taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def is_free(self) -> bool:
        """Whether entering would not wait."""
        return not self._taken

    async def __aenter__(self) -> None:
        """Wait for one's turn; does not suspend when the line is free."""
        if not self._taken:
            self._taken = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._hand_over()  # It was our turn already.
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the next one in."""
        self._hand_over()

    def _hand_over(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # A cancelled one has left.
                turn.set_result(None)
                return
        self._taken = False
