"""A subscription: cursors on topics, shared by the members that compete for its deliveries."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_REJECT,
    DISPOSITION_RELEASE,
    DISPOSITION_RENEW,
    ORDERING_NONE,
    ORDERING_PARTITION,
    Ordering,
    OverflowPolicy,
    Settlement,
)
from bellwire.coordinator.core.cursor import Cursor, Slice
from bellwire.coordinator.core.expiry import leading_expired
from bellwire.coordinator.core.member import Handout, Member
from bellwire.coordinator.core.partition import Partition
from bellwire.wire.errors import CallerError, NotImplementedYetError
from bellwire.wire.topic import TopicPattern
from bellwire.wire.window import Window

RELEASE_DELAY_MILLIS_MAX: Final = 600_000  # What is released stays in memory, beyond retention.
SPLIT_AFTER_SECONDS: Final = 0.2  # TCP's override timer against silly windows (RFC 1122 §4.2.3.4).


class Subscription:
    """Cursors on every partition of the topics it matches, and the members that share them.

    Attributes:
        name: Empty for an ephemeral subscription.
        label: Name for people.
        dropped: Messages lost to eviction.
    """

    def __init__(
        self,
        name: str,
        patterns: Sequence[TopicPattern],
        ordering: Ordering.ValueType,
        overflow_policy: OverflowPolicy.ValueType,
        label: str = "",
    ) -> None:
        self.name = name
        self.label = label or name
        self.patterns = tuple(patterns)
        self.ordering = ordering or ORDERING_PARTITION
        self.overflow_policy = overflow_policy
        self.dropped = 0
        self.members: list[Member] = []
        self.cursors: list[Cursor] = []
        self._shared_ready: deque[Cursor] = deque()

    def matches(self, topic: str) -> bool:
        """Tell whether the topic belongs to it."""
        return any(pattern.matches(topic) for pattern in self.patterns)

    # ------------------------------------------------------------ membership

    def attach(self, starts: Iterable[tuple[Partition, int]]) -> None:
        """Begin to read partitions, each at its next offset."""
        fresh = [Cursor(self, partition, next_offset) for partition, next_offset in starts]
        self.cursors += fresh
        for cursor in fresh:
            cursor.partition.cursors.append(cursor)
        if self.members:
            self._assign()
        for cursor in fresh:
            if cursor.has_work():
                self.on_ready(cursor)

    def detach_all(self) -> None:
        """Stop reading everything, as when an ephemeral subscription ends."""
        for cursor in self.cursors:
            cursor.partition.cursors.remove(cursor)
            cursor.partition.topic.on_room(cursor.partition)
        self.cursors.clear()
        self._shared_ready.clear()

    def detach_topic(self, topic: str) -> None:
        """Forget the partitions of a topic that was deleted."""
        self.cursors = [c for c in self.cursors if c.partition.topic.name != topic]
        for queue in (self._shared_ready, *(member.ready for member in self.members)):
            kept = [c for c in queue if c.partition.topic.name != topic]
            queue.clear()
            queue.extend(kept)

    def join(self, lease_id: str, window: Window, wake: Callable[[], None]) -> Member:
        """Add a member; partitions move to it as soon as nothing of them is in flight elsewhere."""
        member = Member(self, lease_id, window, wake)
        self.members.append(member)
        self._assign()
        return member

    def has_work_for(self, member: Member) -> bool:
        """Whether anything waits that only this member, or any member, would get."""
        shared = self.ordering == ORDERING_NONE
        return any(
            cursor.has_work() for cursor in self.cursors if shared or cursor.holder is member
        )

    def retire(self, member: Member) -> None:
        """Give a member nothing more; what it holds stays in flight until settled or `leave`."""
        if member not in self.members:
            return
        self.members.remove(member)
        for cursor in member.ready:
            cursor.queued = False
        member.ready.clear()
        self._assign()

    def leave(self, member: Member) -> None:
        """Remove a member; what it had not settled is delivered again, to others."""
        for handout, first, last in member.give_up():
            handout.cursor.release(Slice(handout.entry, first, last, handout.attempt + 1, 0.0))
        self.retire(member)
        self._assign()
        for cursor in self.cursors:
            if cursor.has_work():
                self.on_ready(cursor)

    def _assign(self) -> None:
        """Give each partition to one member, evenly, moving as few as possible.

        Each member keeps up to its even share; `extra` of them may keep one more, where the
        partitions do not divide.
        """
        if self.ordering == ORDERING_NONE:
            return
        counts = dict.fromkeys(self.members, 0)
        share, extra = divmod(len(self.cursors), len(counts)) if counts else (0, 0)
        homeless: list[Cursor] = []
        for cursor in self.cursors:
            owner = cursor.successor or cursor.holder
            if owner is None or owner not in counts or counts[owner] >= share + (extra > 0):
                homeless.append(cursor)
                continue
            extra -= counts[owner] == share
            counts[owner] += 1
            self._hand_over(cursor, owner)
        for cursor in homeless:
            taker = min(counts, key=counts.__getitem__, default=None)
            if taker is not None:
                counts[taker] += 1
            self._hand_over(cursor, taker)

    def _hand_over(self, cursor: Cursor, taker: Member | None) -> None:
        if cursor.holder is taker:
            cursor.successor = None
            if taker is not None and not cursor.queued and cursor.has_work():
                self.on_ready(cursor)  # It may have left the queue while it was to move.
        elif cursor.in_flight:
            cursor.successor = taker  # Order: the old holder settles first.
        else:
            self._move(cursor, taker)

    def _move(self, cursor: Cursor, taker: Member | None) -> None:
        if cursor.queued and cursor.holder is not None and cursor in cursor.holder.ready:
            cursor.holder.ready.remove(cursor)
        cursor.queued = False
        cursor.holder, cursor.successor = taker, None
        if cursor.has_work():
            self.on_ready(cursor)

    # ------------------------------------------------------------ delivery

    def on_ready(self, cursor: Cursor) -> None:
        """Queue a cursor that has something to deliver, and wake who may take it."""
        if self.ordering == ORDERING_NONE:
            if not cursor.queued:
                cursor.queued = True
                self._shared_ready.append(cursor)
            for member in self.members:
                member.wake()
            return
        holder = cursor.holder
        if holder is None:
            return
        if not cursor.queued:
            cursor.queued = True
            holder.ready.append(cursor)
        holder.wake()

    def next_handout(
        self, member: Member, now: float, messages_max: int, now_ns: int = 0
    ) -> Handout | None:
        """Take the next delivery for a member, or None when nothing is due or its window is full.

        Partitions take turns. After None, `member.retry_at` tells when time alone will change the answer.

        Args:
            member: Who takes it.
            now: Monotonic clock, seconds.
            messages_max: Most messages in the delivery.
            now_ns: Wall clock; messages that expired by then are dropped and counted. 0 = none are.
        """
        member.retry_at = None
        if member.paused:
            return None
        ready = self._shared_ready if self.ordering == ORDERING_NONE else member.ready
        for _ in range(len(ready)):
            cursor = ready[0]
            fresh = _drop_expired(cursor, now, now_ns) if now_ns else messages_max
            due = None if cursor.successor is not None else cursor.due_at(now)
            if due is not None and due > now:
                member.retry_at = due if member.retry_at is None else min(due, member.retry_at)
                ready.rotate(-1)
                continue
            part = cursor.peek(now) if due is not None else None
            if part is None:
                ready.popleft()
                cursor.queued = False
                continue
            handout = self._fit(member, cursor, part, now, min(messages_max, fresh))
            if handout is not None:
                ready.rotate(-1)
            return handout
        member.stalled_since = None
        return None

    def on_overflow(self, cursor: Cursor) -> None:
        """Mark who must be disconnected: the members that should have read what was evicted."""
        holder = cursor.holder
        for member in self.members if self.ordering == ORDERING_NONE else (holder,):
            if member is not None:
                member.overflowed = True
                member.wake()

    def _fit(
        self, member: Member, cursor: Cursor, part: Slice, now: float, messages_max: int
    ) -> Handout | None:
        """Hand out as much of `part` as the window takes.

        A block that does not fit is split, but not at once while at least half the window is taken:
        small pieces cost an opened and re-encoded block each (silly windows, RFC 1122 §4.2.3.4).
        """
        window = member.window
        count = min(part.last - part.first, messages_max)
        whole = count == part.entry.count
        size = part.entry.uncompressed_bytes if whole else _size_of(part, count)
        if not window.fits(count, size):
            if not window.messages_free or not window.bytes_free:
                return None
            roomy = window.messages_free * 2 >= window.messages_max
            if member.stalled_since is None and not roomy:
                member.stalled_since = now
            split_at = (member.stalled_since or now) + SPLIT_AFTER_SECONDS
            if not roomy and now < split_at:
                member.retry_at = split_at
                return None
            count, size = _largest_fit(part, min(count, window.messages_free), window.bytes_free)
            if not count:
                return None
        member.stalled_since = None
        cursor.partition.topic.stats.delivered_messages += count
        return member.hand_out(cursor, part, count, size)

    # ------------------------------------------------------------ settlement

    def settle(self, member: Member, settlement: Settlement, now: float) -> None:
        """Apply one settlement; nothing changes when it is refused.

        Raises:
            UnknownDeliveryTagError: A tag of the range is not in flight.
            NotImplementedYetError: REJECT: there are no dead letters yet.
            CallerError: No disposition.
        """
        disposition = settlement.disposition
        if disposition == DISPOSITION_RENEW:
            return
        if disposition == DISPOSITION_REJECT:
            raise NotImplementedYetError(
                "REJECT is not served yet: there are no dead-letter topics; use ACCEPT or RELEASE"
            )
        if disposition not in (DISPOSITION_ACCEPT, DISPOSITION_RELEASE):
            raise CallerError(
                f"disposition {disposition} cannot settle a delivery: use ACCEPT, RELEASE or REJECT",
                metadata={"disposition": str(disposition)},
            )
        if settlement.delay_millis > RELEASE_DELAY_MILLIS_MAX:
            raise CallerError(
                f"delay_millis is {settlement.delay_millis}, limit is {RELEASE_DELAY_MILLIS_MAX}",
                metadata={"limit": str(RELEASE_DELAY_MILLIS_MAX)},
            )
        ended = member.settle(settlement.first_tag, settlement.last_tag)
        not_before = now + settlement.delay_millis / 1000
        for handout, first, last in ended:
            cursor = handout.cursor
            if disposition == DISPOSITION_RELEASE:
                attempt = handout.attempt + 1
                cursor.release(Slice(handout.entry, first, last, attempt, not_before))
                self.on_ready(cursor)
            if cursor.successor is not None and not cursor.in_flight:
                self._move(cursor, cursor.successor)
        member.wake()


def _drop_expired(cursor: Cursor, now: float, now_ns: int) -> int:
    """Step over expired messages at the head of a cursor; return how many follow that have not expired."""
    while (part := cursor.peek(now)) is not None:
        expired, fresh = leading_expired(part, now_ns)
        if not expired:
            return fresh
        cursor.advance(part, expired)
        cursor.in_flight -= expired
        cursor.partition.topic.stats.dropped["expired"] += expired
    return 0


def _size_of(part: Slice, count: int) -> int:
    messages = islice(part.entry.messages(), part.first, part.first + count)
    return sum(message.ByteSize() for message in messages)


def _largest_fit(part: Slice, count: int, size_bytes_max: int) -> tuple[int, int]:
    size = taken = 0
    for message in islice(part.entry.messages(), part.first, part.first + count):
        size_next = size + message.ByteSize()
        if size_next > size_bytes_max:
            break
        size, taken = size_next, taken + 1
    return taken, size
