"""A subscription: cursors on topics, shared by the members that compete for its deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Protocol

from bellwire.admin.v1.dead_letter_pb2 import (
    DEAD_LETTER_CAUSE_MAX_ATTEMPTS,
    DEAD_LETTER_CAUSE_REJECTED,
    DeadLetterCause,
)
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
from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.direct import DirectReader
from bellwire.coordinator.core.flight import Handout
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.part import Part, Run
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.ready import ReadyQueue
from bellwire.coordinator.log.records import CursorRecord, SubscriptionRecord
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    LeaseExpiredError,
    PayloadTooLargeError,
)
from bellwire.wire.topic import TopicPattern
from bellwire.wire.window import Window

RELEASE_DELAY_MILLIS_MAX: Final = 600_000  # What is released stays in memory, beyond retention.
SPLIT_AFTER_SECONDS: Final = 0.2  # TCP's override timer against silly windows (RFC 1122 §4.2.3.4).
REASON_BYTES_MAX: Final = 1_024
# Members that were lost while they held a message, before it is handed out alone: twice may be chance.
SUSPECT_FROM: Final = 2


class Graveyard(Protocol):
    """Where messages go that are given up."""

    def check_open(self) -> None:
        """Refuse what could not be kept.

        Raises:
            StoreReadOnlyError: The store is in doubt.
        """

    def bury(
        self,
        handout: Handout,
        first: int,
        last: int,
        cause: DeadLetterCause.ValueType,
        reason: str,
        undo: Callable[[int, int], None],
    ) -> None:
        """Keep messages `first..last` (indexes into the entry); `undo` is called for those that were not kept."""


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
        self.dead_lettered: Counter[str] = Counter()
        self.max_attempts = max_attempts if name else 0
        self.members: list[Member] = []
        self.retired: dict[Member, None] = {}  # A set that keeps its order.
        self.cursors: list[Cursor] = []
        self.direct: DirectReader | None = None
        self.elsewhere: frozenset[str] = frozenset()
        self._graveyard = graveyard
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
            self._bring_back(handout, first, last, failed=lost, lost_by=lost_by)
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
                    handout = self._fit(member, cursor, part, now, messages_max)
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

    def _fit(
        self, member: Member, cursor: Cursor, part: Part, now: float, messages_max: int
    ) -> Handout | None:
        """Hand out as much of `part` as the window takes.

        A block that does not fit is split, but not at once while at least half the window is taken:
        small pieces cost an opened and re-encoded block each (silly windows, RFC 1122 §4.2.3.4).
        """
        window = member.window
        suspect = part.run is not None and part.run.suspect >= SUSPECT_FROM
        if suspect and member.messages_in_flight:
            return None  # It goes alone; settling the others wakes us.
        count = 1 if suspect else min(part.last - part.first, messages_max)
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
        member.isolated = suspect
        cursor.partition.topic.stats.delivered_messages += count
        return member.hand_out(cursor, part, count, size, now)

    # ------------------------------------------------------------ settlement

    def settle(self, member: Member, settlement: Settlement, now: float) -> None:
        """Apply one settlement; nothing changes when it is refused.

        Raises:
            UnknownDeliveryTagError, LeaseExpiredError: A tag of the range is not in flight.
            StoreReadOnlyError: REJECT, and dead letters cannot be kept.
            CallerError: No disposition, or a bound is exceeded.
        """
        disposition = settlement.disposition
        _check_settlement(settlement)
        if disposition == DISPOSITION_RENEW:
            member.renew(settlement.first_tag, settlement.last_tag, now)
            return
        if disposition == DISPOSITION_REJECT and self._graveyard is not None:
            self._graveyard.check_open()
        not_before = now + settlement.delay_millis / 1000
        for handout, first, last in member.settle(settlement.first_tag, settlement.last_tag):
            if disposition == DISPOSITION_RELEASE:
                self._bring_back(handout, first, last, failed=True, not_before=not_before)
            elif disposition == DISPOSITION_REJECT:
                reason = settlement.reason or "rejected"
                self._bury(handout, first, last, DEAD_LETTER_CAUSE_REJECTED, reason)
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
                self._bring_back(handout, first, last, failed=late, lost_by=lost_by)
                self._settled(handout.cursor)
            if ended:
                member.wake()

    def _settled(self, cursor: Cursor) -> None:
        if cursor.successor is not None and not cursor.in_flight:
            self._move(cursor, cursor.successor)

    def _bring_back(
        self,
        handout: Handout,
        first: int,
        last: int,
        *,
        failed: bool,
        lost_by: str = "",
        not_before: float = 0.0,
    ) -> None:
        """Have messages delivered again, or give them up when they have failed too often."""
        if not handout.is_current:
            return
        failures = handout.failures + failed
        if failed and 0 < self.max_attempts <= failures and self._can_bury():
            reason = f"not accepted in {failures} attempts"
            self._bury(handout, first, last, DEAD_LETTER_CAUSE_MAX_ATTEMPTS, reason)
            return
        suspect = handout.suspect + bool(lost_by)
        self._release(handout, first, last, failures, suspect, not_before, lost_by)

    def _release(
        self,
        handout: Handout,
        first: int,
        last: int,
        failures: int,
        suspect: int = 0,
        not_before: float = 0.0,
        lost_by: str = "",
    ) -> None:
        base, cursor = handout.entry.base_offset, handout.cursor
        cursor.release(
            Run(
                base + first,
                base + last,
                handout.attempt + 1,
                failures,
                suspect,
                not_before,
                # Where the log holds it for this cursor memory need not: releases may be delayed for minutes.
                None if cursor.is_durable else handout.entry,
                lost_by,
            )
        )
        self.on_ready(cursor)

    def _can_bury(self) -> bool:
        if self._graveyard is None:
            return False
        try:
            self._graveyard.check_open()
        except BellwireError:
            return False
        return True

    def _bury(
        self,
        handout: Handout,
        first: int,
        last: int,
        cause: DeadLetterCause.ValueType,
        reason: str,
    ) -> None:
        """Give messages up; the dead letters and the cursor travel in one group.

        Those of an ephemeral subscription are only counted: there is nobody to redrive them for.
        """
        if self._graveyard is None or not handout.is_current:
            return
        if not self.name:
            handout.cursor.count_dropped(last - first, "rejected")
            return
        topic = handout.cursor.partition.topic.name

        def undo(first: int, last: int) -> None:
            self.dead_lettered[topic] -= last - first
            if handout.is_current:
                self._release(handout, first, last, handout.failures, handout.suspect)

        self.dead_lettered[topic] += last - first
        self._graveyard.bury(handout, first, last, cause, reason, undo)
        handout.cursor.mark()

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


def _check_settlement(settlement: Settlement) -> None:
    disposition = settlement.disposition
    if disposition not in (
        DISPOSITION_ACCEPT,
        DISPOSITION_RELEASE,
        DISPOSITION_REJECT,
        DISPOSITION_RENEW,
    ):
        raise CallerError(
            f"disposition {disposition} cannot settle a delivery: use ACCEPT, RELEASE, REJECT or RENEW",
            metadata={"disposition": str(disposition)},
        )
    if settlement.delay_millis > RELEASE_DELAY_MILLIS_MAX:
        raise CallerError(
            f"delay_millis is {settlement.delay_millis}, limit is {RELEASE_DELAY_MILLIS_MAX}",
            metadata={"limit": str(RELEASE_DELAY_MILLIS_MAX)},
        )
    reason_bytes = len(settlement.reason.encode())
    if reason_bytes > REASON_BYTES_MAX:
        raise PayloadTooLargeError(
            f"reason holds {reason_bytes} bytes, limit is {REASON_BYTES_MAX}",
            metadata={"bytes": str(reason_bytes), "limit": str(REASON_BYTES_MAX)},
        )


def _size_of(part: Part, count: int) -> int:
    messages = islice(part.entry.messages(), part.first, part.first + count)
    return sum(message.ByteSize() for message in messages)


def _largest_fit(part: Part, count: int, size_bytes_max: int) -> tuple[int, int]:
    size = taken = 0
    for message in islice(part.entry.messages(), part.first, part.first + count):
        size_next = size + message.ByteSize()
        if size_next > size_bytes_max:
            break
        size, taken = size_next, taken + 1
    return taken, size
