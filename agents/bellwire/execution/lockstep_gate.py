"""Lets a signal wait, inside its handler, for the fills of the bar it was decided on."""

import asyncio
from typing import Final

from bellwire.risk.event_time_merge import EventTimeMerge, OutOfOrderError
from bellwire.wire.errors import CapacityError

EXECUTIONS: Final = "executions.matched"
SIGNALS: Final = "signals"
SYMBOLS_MAX: Final = 10_000  # bounds memory against symbols made up by a faulty agent


class TooManySymbolsError(CapacityError):
    """No room for another symbol."""

    reason = "LOCKSTEP_SYMBOLS_EXCEEDED"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"{limit} symbols are in lockstep, the limit; run another gateway")


class LockstepGate:
    """One merge per symbol; a waiting handler is an item in it.

    The handler that waits holds back the messages behind it, so the bus's own windows bound what
    queues up; executions are never held back here.
    """

    __slots__ = ("_merges", "_symbols_max")

    def __init__(self, symbols_max: int = SYMBOLS_MAX) -> None:
        self._merges: dict[str, EventTimeMerge[asyncio.Future[None]]] = {}
        self._symbols_max = symbols_max

    async def turn(self, symbol: str, time_unix_nano: int) -> None:
        """Return once all fills of `symbol` up to this event time have been seen.

        What comes out of order (redelivered, or from an agent that does not keep event time) does
        not wait: its turn is over.

        Raises:
            TooManySymbolsError: no room for this symbol.
            MergeBufferFullError: too much waits for this symbol already.
        """
        future = asyncio.get_running_loop().create_future()
        try:
            released = self._merge(symbol).push(SIGNALS, time_unix_nano, future)
        except OutOfOrderError:
            return
        _wake(released)
        await future

    def matched(self, symbol: str, time_unix_nano: int, *, end: bool = False) -> None:
        """Note that all fills of `symbol` up to this event time have been seen.

        Raises:
            TooManySymbolsError: no room for this symbol.
        """
        merge = self._merge(symbol)
        _wake(merge.close(EXECUTIONS) if end else merge.advance(EXECUTIONS, time_unix_nano))

    def _merge(self, symbol: str) -> EventTimeMerge[asyncio.Future[None]]:
        merge = self._merges.get(symbol)
        if merge is None:
            if len(self._merges) >= self._symbols_max:
                raise TooManySymbolsError(self._symbols_max)
            merge = EventTimeMerge([EXECUTIONS, SIGNALS])
            self._merges[symbol] = merge
        return merge


def _wake(released: list[asyncio.Future[None]]) -> None:
    for future in released:
        if not future.done():  # its handler may have been canceled meanwhile
            future.set_result(None)
