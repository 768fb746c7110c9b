"""An asyncio event loop whose clock moves only when nothing is left to do."""

from __future__ import annotations

import asyncio
from typing import Any, Final

MILLISECOND: Final = 0.001
NANOS: Final = 1_000_000_000
EPOCH_NS: Final = 1_800_000_000 * NANOS  # What the wall clock shows when a run begins.


class Deadlock(Exception):
    """Nothing is scheduled and somebody still waits."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks and tasks in the order they became ready; waiting takes no time at all.

    Without threads, sockets and signals a run depends on nothing but its inputs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self  # BaseEventLoop waits by asking its selector.

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._now

    def time_ns(self) -> int:
        """Return the wall clock, nanoseconds since the Unix epoch."""
        return EPOCH_NS + int(self._now * NANOS)

    def select(self, timeout: float | None) -> list[Any]:
        """Let time pass instead of waiting for it.

        Raises:
            Deadlock: There is nothing to wait for.
        """
        if timeout is None:
            raise Deadlock("nothing is scheduled, and the run is not over")
        self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no events from outside."""

    def _write_to_self(self) -> None:
        """Nobody else could have to wake us."""
