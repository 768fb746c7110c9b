"""A member: one stream, or one Pull lease, that takes deliveries of a subscription."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bellwire.coordinator.core.cursor import Cursor, Slice
from bellwire.coordinator.log.protocol import Entry
from bellwire.wire.errors import UnknownDeliveryTagError
from bellwire.wire.window import Window

if TYPE_CHECKING:
    from bellwire.coordinator.core.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Handout:
    """Messages `first..last` (indexes, `last` exclusive) of an entry on their way to a member."""

    cursor: Cursor
    entry: Entry
    first: int
    last: int
    first_tag: int
    attempt: int
    dropped: int
    size_bytes: int

    @property
    def whole(self) -> bool:
        """Whether the publisher's block can go out untouched."""
        return self.last - self.first == self.entry.count


class InFlight:
    """A handed-out block and which of its messages are settled: one bit each."""

    __slots__ = ("handout", "open_count", "settled")

    def __init__(self, handout: Handout) -> None:
        self.handout = handout
        self.open_count = handout.last - handout.first
        self.settled = 0

    def settle(self, first: int, last: int) -> list[tuple[int, int]]:
        """Mark indexes `first..last` (`last` exclusive); return the runs that were still open."""
        wanted = ((1 << (last - first)) - 1) << first
        fresh = wanted & ~self.settled
        self.settled |= wanted
        self.open_count -= fresh.bit_count()
        return _runs(fresh)

    def open_runs(self) -> list[tuple[int, int]]:
        """Return the runs of messages not settled."""
        count = self.handout.last - self.handout.first
        return _runs(((1 << count) - 1) & ~self.settled)


def _runs(bits: int) -> list[tuple[int, int]]:
    """Return the runs of ones as (first, last) with `last` exclusive."""
    runs = []
    while bits:
        first = (bits & -bits).bit_length() - 1
        rest = ~(bits >> first)
        length = (rest & -rest).bit_length() - 1
        runs.append((first, first + length))
        bits &= ~(((1 << length) - 1) << first)
    return runs


class Member:
    """Takes deliveries within a hard window and settles them by tag.

    Attributes:
        lease_id: Scopes the delivery tags.
        ready: Cursors this member holds that may have something to deliver.
        wake: Called when a delivery may have become possible.
        retry_at: When to ask for a delivery again though nothing happened; None = on `wake` only.
        overflowed: Whether policy DISCONNECT has struck it.
    """

    def __init__(
        self, subscription: Subscription, lease_id: str, window: Window, wake: Callable[[], None]
    ) -> None:
        self.subscription = subscription
        self.lease_id = lease_id
        self.window = window
        self.wake = wake
        self.ready: deque[Cursor] = deque()
        self.paused = False
        self.next_tag = 1
        self.stalled_since: float | None = None
        self.retry_at: float | None = None
        self.overflowed = False
        self._first_tags: list[int] = []
        self._in_flight: list[InFlight] = []

    @property
    def messages_in_flight(self) -> int:
        """Messages handed out and not settled."""
        return self.window.messages_in_flight

    def hand_out(self, cursor: Cursor, part: Slice, count: int, size_bytes: int) -> Handout:
        """Count messages as in flight under the next tags."""
        cursor.advance(part, count)
        handout = Handout(
            cursor,
            part.entry,
            part.first,
            part.first + count,
            self.next_tag,
            part.attempt,
            cursor.dropped,
            size_bytes,
        )
        cursor.dropped = 0
        self.next_tag += count
        self.window.take(count, size_bytes)
        self._first_tags.append(handout.first_tag)
        self._in_flight.append(InFlight(handout))
        return handout

    def settle(self, first_tag: int, last_tag: int) -> list[tuple[Handout, int, int]]:
        """Take tags out of flight; return (handout, first, last) per run, indexes into the entry.

        Nothing changes unless every tag of the range is in flight.

        Raises:
            UnknownDeliveryTagError: A tag was never delivered, or is settled already.
        """
        blocks, at = self._blocks_of(first_tag, last_tag)
        ended: list[tuple[Handout, int, int]] = []
        for block, first, last in blocks:
            handout = block.handout
            for run_first, run_last in block.settle(first, last):
                ended.append((handout, handout.first + run_first, handout.first + run_last))
                handout.cursor.in_flight -= run_last - run_first
                self.window.give_back(run_last - run_first, 0)
            if block.open_count == 0:
                self.window.give_back(0, handout.size_bytes)
        self._forget_settled(at, at + len(blocks))
        return ended

    def give_up(self) -> list[tuple[Handout, int, int]]:
        """Take everything out of flight, as when the stream ends; the same result as `settle`."""
        ended = []
        for block in self._in_flight:
            handout = block.handout
            handout.cursor.in_flight -= block.open_count
            for first, last in block.open_runs():
                ended.append((handout, handout.first + first, handout.first + last))
        self._first_tags.clear()
        self._in_flight.clear()
        self.window.messages_in_flight = self.window.bytes_in_flight = 0
        return ended

    def _blocks_of(
        self, first_tag: int, last_tag: int
    ) -> tuple[list[tuple[InFlight, int, int]], int]:
        """Return the blocks of a range with the part of each, and the place of the first."""
        at = begin = bisect_right(self._first_tags, first_tag) - 1
        tag, blocks = first_tag, []
        while at >= 0 and tag <= last_tag and at < len(self._in_flight):
            block = self._in_flight[at]
            first = tag - block.handout.first_tag
            count = block.handout.last - block.handout.first
            last = min(last_tag - block.handout.first_tag + 1, count)
            if not 0 <= first < last:
                break
            settled = ((1 << (last - first)) - 1) << first & block.settled
            if settled:
                tag = block.handout.first_tag + (settled & -settled).bit_length() - 1
                break
            blocks.append((block, first, last))
            tag = block.handout.first_tag + last
            at += 1
        if tag <= last_tag or first_tag > last_tag:
            raise UnknownDeliveryTagError(
                f"tags {first_tag}..{last_tag} are not all in flight under lease {self.lease_id}: "
                f"tag {tag} was never delivered or is settled already",
                metadata={"first_tag": str(first_tag), "last_tag": str(last_tag), "tag": str(tag)},
            )
        return blocks, begin

    def _forget_settled(self, begin: int, end: int) -> None:
        """Drop blocks with nothing open: one cut, because a cut moves all that stands behind it."""
        still_open = [block for block in self._in_flight[begin:end] if block.open_count]
        self._in_flight[begin:end] = still_open
        self._first_tags[begin:end] = [block.handout.first_tag for block in still_open]
