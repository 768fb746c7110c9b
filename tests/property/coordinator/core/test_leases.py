"""Random life of streams and pulls under leases, against a plain list of who holds what until when.

However often somebody settles, renews, stalls or dies: a message is with one holder at a time, no longer than
its lease, settled once, and delivered again until somebody accepts it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.coordinator.core.stage import WIDE, Stage, length, offsets

from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_RELEASE,
    DISPOSITION_RENEW,
    ORDERING_NONE,
    ORDERING_PARTITION,
    Disposition,
    Ordering,
    Settlement,
)
from bellwire.coordinator.core.member import Member
from bellwire.wire.errors import LeaseExpiredError, UnknownDeliveryTagError
from bellwire.wire.window import Window

PARTITIONS = 2
HOLDERS_MAX = 4
NEVER = float("inf")
LONG = 1_000.0  # Seconds; longer than any lease below.
DISPOSITIONS = st.sampled_from([DISPOSITION_ACCEPT, DISPOSITION_RELEASE, DISPOSITION_RENEW])

Place = tuple[int, int]  # partition, offset


@dataclass
class Delivery:
    """Tags `first..last` of one block, and when they end."""

    first: int
    last: int
    until: float


@dataclass
class Holder:
    """What the model knows of a stream, or of a pull.

    Attributes:
        seconds: Length of its lease.
        open: Tags in flight.
        void: Tags that were in flight when their lease ended.
    """

    member: Member
    seconds: float
    is_pull: bool
    open: dict[int, Place] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    void: set[int] = field(default_factory=set)
    next_tag: int = 1

    def late(self, now: float) -> list[int]:
        return [
            tag
            for delivery in self.deliveries
            if delivery.until <= now
            for tag in range(delivery.first, delivery.last + 1)
            if tag in self.open
        ]

    def renew(self, first: int, last: int, now: float) -> None:
        """A stream's lease is of each block, a pull's of all it got."""
        for delivery in self.deliveries:
            if self.is_pull or (delivery.first <= last and first <= delivery.last):
                delivery.until = now + self.seconds


class LeaseMachine(RuleBasedStateMachine):
    """The rules; `ordering` is set by the two classes below."""

    ordering: Ordering.ValueType

    @initialize()
    def begin(self) -> None:
        self.stage = Stage(partitions=PARTITIONS, max_attempts=0)
        self.subscription = self.stage.subscribe(ordering=self.ordering)
        self.leases = self.stage.engine.leases
        self.fate: dict[Place, str] = {}  # "waiting", "held" or "accepted".
        self.holders: list[Holder] = []
        self.ended: list[Holder] = []
        self.count = 0

    # -------------------------------------------------------- what happens

    @rule(partition=st.integers(0, PARTITIONS - 1), count=st.integers(1, 6))
    def publish(self, partition: int, count: int) -> None:
        entry = self.stage.publish(count, partition=partition)
        for offset in range(entry.base_offset, entry.next_offset):
            self.fate[partition, offset] = "waiting"

    @precondition(lambda self: len(self.holders) < HOLDERS_MAX)
    @rule(seconds=st.sampled_from([1.0, 3.0, None]))
    def open_a_stream(self, seconds: float | None) -> None:
        self.holders.append(Holder(self._join(seconds), seconds or NEVER, is_pull=False))

    @precondition(lambda self: any(not holder.is_pull for holder in self.holders))
    @rule(data=st.data(), messages_max=st.sampled_from([2, 1_000]))
    def stream(self, data: st.DataObject, messages_max: int) -> None:
        streams = [holder for holder in self.holders if not holder.is_pull]
        self._take(data.draw(st.sampled_from(streams)), messages_max)

    @precondition(lambda self: len(self.holders) < HOLDERS_MAX)
    @rule(seconds=st.sampled_from([1.0, 3.0]), messages=st.integers(1, 8))
    def pull(self, seconds: float, messages: int) -> None:
        self.leases.check_room()
        holder = Holder(self._join(None, messages), seconds, is_pull=True)
        self._take(holder, 1_000)
        if not holder.open:
            self.subscription.leave(holder.member)
            return
        assert len(holder.open) <= messages
        self.leases.open(holder.member, seconds, self.stage.now)
        self.holders.append(holder)

    @precondition(lambda self: self.holders)
    @rule(
        data=st.data(),
        first=st.integers(1, 12),
        longest=st.integers(1, 6),
        disposition=DISPOSITIONS,
    )
    def settle(
        self,
        data: st.DataObject,
        first: int,
        longest: int,
        disposition: Disposition.ValueType,
    ) -> None:
        holder = data.draw(st.sampled_from(self.holders))
        last = min(first + longest - 1, max(first, holder.next_tag - 1))
        self._settle(holder, first, last, disposition)

    @precondition(lambda self: any(holder.open for holder in self.holders))
    @rule(data=st.data(), longest=st.integers(1, 4), disposition=DISPOSITIONS)
    def settle_what_is_in_flight(
        self, data: st.DataObject, longest: int, disposition: Disposition.ValueType
    ) -> None:
        holder = data.draw(st.sampled_from([holder for holder in self.holders if holder.open]))
        first = last = data.draw(st.sampled_from(sorted(holder.open)))
        while last + 1 in holder.open and last - first + 1 < longest:
            last += 1
        self._settle(holder, first, last, disposition)

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), tag=st.integers(1, 6))
    def settle_when_the_lease_has_ended(self, data: st.DataObject, tag: int) -> None:
        holder = data.draw(st.sampled_from(self.ended))
        accept = Settlement(first_tag=tag, last_tag=tag, disposition=DISPOSITION_ACCEPT)
        with pytest.raises(LeaseExpiredError):
            self.leases.acknowledge(holder.member.lease_id, [accept], self.stage.now)

    @precondition(lambda self: any(not holder.is_pull for holder in self.holders))
    @rule(data=st.data(), lost=st.booleans())
    def a_stream_ends(self, data: st.DataObject, lost: bool) -> None:
        streams = [holder for holder in self.holders if not holder.is_pull]
        holder = data.draw(st.sampled_from(streams))
        self.stage.bus.leave(holder.member, lost=lost)
        self._give_back(holder, list(holder.open))
        self.holders.remove(holder)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.stage.now += seconds

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0]))
    def the_clock_ticks(self, seconds: float) -> None:
        self.stage.now += seconds
        self.stage.engine.tick(self.stage.now, 1)
        for holder in tuple(self.holders):
            self._expire(holder)

    # -------------------------------------------------------- what must always hold

    @invariant()
    def each_holder_has_in_flight_what_it_was_given(self) -> None:
        for holder in getattr(self, "holders", ()):
            assert holder.member.messages_in_flight == len(holder.open)
            assert bool(holder.member.window.bytes_in_flight) == bool(holder.open)

    @invariant()
    def a_message_is_with_one_holder(self) -> None:
        held = [p for holder in getattr(self, "holders", ()) for p in holder.open.values()]
        assert len(held) == len(set(held))
        expected = {place for place, fate in getattr(self, "fate", {}).items() if fate == "held"}
        assert set(held) == expected

    def teardown(self) -> None:
        """Once all leases have ended, all that nobody has accepted is delivered again, and only that."""
        if not hasattr(self, "stage"):
            return
        for holder in tuple(self.holders):
            if holder.seconds == NEVER:
                self.stage.bus.leave(holder.member)
                self._give_back(holder, list(holder.open))
                self.holders.remove(holder)
        self.the_clock_ticks(LONG)
        for holder in self.holders:
            self.stage.bus.leave(holder.member)
        self.holders.clear()
        last = Holder(self._join(None), NEVER, is_pull=False)
        self.holders.append(last)
        while self._take(last, 1_000):
            for tag in sorted(last.open):
                self._settle(last, tag, tag, DISPOSITION_ACCEPT)
        assert set(self.fate.values()) <= {"accepted"}

    # -------------------------------------------------------- the model

    def _join(self, seconds: float | None, messages: int = 1_000) -> Member:
        self.count += 1
        window = Window(messages, WIDE)
        return self.subscription.join(f"lease-{self.count}", window, lambda: None, seconds)

    def _take(self, holder: Holder, messages_max: int) -> int:
        found = 0
        for handout in self.stage.take_all(holder.member, messages_max):
            assert handout.first_tag == holder.next_tag
            partition = handout.entry.batch.header.partition
            for tag, offset in enumerate(offsets(handout), holder.next_tag):
                assert self.fate[partition, offset] == "waiting"
                self.fate[partition, offset] = "held"
                holder.open[tag] = (partition, offset)
            holder.next_tag += length(handout)
            until = self.stage.now + holder.seconds
            holder.deliveries.append(Delivery(handout.first_tag, holder.next_tag - 1, until))
            found += length(handout)
        return found

    def _settle(
        self, holder: Holder, first: int, last: int, disposition: Disposition.ValueType
    ) -> None:
        now = self.stage.now
        settlement = Settlement(first_tag=first, last_tag=last, disposition=disposition)
        if holder.is_pull and holder.late(now):
            with pytest.raises(LeaseExpiredError):
                self.leases.acknowledge(holder.member.lease_id, [settlement], now)
            return
        bad = [tag for tag in range(first, last + 1) if tag not in holder.open]
        refusal = self._apply(holder, settlement)
        if bad:
            if bad[0] in holder.void:
                assert refusal == LeaseExpiredError.reason
            else:
                assert refusal in (UnknownDeliveryTagError.reason, LeaseExpiredError.reason)
            if not holder.void:
                assert refusal == UnknownDeliveryTagError.reason
            return
        assert refusal == ""
        if disposition == DISPOSITION_RENEW:
            holder.renew(first, last, now)
            return
        for tag in range(first, last + 1):
            place = holder.open.pop(tag)
            self.fate[place] = "accepted" if disposition == DISPOSITION_ACCEPT else "waiting"
        if holder.is_pull and not holder.open:
            self.holders.remove(holder)
            self.ended.append(holder)

    def _apply(self, holder: Holder, settlement: Settlement) -> str:
        """Settle; return why it was refused, empty when it was not."""
        if holder.is_pull:
            lease_id = holder.member.lease_id
            failures = self.leases.acknowledge(lease_id, [settlement], self.stage.now)
            return failures[0].error.reason if failures else ""
        try:
            holder.member.subscription.settle(holder.member, settlement, self.stage.now)
        except (LeaseExpiredError, UnknownDeliveryTagError) as error:
            return error.reason
        return ""

    def _expire(self, holder: Holder) -> None:
        late = holder.late(self.stage.now)
        if self.ordering == ORDERING_PARTITION and late:
            # What stands behind it in its partition must come after it again.
            first = {holder.open[tag][0]: tag for tag in sorted(late, reverse=True)}
            late = [tag for tag, (at, _) in holder.open.items() if first.get(at, NEVER) <= tag]
        holder.void.update(late)
        self._give_back(holder, late)
        if holder.is_pull and late:
            assert not holder.open, "the lease of a pull ends as one"
            self.holders.remove(holder)
            self.ended.append(holder)

    def _give_back(self, holder: Holder, tags: list[int]) -> None:
        for tag in tags:
            self.fate[holder.open.pop(tag)] = "waiting"


class InOrder(LeaseMachine):
    ordering = ORDERING_PARTITION


class InAnyOrder(LeaseMachine):
    ordering = ORDERING_NONE


EXAMPLES = settings(max_examples=80, stateful_step_count=40)

TestOrderingPartition = InOrder.TestCase
TestOrderingPartition.settings = EXAMPLES
TestOrderingNone = InAnyOrder.TestCase
TestOrderingNone.settings = EXAMPLES
