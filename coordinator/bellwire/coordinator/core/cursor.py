"""A cursor: how far one subscription has come in one partition."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_NONE,
    OVERFLOW_POLICY_BLOCK,
    OVERFLOW_POLICY_CONFLATE,
    OVERFLOW_POLICY_DISCONNECT,
)
from bellwire.coordinator.core.flight import InFlight
from bellwire.coordinator.core.freshness import Conflation, look_at
from bellwire.coordinator.core.part import Part, Run, rest_of
from bellwire.coordinator.log.protocol import Span
from bellwire.coordinator.log.records import CursorRecord

if TYPE_CHECKING:
    from bellwire.coordinator.core.member import Member
    from bellwire.coordinator.core.partition import Partition
    from bellwire.coordinator.core.subscription import Subscription

OPEN_RUNS_MAX: Final = (
    1_000  # In one record; what lies behind them is delivered again after a crash.
)
SET_ASIDE_MAX: Final = 10_000  # Delayed messages others may overtake; beyond, they are waited for.
DROPS_MAX: Final = 16  # Looked into and dropped in one go, about 0.3 ms.
NANOS: Final = 1_000_000_000


class Cursor:
    """Position of a subscription in a partition: what is new, and what must be delivered again.

    Attributes:
        next_offset: Next new message to deliver.
        floor: Offset below which everything is settled, as far as the store knows.
        holder: Member that gets this partition; None with ordering NONE or without members.
        successor: Member that takes over as soon as nothing is in flight.
        queued: Whether it stands in a ready queue.
        dropped: Messages dropped since the last delivery because the subscriber fell behind.
        generation: Counts seeks; deliveries of an earlier one change nothing any more.
        retry_at: When time alone brings something to deliver; set by `next_part`.
    """

    __slots__ = (
        "_conflation",
        "blocks",
        "detached",
        "dropped",
        "flights",
        "floor",
        "generation",
        "holder",
        "in_flight",
        "next_offset",
        "partition",
        "queued",
        "redeliveries",
        "retry_at",
        "saved_floor",
        "subscription",
        "successor",
    )

    def __init__(self, subscription: Subscription, partition: Partition, next_offset: int) -> None:
        self.subscription = subscription
        self.partition = partition
        self.next_offset = next_offset
        self.floor = self.saved_floor = next_offset
        self.blocks = subscription.overflow_policy == OVERFLOW_POLICY_BLOCK
        self.holder: Member | None = None
        self.successor: Member | None = None
        self.in_flight = 0
        self.queued = False
        self.detached = False
        self.redeliveries: deque[Run] = deque()
        self.flights: dict[InFlight, None] = {}
        self.dropped = 0
        self.generation = 0
        self.retry_at: float | None = None
        self._conflation = self._new_conflation()

    def _new_conflation(self) -> Conflation | None:
        if self.subscription.overflow_policy != OVERFLOW_POLICY_CONFLATE:
            return None
        return Conflation(self.next_offset)

    @property
    def backlog(self) -> int:
        """Messages not handed out, new and again."""
        return self.partition.log.end_offset - self.next_offset + self.redelivery_messages

    @property
    def redelivery_messages(self) -> int:
        """Messages that wait to be delivered again."""
        return sum(run.last - run.first for run in self.redeliveries)

    @property
    def is_caught_up(self) -> bool:
        """Whether everything in the log was handed out, and nothing waits to be delivered again."""
        return self.next_offset == self.partition.log.end_offset and not self.redeliveries

    @property
    def is_durable(self) -> bool:
        """Whether its position is kept in the store."""
        return self.partition.log.durable and bool(self.subscription.name)

    @property
    def block_floor(self) -> int:
        """Offset from which on entries must be kept when publishers wait for this cursor."""
        return self.saved_floor if self.is_durable else self.next_offset

    @property
    def _keeps_order(self) -> bool:
        return self.subscription.ordering != ORDERING_NONE

    def has_work(self) -> bool:
        """Whether anything waits, be it now or later."""
        return bool(self.redeliveries) or self.next_offset < self.partition.log.high_watermark

    # ------------------------------------------------------------ what comes next

    def next_part(self, now: float, now_ns: int) -> Part | None:
        """Return what comes next, or None when nothing may go now.

        Drops what need not be delivered any more. After None, `retry_at` tells when time alone will
        change the answer; a new message, a release or a loaded entry may do so earlier.
        """
        self.retry_at = None
        if self._conflation is not None:
            all_known = self._conflation.catch_up(
                self.partition.log, self.subscription.name, self._waits_from
            )
            if not all_known:
                self.retry_at = None if all_known is None else now  # Who loads calls again.
                return None
            self._step_over_stale(self._conflation)
        conflates = self._conflation is not None
        direct = self.subscription.direct
        drops = 0
        while (part := self._peek(now)) is not None:
            if direct is not None and direct.has(part.entry.batch.header) and part.run is None:
                self._take(part, part.last - part.first)
                direct.step(self, part.entry)
                continue
            if part.entry.plain and not conflates:
                return part
            head = look_at(part, now_ns, self.subscription.name, self._conflation)
            if head.drop:
                self._drop(part, head.drop, head.reason)
                drops += 1
                if drops == DROPS_MAX:
                    self.retry_at = now  # Others first: a long backlog of these holds everybody up.
                    return None
            elif head.take:
                part.last = part.first + head.take
                return part
            elif not self._wait_for(part, now + (head.due_ns - now_ns) / NANOS):
                return None
        return None

    def _step_over_stale(self, conflation: Conflation) -> None:
        stale = conflation.stale_until(self.next_offset) - self.next_offset
        if stale and not self.redeliveries:
            self._step(stale)
            self._miss()
            self.count_dropped(stale, "conflated")
            self.mark()

    def _waits_from(self) -> int:
        """Return the lowest offset that may still be delivered."""
        runs = (run.first for run in self.redeliveries)
        flights = (flight.handout.entry.base_offset for flight in self.flights)
        return min((*runs, *flights), default=self.next_offset)

    def _peek(self, now: float) -> Part | None:
        """Return the head: released messages first, then new ones.

        A released message that is not due yet holds the new ones back where order is kept.
        """
        log = self.partition.log
        while self.redeliveries:
            run = self.redeliveries[0]
            if run.not_before > now:
                self.retry_at = run.not_before
                if self._keeps_order:
                    return None
                break
            if run.entry is None and run.first < log.low_offset:
                self._lose_head(min(run.last, log.low_offset))
                continue
            entry = run.entry or log.read(run.first)
            if entry is None:
                return None  # It is being loaded.
            first = run.first - entry.base_offset
            return Part(entry, first, min(run.last, entry.next_offset) - entry.base_offset, run)
        entry = log.read(self.next_offset)
        if entry is None:
            return None
        return Part(entry, self.next_offset - entry.base_offset, entry.count)

    def _lose_head(self, through: int) -> None:
        """Drop the head of the redeliveries: retention has taken it while nobody held it."""
        run = self.redeliveries.popleft()
        rest = rest_of(run, through)
        if rest is not None:
            self.redeliveries.appendleft(rest)
        self.count_dropped(through - run.first, "overflow")
        self.mark()

    def _wait_for(self, part: Part, not_before: float) -> bool:
        """Deal with a delayed message: hold the partition back, or let others overtake it (True)."""
        crowded = len(self.redeliveries) >= SET_ASIDE_MAX
        if self._keeps_order or crowded:
            if part.run is None:
                soonest = self.redeliveries[0].not_before if self.redeliveries else not_before
                self.retry_at = min(not_before, soonest)
                return False
            if self._keeps_order:
                self.retry_at = not_before
                return False
        entry = None if self.is_durable else part.entry
        run = part.run or Run(part.first_offset, part.first_offset + 1, 0, entry=entry)
        self._take(part, 1)
        self.release(
            replace(run, first=part.first_offset, last=part.first_offset + 1, not_before=not_before)
        )
        return True

    def _drop(self, part: Part, count: int, reason: str) -> None:
        self._take(part, count)
        self._miss()
        if reason:
            self.count_dropped(count, reason)
        self.mark()

    def count_dropped(self, count: int, reason: str) -> None:
        """Count messages that will not be delivered, for the topic and the subscription."""
        self.subscription.dropped[self.partition.topic.name, reason] += count
        self.partition.topic.stats.dropped[reason] += count

    def _miss(self) -> None:
        """Tell whoever gets messages directly, too, that it need not wait for those that are dropped."""
        if self.subscription.direct is not None:
            self.subscription.direct.miss(self.partition)

    def advance(self, part: Part, taken: int) -> None:
        """Count the first `taken` messages of what `next_part` returned as handed out."""
        self.in_flight += taken
        self._take(part, taken)

    def _take(self, part: Part, taken: int) -> None:
        if part.run is not None:
            self.redeliveries.popleft()
            rest = rest_of(part.run, part.first_offset + taken)
            if rest is not None:
                self.redeliveries.appendleft(rest)
            return
        self._step(taken)

    def _step(self, count: int) -> None:
        self.next_offset += count
        if self.blocks and not self.is_durable:
            self.partition.topic.on_room(self.partition)

    # ------------------------------------------------------------ what comes back

    def release(self, run: Run) -> None:
        """Put messages back: in offset order where order is kept, else those due soonest first."""
        place = self._place(run)
        later: list[Run] = []
        while self.redeliveries and self._place(self.redeliveries[-1]) >= place:
            later.append(self.redeliveries.pop())
        self.redeliveries.append(run)
        self.redeliveries.extend(reversed(later))
        self.mark()

    def _place(self, run: Run) -> tuple[float, int]:
        return (0.0 if self._keeps_order else run.not_before, run.first)

    def absolve(self, lease_id: str) -> None:
        """Count no failure for what a lease held: its member was cut off, it did not die."""
        for index, run in enumerate(self.redeliveries):
            if run.lost_by == lease_id:
                self.redeliveries[index] = replace(
                    run, failures=run.failures - 1, suspect=run.suspect - 1, lost_by=""
                )

    def seek(self, offset: int) -> None:
        """Go on at an offset; what is in flight or waits to be delivered again is forgotten."""
        self.generation += 1
        again = sum(max(0, min(run.last, offset) - run.first) for run in self.redeliveries)
        skipped = max(0, offset - self.next_offset) + again
        if skipped:
            self.count_dropped(skipped, "skipped_by_seek")
        self.next_offset = offset
        # At once: what it was moved back to must not be evicted before the store has heard of it.
        self.floor, self.saved_floor = min(self.floor, offset), min(self.saved_floor, offset)
        self.redeliveries.clear()
        self.flights.clear()
        self.in_flight = 0
        self._conflation = self._new_conflation()
        self.mark()

    def restore(self, record: CursorRecord) -> None:
        """Go on where a record says."""
        log = self.partition.log
        self.next_offset = min(max(record.next_offset, log.low_offset), log.end_offset)
        self.floor = self.saved_floor = max(min(record.floor, self.next_offset), log.low_offset)
        for first, last, attempt, failures in record.open_runs:
            if first < min(last, self.next_offset):
                self.redeliveries.append(Run(first, min(last, self.next_offset), attempt, failures))
        self._conflation = self._new_conflation()

    # ------------------------------------------------------------ the store

    def mark(self) -> None:
        """Have the position recorded soon, where it is kept."""
        if self.is_durable and not self.detached:
            self.partition.topic.journal.mark(self)

    def records(self) -> Iterator[CursorRecord]:
        """Yield the position as it is now."""
        if self.detached:
            return
        runs = sorted(self._open_runs())
        next_offset = self.next_offset
        if len(runs) > OPEN_RUNS_MAX:
            next_offset = runs[OPEN_RUNS_MAX][0]
            del runs[OPEN_RUNS_MAX:]
        record = CursorRecord(
            self.subscription.name, self.partition.log.log_id, next_offset, tuple(_joined(runs))
        )
        self.floor = record.floor
        yield record

    def saved(self) -> None:
        """Take note that what `records` gave is in the store."""
        if self.saved_floor != self.floor:
            self.saved_floor = self.floor
            if self.blocks:
                self.partition.topic.on_room(self.partition)

    def unsaved(self) -> None:
        """Nothing to take back: the next record says all."""

    def _open_runs(self) -> Iterator[tuple[int, int, int, int]]:
        for run in self.redeliveries:
            yield run.first, run.last, run.attempt, run.failures
        for flight in self.flights:
            handout = flight.handout
            base = handout.entry.base_offset + handout.first
            for first, last in flight.open_runs():
                yield base + first, base + last, handout.attempt + 1, handout.failures

    # ------------------------------------------------------------ the partition

    def on_readable(self) -> None:
        """Tell the subscription that there is something new."""
        self.subscription.on_ready(self)

    def on_evict(self, span: Span) -> None:
        """Step over messages that are gone, and count them."""
        if self.next_offset >= span.next_offset:
            return
        lost = span.next_offset - max(self.next_offset, span.base_offset)
        self._miss()
        if self._conflation is not None:
            self._conflation.lost(self.next_offset, span.next_offset)
        self.next_offset = span.next_offset
        self.dropped += lost
        self.count_dropped(lost, "overflow")
        self.mark()
        if self.subscription.overflow_policy == OVERFLOW_POLICY_DISCONNECT:
            self.subscription.on_overflow(self)


def _joined(runs: list[tuple[int, int, int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """Join neighbours that were delivered as often."""
    held: tuple[int, int, int, int] | None = None
    for run in runs:
        if held is not None and held[1] == run[0] and held[2:] == run[2:]:
            held = (held[0], run[1], *run[2:])
            continue
        if held is not None:
            yield held
        held = run
    if held is not None:
        yield held
