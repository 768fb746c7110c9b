"""Messages that are sent and not acknowledged: how many, and which."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeAlias

from bellwire.cli.loadtest.ranges import Range
from bellwire.client import PublishedRange, PublishResult

__all__ = ["InFlight"]

Outcome: TypeAlias = asyncio.Future[PublishResult] | asyncio.Future[list[PublishedRange]]
Settle: TypeAlias = Callable[[int, int, BaseException | None], None]


class InFlight:
    """Bounds what one publisher has unacknowledged. Overflow policy: BLOCK, in order."""

    def __init__(self, messages_max: int) -> None:
        self._messages_max = messages_max
        self._messages = 0
        self._open: dict[Outcome, Range] = {}
        self._changed = asyncio.Event()

    def fits(self, messages: int) -> bool:
        """Tell whether there is room; always, when nothing is in flight."""
        return not self._messages or self._messages + messages <= self._messages_max

    def add(self, outcome: Outcome, first: int, end: int, settle: Settle) -> None:
        """Track messages `first` up to and without `end` until their outcome is known.

        Args:
            outcome: Done when they are acknowledged, failed when they never will be.
            first: Sequence number.
            end: Sequence number.
            settle: Told the range and its error, None for acknowledged.
        """
        self._open[outcome] = (first, end)
        self._messages += end - first

        def done(outcome: Outcome) -> None:
            if self._open.pop(outcome, None) is None:
                return  # Given up before.
            self._messages -= end - first
            self._changed.set()
            settle(first, end, _error_of(outcome))

        outcome.add_done_callback(done)

    async def changed(self, seconds: float) -> None:
        """Wait until something is settled, or `wake`, at most so long."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def wake(self) -> None:
        """End a wait for change."""
        self._changed.set()

    async def settled(self, seconds: float) -> list[Range]:
        """Wait until nothing is in flight; after so long without any change give up what is.

        Returns:
            What was given up.
        """
        while self._open:
            before = len(self._open)
            await self.changed(seconds)
            if len(self._open) == before:
                break
        late = list(self._open.items())
        self._open.clear()
        self._messages = 0
        for outcome, _ in late:
            outcome.cancel()
        return [span for _, span in late]


def _error_of(outcome: Outcome) -> BaseException | None:
    return asyncio.CancelledError() if outcome.cancelled() else outcome.exception()
