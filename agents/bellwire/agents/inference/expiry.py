"""When a timeout cancels: some turns of the loop after it has passed, for what is on its way already."""

import asyncio
from typing import Final

TURNS: Final = 4  # From an engine through a batcher, a flight of the cache, and those who wait: two, and as many again.


class Expiry:
    """Ends an `asyncio.timeout(None)` after a time, and then only if nothing arrives within some turns.

    What computes on the loop holds its timers up, too: once it is done both ring in the same turn, and a plain
    timeout would cancel who is about to be handed his answer by another task.
    """

    __slots__ = ("_handle", "_limit", "_loop", "_turns_left")

    def __init__(self, limit: asyncio.Timeout, seconds: float) -> None:
        """Begin to count.

        Args:
            limit: Entered before the loop's next turn; when it is left, `cancel` is to be called.
            seconds: Not positive = passed already.
        """
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._turns_left = TURNS
        self._handle: asyncio.Handle = self._loop.call_later(max(0.0, seconds), self._ring)

    def cancel(self) -> None:
        """Count no longer."""
        self._handle.cancel()

    def _ring(self) -> None:
        if self._turns_left:
            self._turns_left -= 1
            self._handle = self._loop.call_soon(self._ring)
        else:
            self._limit.reschedule(self._loop.time())
