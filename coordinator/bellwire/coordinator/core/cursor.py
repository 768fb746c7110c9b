"""A cursor: how far one subscription has come in one partition."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_NONE,
    OVERFLOW_POLICY_BLOCK,
    OVERFLOW_POLICY_DISCONNECT,
)
from bellwire.coordinator.log.protocol import Entry

if TYPE_CHECKING:
    from bellwire.coordinator.core.member import Member
    from bellwire.coordinator.core.partition import Partition
    from bellwire.coordinator.core.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Slice:
    """Messages `first..last` (indexes, `last` exclusive) of an entry, to be delivered again."""

    entry: Entry
    first: int
    last: int
    attempt: int
    not_before: float


class Cursor:
    """Position of a subscription in a partition: what is new, and what must be delivered again.

    Attributes:
        next_offset: Next new message to deliver.
        holder: Member that gets this partition; None with ordering NONE or without members.
        successor: Member that takes over as soon as nothing is in flight.
        queued: Whether it stands in a ready queue.
        dropped: Messages lost to eviction since the last delivery.
    """

    __slots__ = (
        "dropped",
        "holder",
        "in_flight",
        "next_offset",
        "partition",
        "queued",
        "redeliveries",
        "subscription",
        "successor",
    )

    def __init__(self, subscription: Subscription, partition: Partition, next_offset: int) -> None:
        self.subscription = subscription
        self.partition = partition
        self.next_offset = next_offset
        self.holder: Member | None = None
        self.successor: Member | None = None
        self.in_flight = 0
        self.queued = False
        self.redeliveries: deque[Slice] = deque()
        self.dropped = 0

    @property
    def blocks(self) -> bool:
        """Whether publishers wait for this cursor."""
        return self.subscription.overflow_policy == OVERFLOW_POLICY_BLOCK

    @property
    def backlog(self) -> int:
        """Messages not handed out, new and again."""
        again = sum(part.last - part.first for part in self.redeliveries)
        return self.partition.log.next_offset - self.next_offset + again

    def has_work(self) -> bool:
        """Whether anything waits, be it now or later."""
        return bool(self.redeliveries) or self.next_offset < self.partition.log.next_offset

    @property
    def _keeps_order(self) -> bool:
        return self.subscription.ordering != ORDERING_NONE

    def due_at(self, now: float) -> float | None:
        """Return when the next delivery may be made: `now`, later, or None when there is nothing."""
        has_new = self.next_offset < self.partition.log.next_offset
        if not self.redeliveries:
            return now if has_new else None
        due = max(now, self.redeliveries[0].not_before)
        return now if has_new and not self._keeps_order else due

    def peek(self, now: float) -> Slice | None:
        """Return what comes next: released messages first, then new ones.

        A released message that is not due yet holds the new ones back where order is kept.
        """
        if self.redeliveries:
            again = self.redeliveries[0]
            if self._keeps_order or again.not_before <= now:
                return again
        entry = self.partition.log.read(self.next_offset)
        if entry is None:
            return None
        return Slice(entry, self.next_offset - entry.base_offset, entry.count, 0, 0.0)

    def advance(self, part: Slice, taken: int) -> None:
        """Count the first `taken` messages of what `peek` returned as handed out."""
        self.in_flight += taken
        if self.redeliveries and part is self.redeliveries[0]:
            self.redeliveries.popleft()
            rest = part.first + taken
            if rest < part.last:
                remainder = Slice(part.entry, rest, part.last, part.attempt, part.not_before)
                self.redeliveries.appendleft(remainder)
        else:
            self.next_offset += taken
            if self.blocks:
                self.partition.topic.on_room(self.partition)

    def release(self, part: Slice) -> None:
        """Put messages back: in offset order where order is kept, else those due soonest first."""
        place = self._place(part)
        later: list[Slice] = []
        while self.redeliveries and self._place(self.redeliveries[-1]) >= place:
            later.append(self.redeliveries.pop())
        self.redeliveries.append(part)
        self.redeliveries.extend(reversed(later))

    def _place(self, part: Slice) -> tuple[float, int]:
        offset = part.entry.base_offset + part.first
        return (0.0 if self._keeps_order else part.not_before, offset)

    def on_append(self) -> None:
        """Tell the subscription that there is something new."""
        self.subscription.on_ready(self)

    def on_evict(self, entry: Entry) -> None:
        """Step over messages that are gone, and count them."""
        if self.next_offset >= entry.next_offset:
            return
        lost = entry.next_offset - self.next_offset
        self.next_offset = entry.next_offset
        self.dropped += lost
        self.subscription.dropped += lost
        self.partition.topic.stats.dropped["overflow"] += lost
        if self.subscription.overflow_policy == OVERFLOW_POLICY_DISCONNECT:
            self.subscription.on_overflow(self)
