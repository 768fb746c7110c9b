"""Waits for many messages with one future."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bellwire.client.results import PublishedRange
from bellwire.wire.errors import BellwireError


class ManyTicket:
    """Resolves when every message handed over is placed, or at the first refusal.

    Attributes:
        future: Carries the ranges, in the order they were acknowledged.
        placed_messages: How far it has come; a waiter uses it to tell slow from stuck.
    """

    __slots__ = ("_expected", "_ranges", "future", "placed_messages")

    def __init__(self, expected: int) -> None:
        self.future: asyncio.Future[list[PublishedRange]] = (
            asyncio.get_running_loop().create_future()
        )
        self.placed_messages = 0
        self._expected = expected
        self._ranges: list[PublishedRange] = []

    def done(self) -> bool:
        """Tell whether nobody waits any more."""
        return self.future.done()

    def place(self, placed: PublishedRange) -> None:
        """Note where some of the messages are."""
        if self.future.done():
            return
        self.placed_messages += len(placed)
        ranges = self._ranges
        if ranges and _touch(ranges[-1], placed):
            before = ranges.pop()
            placed = replace(placed, first_offset=before.first_offset)
        ranges.append(placed)
        if self.placed_messages == self._expected:
            self.future.set_result(self._ranges)

    def refuse(self, error: BellwireError) -> None:
        """Fail the whole; what has not been sent yet never will be."""
        if not self.future.done():
            self.future.set_exception(error)


def _touch(before: PublishedRange, after: PublishedRange) -> bool:
    return (
        before.last_offset + 1 == after.first_offset
        and before.partition == after.partition
        and before.duplicate == after.duplicate
        and before.ack_level == after.ack_level
    )
