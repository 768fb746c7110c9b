"""A member: one stream, or one Pull lease, that takes deliveries of a subscription."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from typing import TYPE_CHECKING, Final

from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.flight import Handout, InFlight
from bellwire.coordinator.core.part import Part
from bellwire.coordinator.core.ready import ReadyQueue
from bellwire.wire.errors import BellwireError, LeaseExpiredError, UnknownDeliveryTagError
from bellwire.wire.window import Window

if TYPE_CHECKING:
    from bellwire.coordinator.core.subscription import Subscription


EXPIRED_REMEMBERED: Final = 1_000  # Ranges of tags; a later settlement hears why it comes too late.


class Member:
    """Takes deliveries within a hard window and settles them by tag.

    Attributes:
        lease_id: Scopes the delivery tags.
        ready: Cursors this member holds that may have something to deliver.
        wake: Called when a delivery may have become possible.
        retry_at: When to ask for a delivery again though nothing happened; None = on `wake` only.
        overflowed: Whether policy DISCONNECT has struck it.
        is_active: Whether it takes part; what it holds may outlast that.
        isolated: Whether it holds a message that others died of, and nothing else.
        lease_seconds: How long it may hold a delivery; None = as long as it lives.
        failed: Why it can get nothing more; None = it can.
    """

    def __init__(
        self,
        subscription: Subscription,
        lease_id: str,
        window: Window,
        wake: Callable[[], None],
        lease_seconds: float | None = None,
    ) -> None:
        self.subscription = subscription
        self.lease_id = lease_id
        self.window = window
        self.wake = wake
        self.ready = ReadyQueue()
        self.lease_seconds = lease_seconds
        self.isolated = False
        self.is_active = True
        self.failed: BellwireError | None = None
        self.paused = False
        self.next_tag = 1
        self.stalled_since: float | None = None
        self.retry_at: float | None = None
        self.overflowed = False
        self._first_tags: list[int] = []
        self._in_flight: list[InFlight] = []
        self._expired: deque[tuple[int, int]] = deque(maxlen=EXPIRED_REMEMBERED)

    @property
    def messages_in_flight(self) -> int:
        """Messages handed out and not settled."""
        return self.window.messages_in_flight

    def hand_out(
        self, cursor: Cursor, part: Part, count: int, size_bytes: int, now: float
    ) -> Handout:
        """Count messages as in flight under the next tags."""
        run = part.run
        cursor.advance(part, count)
        handout = Handout(
            cursor,
            part.entry,
            part.first,
            part.first + count,
            self.next_tag,
            run.attempt if run is not None else 0,
            run.failures if run is not None else 0,
            run.suspect if run is not None else 0,
            cursor.dropped,
            size_bytes,
            cursor.generation,
        )
        cursor.dropped = 0
        self.next_tag += count
        self.window.take(count, size_bytes)
        lease = self.lease_seconds
        flight = InFlight(handout, None if lease is None else now + lease)
        self._first_tags.append(handout.first_tag)
        self._in_flight.append(flight)
        cursor.flights[flight] = None
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
                if handout.is_current:
                    handout.cursor.in_flight -= run_last - run_first
                self.window.give_back(run_last - run_first, 0)
            if block.open_count == 0:
                handout.cursor.flights.pop(block, None)
                self.window.give_back(0, handout.size_bytes)
        self._forget_settled(at, at + len(blocks))
        return ended

    def give_up(self) -> list[tuple[Handout, int, int]]:
        """Take everything out of flight, as when the stream ends; the same result as `settle`."""
        ended = [run for flight in self._in_flight for run in self._end(flight)]
        self._first_tags.clear()
        self._in_flight.clear()
        self.window.messages_in_flight = self.window.bytes_in_flight = 0
        return ended

    def expire(self, now: float, *, keep_order: bool) -> list[tuple[Handout, int, int, bool]]:
        """Take out of flight what was held for longer than the lease.

        Where order is kept, what was handed out behind it of the same partition goes with it, for that must
        come after it again.

        Returns:
            As `settle` does, and for each run whether it was late itself.
        """
        if self.lease_seconds is None:
            return []
        late = [f for f in self._in_flight if f.deadline is not None and f.deadline <= now]
        if not late:
            return []
        taken = list(late)
        if keep_order:
            first = {flight.handout.cursor: flight.handout.first_tag for flight in reversed(late)}
            taken = [
                flight
                for flight in self._in_flight
                if first.get(flight.handout.cursor, inf) <= flight.handout.first_tag
            ]
        ended: list[tuple[Handout, int, int, bool]] = []
        for flight in taken:
            handout = flight.handout
            self._expired.append(
                (handout.first_tag, handout.first_tag + handout.last - handout.first - 1)
            )
            self.window.give_back(flight.open_count, handout.size_bytes)
            ended += [(*run, flight in late) for run in self._end(flight)]
            flight.open_count = 0
        self._forget_settled(0, len(self._in_flight))
        return ended

    def renew(self, first_tag: int, last_tag: int, now: float) -> None:
        """Begin the lease of deliveries anew.

        Raises:
            UnknownDeliveryTagError, LeaseExpiredError: A tag of the range is not in flight.
        """
        flights, _ = self._blocks_of(first_tag, last_tag)
        if self.lease_seconds is not None:
            for flight, _, _ in flights:
                flight.deadline = now + self.lease_seconds

    def _end(self, flight: InFlight) -> Iterator[tuple[Handout, int, int]]:
        handout = flight.handout
        handout.cursor.flights.pop(flight, None)
        if handout.is_current:
            handout.cursor.in_flight -= flight.open_count
        for first, last in flight.open_runs():
            yield handout, handout.first + first, handout.first + last

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
        if tag <= last_tag and any(first <= tag <= last for first, last in self._expired):
            raise LeaseExpiredError(
                f"tag {tag} was held for longer than the lease of {self.lease_seconds:g} s: its message is "
                "delivered again; settle or renew sooner, or ask for a longer lease",
                metadata={"tag": str(tag), "lease_seconds": str(self.lease_seconds)},
            )
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
