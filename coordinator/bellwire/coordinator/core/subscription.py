"""A subscription: cursors on topics, shared by the members that compete for its deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from bellwire.admin.v1.dead_letter_pb2 import DEAD_LETTER_CAUSE_REJECTED
from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_REJECT,
    DISPOSITION_RELEASE,
    DISPOSITION_RENEW,
    ORDERING_NONE,
    ORDERING_PARTITION,
    Ordering,
    OverflowPolicy,
    Settlement,
)
from bellwire.coordinator.core.assignment import assign
from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.direct import DirectReader
from bellwire.coordinator.core.fit import fit
from bellwire.coordinator.core.flight import Handout
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.ready import ReadyQueue
from bellwire.coordinator.core.redelivery import Graveyard, Redelivery
from bellwire.coordinator.core.settlement import check_settlement
from bellwire.coordinator.log.records import CursorRecord, SubscriptionRecord
from bellwire.wire.errors import (
    BellwireError,
    LeaseExpiredError,
)
from bellwire.wire.topic import TopicPattern
from bellwire.wire.window import Window


class Subscription:
    """Cursors on every partition of the topics it matches, and the members that share them.

    Attributes:
        name: Empty for an ephemeral subscription.
        label: Name for people.
        dropped: Messages not delivered, by (topic, reason).
        dead_lettered: Messages given up, by topic.
        max_attempts: Failures after which a message is given up; 0 = never.
        direct: What reaches it past the coordinator; None = nothing does.
        elsewhere: Names among its patterns that other groups of coordinators own.
    """

    def __init__(
        self,
        name: str,
        patterns: Sequence[TopicPattern],
        ordering: Ordering.ValueType,
        overflow_policy: OverflowPolicy.ValueType,
        label: str = "",
        *,
        max_attempts: int = 0,
        graveyard: Graveyard | None = None,
    ) -> None:
        self.name = name
        self.label = label or name
        self.patterns = tuple(patterns)
        self.ordering = ordering or ORDERING_PARTITION
        self.overflow_policy = overflow_policy
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.max_attempts = max_attempts if name else 0
        self.members: list[Member] = []
        self.retired: dict[Member, None] = {}  # A set that keeps its order.
        self.cursors: list[Cursor] = []
        self.direct: DirectReader | None = None
        self.elsewhere: frozenset[str] = frozenset()
        self._redelivery = Redelivery(
            has_name=bool(name),
            max_attempts=self.max_attempts,
            graveyard=graveyard,
            on_ready=self.on_ready,
        )
        self.dead_lettered = self._redelivery.dead_lettered
        self._shared_ready = ReadyQueue()

    def record(self) -> SubscriptionRecord:
        """Return it as the store keeps it."""
        patterns = tuple(pattern.text for pattern in self.patterns)
        return SubscriptionRecord(
            self.name, patterns, self.ordering, self.overflow_policy, self.max_attempts
        )

    def matches(self, topic: str) -> bool:
        """Tell whether the topic belongs to it."""
        return any(pattern.matches(topic) for pattern in self.patterns)

    # ------------------------------------------------------------ membership

    def attach(
        self,
        starts: Iterable[tuple[Partition, int]],
        records: dict[int, CursorRecord] | None = None,
    ) -> None:
        """Begin to read partitions, each at its next offset, or where a record of its log says.

        Args:
            starts: Partitions and next offsets.
            records: By log, when restored: those without one are not marked, for they may be somebody else's.
        """
        fresh = [Cursor(self, partition, next_offset) for partition, next_offset in starts]
        self.cursors += fresh
        for cursor in fresh:
            cursor.partition.cursors.append(cursor)
            cursor.partition.direct_version += self.direct is not None
            if records is None:
                cursor.mark()
            elif (record := records.get(cursor.partition.log.log_id)) is not None:
                cursor.restore(record)
        if self.members:
            self._assign()
        for cursor in fresh:
            if cursor.has_work():
                self.on_ready(cursor)

    def detach_all(self) -> None:
        """Stop reading everything, as when an ephemeral subscription ends."""
        for cursor in self.cursors:
            cursor.detached = True
            cursor.partition.cursors.remove(cursor)
            cursor.partition.topic.on_room(cursor.partition)
        self.cursors.clear()
        self._shared_ready.clear()

    def detach(self, cursor: Cursor) -> None:
        """Stop reading a partition."""
        cursor.detached = True
        cursor.partition.cursors.remove(cursor)
        cursor.partition.topic.on_room(cursor.partition)
        self._forget_detached()

    def detach_topic(self, topic: str) -> None:
        """Forget the partitions of a topic that was deleted."""
        for cursor in self.cursors:
            cursor.detached |= cursor.partition.topic.name == topic
        self._forget_detached()

    def _forget_detached(self) -> None:
        self.cursors = [cursor for cursor in self.cursors if not cursor.detached]
        for queue in (self._shared_ready, *(member.ready for member in self.members)):
            queue.drop(lambda cursor: cursor.detached)

    def take_directly(self, direct: DirectReader) -> None:
        """Let publishers on the same host reach it."""
        self.direct = direct
        for cursor in self.cursors:
            cursor.partition.direct_version += 1

    def join(
        self,
        lease_id: str,
        window: Window,
        wake: Callable[[], None],
        lease_seconds: float | None = None,
    ) -> Member:
        """Add a member; partitions move to it as soon as nothing of them is in flight elsewhere."""
        member = Member(self, lease_id, window, wake, lease_seconds)
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
        member.is_active = False
        if member.messages_in_flight:
            self.retired[member] = None
        member.ready.clear()
        self._assign()

    def leave(self, member: Member, *, lost: bool = False) -> None:
        """Remove a member; what it had not settled is delivered again, to others.

        Args:
            member: Who goes.
            lost: Whether it died, as far as anybody can tell, so that what it held counts a failure.
        """
        for handout, first, last in member.give_up():
            lost_by = member.lease_id if lost else ""
            self._redelivery.bring_back(handout, first, last, failed=lost, lost_by=lost_by)
        self.retire(member)
        self.retired.pop(member, None)
        self._assign()
        for cursor in self.cursors:
            if cursor.has_work():
                self.on_ready(cursor)

    def fail(self, error: BellwireError) -> None:
        """End the streams of all members, once each has read what it still may."""
        for member in self.members:
            member.failed = error
            member.wake()

    def take_over(self, lease_id: str) -> None:
        """Let a member go whose process lives on with a new stream: what it held counts no failure."""
        for member in (*self.members, *self.retired):
            if member.lease_id == lease_id:
                member.failed = LeaseExpiredError(
                    f"lease {lease_id} was taken over by a newer stream of the same subscriber",
                    metadata={"lease_id": lease_id},
                )
                self.leave(member)
                member.wake()
                return
        for cursor in self.cursors:
            cursor.absolve(lease_id)

    def _assign(self) -> None:
        if self.ordering != ORDERING_NONE:
            for cursor, taker in assign(self.cursors, self.members):
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
        if cursor.queued and cursor.holder is not None:
            cursor.holder.ready.remove(cursor)
        cursor.holder, cursor.successor = taker, None
        if cursor.has_work():
            self.on_ready(cursor)

    # ------------------------------------------------------------ delivery

    def on_ready(self, cursor: Cursor) -> None:
        """Queue a cursor that has something to deliver, and wake who may take it."""
        if self.ordering == ORDERING_NONE:
            self._shared_ready.push(cursor)
            for member in self.members:
                member.wake()
            return
        holder = cursor.holder
        if holder is not None:
            holder.ready.push(cursor)
            holder.wake()

    def next_handout(
        self, member: Member, now: float, messages_max: int, now_ns: int = 0
    ) -> Handout | None:
        """Take the next delivery for a member, or None when nothing is due or its window is full.

        Topics go by priority class, partitions of one class take turns. After None, `member.retry_at`
        tells when time alone will change the answer.

        Args:
            member: Who takes it.
            now: Monotonic clock, seconds.
            messages_max: Most messages in the delivery.
            now_ns: Wall clock; what expired by then is dropped and counted. 0 = nothing expires or waits.
        """
        member.retry_at = None
        if member.paused or not member.is_active or not self._may_take(member):
            return None
        if not member.window.messages_free or not member.window.bytes_free:
            return None  # Before anything is loaded for nothing; settling wakes us.
        ready = self._shared_ready if self.ordering == ORDERING_NONE else member.ready
        for queue in ready.classes():
            for _ in range(len(queue)):
                cursor = queue[0]
                part = None if cursor.successor is not None else cursor.next_part(now, now_ns)
                if part is not None:
                    handout = fit(member, cursor, part, now, messages_max)
                    if handout is None:
                        return None
                    if cursor.has_work():
                        queue.rotate(-1)
                    else:
                        queue.popleft()
                        cursor.queued = False
                    return handout
                if cursor.partition.log_error is not None:
                    member.failed = cursor.partition.log_error
                if cursor.retry_at is None or cursor.successor is not None:
                    queue.popleft()
                    cursor.queued = False
                    continue
                due = cursor.retry_at
                member.retry_at = due if member.retry_at is None else min(due, member.retry_at)
                queue.rotate(-1)
        member.stalled_since = None
        return None

    def has_ready(self, member: Member) -> bool:
        """Tell whether `next_handout` should be asked again without a wake in between."""
        return bool(self._shared_ready or member.ready)

    def _may_take(self, member: Member) -> bool:
        """Whoever holds a suspect message gets nothing else, so that only it is suspected again."""
        if member.isolated and not member.messages_in_flight:
            member.isolated = False
        return not member.isolated

    def on_overflow(self, cursor: Cursor) -> None:
        """Mark who must be disconnected: the members that should have read what was evicted."""
        holder = cursor.holder
        for member in self.members if self.ordering == ORDERING_NONE else (holder,):
            if member is not None:
                member.overflowed = True
                member.wake()

    # ------------------------------------------------------------ settlement

    def settle(self, member: Member, settlement: Settlement, now: float) -> None:
        """Apply one settlement; nothing changes when it is refused.

        Raises:
            UnknownDeliveryTagError, LeaseExpiredError: A tag of the range is not in flight.
            StoreReadOnlyError: REJECT, and dead letters cannot be kept.
            CallerError: No disposition, or a bound is exceeded.
        """
        disposition = settlement.disposition
        check_settlement(settlement)
        if disposition == DISPOSITION_RENEW:
            member.renew(settlement.first_tag, settlement.last_tag, now)
            return
        if disposition == DISPOSITION_REJECT:
            self._redelivery.check_open()
        not_before = now + settlement.delay_millis / 1000
        for handout, first, last in member.settle(settlement.first_tag, settlement.last_tag):
            if disposition == DISPOSITION_RELEASE:
                self._redelivery.bring_back(
                    handout, first, last, failed=True, not_before=not_before
                )
            elif disposition == DISPOSITION_REJECT:
                reason = settlement.reason or "rejected"
                self._redelivery.bury(handout, first, last, DEAD_LETTER_CAUSE_REJECTED, reason)
            else:
                handout.cursor.mark()
            self._settled(handout.cursor)
        member.wake()

    def expire(self, now: float) -> None:
        """Deliver again what members have held for longer than their lease."""
        for member in (*self.members, *self.retired):
            ended = member.expire(now, keep_order=self.ordering != ORDERING_NONE)
            for handout, first, last, late in ended:
                lost_by = member.lease_id if late else ""
                self._redelivery.bring_back(handout, first, last, failed=late, lost_by=lost_by)
                self._settled(handout.cursor)
            if ended:
                member.wake()

    def _settled(self, cursor: Cursor) -> None:
        if cursor.successor is not None and not cursor.in_flight:
            self._move(cursor, cursor.successor)

    # ------------------------------------------------------------ seek

    def seek(self, targets: Iterable[tuple[Cursor, int]]) -> None:
        """Go on elsewhere; what is in flight may still be settled and changes nothing."""
        for cursor, offset in targets:
            cursor.seek(offset)
            self._settled(cursor)
            if cursor.has_work():
                self.on_ready(cursor)

    def dropped_in(self, topic: str) -> Iterator[tuple[str, int]]:
        """Yield (reason, messages) of what was not delivered of a topic."""
        for (name, reason), count in self.dropped.items():
            if name == topic:
                yield reason, count
