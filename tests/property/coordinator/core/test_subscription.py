"""Random life of a subscription against a plain list of what became of each message.

Members come, go, read, stall, settle and give back in any order, and messages expire; whatever happens,
nothing is lost, nothing is with two of them at once, order is kept where it is promised, no window is
overrun, and what has expired is counted instead of delivered.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.coordinator.core.stage import WIDE, Stage, append, offsets

from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_RELEASE,
    ORDERING_NONE,
    ORDERING_PARTITION,
    Ordering,
)
from bellwire.coordinator.core.flight import Handout
from bellwire.coordinator.core.member import Member
from bellwire.wire.errors import UnknownDeliveryTagError

MEMBERS_MAX = 4
RETENTION_MESSAGES = 12  # Small, so that publishers are held and entries are evicted.
LARGEST_MESSAGE_BYTES = 400
LONG = 1_000.0  # Seconds; longer than any delay below.

Place = tuple[int, int]  # partition, offset


@dataclass
class Record:
    """What the model knows of one message."""

    size: int
    expiry: int
    state: str = "waiting"
    deliveries: int = 0

    def can_be_delivered(self, now_ns: int) -> bool:
        return self.state == "waiting" and not 0 < self.expiry <= now_ns


@dataclass
class Peer:
    """What the model knows of one member."""

    member: Member
    retired: bool = False
    next_tag: int = 1
    open: dict[int, Place] = field(default_factory=dict)  # Tags in flight.
    blocks: list[tuple[set[int], int]] = field(default_factory=list)  # Tags and bytes of each.

    def bytes_in_flight(self) -> int:
        return sum(size for tags, size in self.blocks if tags & self.open.keys())


class SubscriptionMachine(RuleBasedStateMachine):
    """The rules; `ordering` is set by the two classes below."""

    ordering: Ordering.ValueType

    @initialize(partitions=st.integers(1, 5))
    def begin(self, partitions: int) -> None:
        self.stage = Stage(partitions=partitions, retention_messages=RETENTION_MESSAGES)
        self.stage.now_ns = 1_000
        self.subscription = self.stage.subscribe(ordering=self.ordering)
        self.messages: dict[Place, Record] = {}
        self.peers: list[Peer] = []

    # -------------------------------------------------------- what happens to a subscription

    @rule(
        partition=st.integers(0, 4),
        lives=st.lists(st.sampled_from([0, 0, 0, 1, 3]), min_size=1, max_size=6),
        size=st.sampled_from([1, 40, 300]),
    )
    def publish(self, partition: int, lives: list[int], size: int) -> None:
        index = partition % len(self.stage.topic.partitions)
        target = self.stage.topic.partitions[index]
        if not target.make_room():
            oldest = target.log.oldest()
            assert oldest is not None
            assert self.subscription.cursors[index].next_offset < oldest.next_offset
            return
        expiries = [self.stage.now_ns + life if life else 0 for life in lives]
        entry = append(target, len(lives), bytes(size), expiries)
        for at, message in enumerate(entry.messages()):
            record = Record(message.ByteSize(), message.expire_time_unix_nano)
            self.messages[index, entry.base_offset + at] = record

    @precondition(lambda self: len(self.peers) < MEMBERS_MAX)
    @rule(messages=st.integers(1, 8), size=st.sampled_from([400, 900, WIDE]))
    def join(self, messages: int, size: int) -> None:
        self.peers.append(Peer(self.stage.join(self.subscription, messages, size)))

    @precondition(lambda self: self.peers)
    @rule(which=st.integers(0, 99))
    def leave(self, which: int) -> None:
        self._leave(self.peers[which % len(self.peers)])

    @precondition(lambda self: self._readers())
    @rule(which=st.integers(0, 99))
    def retire(self, which: int) -> None:
        """As a pull does when it has answered: it settles later, and takes nothing more."""
        readers = self._readers()
        peer = readers[which % len(readers)]
        self.subscription.retire(peer.member)
        peer.retired = True

    @precondition(lambda self: self._readers())
    @rule(which=st.integers(0, 99), messages_max=st.sampled_from([1, 3, 1_000]))
    def take(self, which: int, messages_max: int) -> None:
        readers = self._readers()
        self._take(readers[which % len(readers)], messages_max)

    @precondition(lambda self: self._readers())
    @rule(which=st.integers(0, 99), messages_max=st.sampled_from([1, 3, 1_000]))
    def take_all(self, which: int, messages_max: int) -> None:
        readers = self._readers()
        while self._take(readers[which % len(readers)], messages_max) is not None:
            pass

    @precondition(lambda self: self.peers)
    @rule(
        which=st.integers(0, 99),
        first=st.integers(0, 40),
        count=st.integers(1, 9),
        release=st.booleans(),
        delay_millis=st.sampled_from([0, 300]),
    )
    def settle(self, which: int, first: int, count: int, release: bool, delay_millis: int) -> None:
        peer = self.peers[which % len(self.peers)]
        tags = range(first, first + count)
        disposition = DISPOSITION_RELEASE if release else DISPOSITION_ACCEPT
        if not all(tag in peer.open for tag in tags):
            before = peer.member.messages_in_flight
            with pytest.raises(UnknownDeliveryTagError):
                self.stage.settle(peer.member, tags[0], tags[-1], disposition, delay_millis)
            assert peer.member.messages_in_flight == before
            return
        self._settle(peer, tags[0], tags[-1], release, delay_millis)

    @precondition(lambda self: any(peer.open for peer in self.peers))
    @rule(
        which=st.integers(0, 99),
        at=st.integers(0, 99),
        longest=st.integers(1, 4),
        release=st.booleans(),
        delay_millis=st.sampled_from([0, 300]),
    )
    def settle_a_run_in_flight(
        self, which: int, at: int, longest: int, release: bool, delay_millis: int
    ) -> None:
        busy = [peer for peer in self.peers if peer.open]
        peer = busy[which % len(busy)]
        first = last = sorted(peer.open)[at % len(peer.open)]
        while last + 1 in peer.open and last - first + 1 < longest:
            last += 1
        self._settle(peer, first, last, release, delay_millis)

    @precondition(lambda self: self.peers)
    @rule(which=st.integers(0, 99), messages=st.integers(1, 8))
    def resize(self, which: int, messages: int) -> None:
        window = self.peers[which % len(self.peers)].member.window
        window.resize(messages, window.bytes_max)

    @precondition(lambda self: self.peers)
    @rule(which=st.integers(0, 99))
    def pause_or_resume(self, which: int) -> None:
        member = self.peers[which % len(self.peers)].member
        member.paused = not member.paused

    @rule(seconds=st.sampled_from([0.05, 0.3]), nanoseconds=st.integers(0, 2))
    def time_passes(self, seconds: float, nanoseconds: int) -> None:
        self.stage.now += seconds
        self.stage.now_ns += nanoseconds

    # -------------------------------------------------------- what must always hold

    @invariant()
    def the_window_counts_what_is_in_flight(self) -> None:
        for peer in getattr(self, "peers", ()):
            assert peer.member.messages_in_flight == len(peer.open)
            assert peer.member.window.bytes_in_flight == peer.bytes_in_flight()

    @invariant()
    def partitions_are_spread_evenly(self) -> None:
        if self.ordering == ORDERING_NONE or not hasattr(self, "peers") or not self._readers():
            return
        plan = Counter(cursor.successor or cursor.holder for cursor in self.subscription.cursors)
        counts = [plan[peer.member] for peer in self._readers()]
        assert sum(counts) == len(self.subscription.cursors)
        assert max(counts) - min(counts) <= 1

    def teardown(self) -> None:
        """Whatever happened: give everybody time and room, and each message is accepted, or expired."""
        if not hasattr(self, "stage"):
            return
        for peer in [peer for peer in self.peers if peer.retired]:
            self._leave(peer)
        if not self.peers:
            self.peers.append(Peer(self.stage.join(self.subscription)))
        for peer in self.peers:
            peer.member.paused = False
            peer.member.window.resize(1_000, WIDE)
        self.stage.now += LONG
        moved = True
        while moved:
            moved = False
            for peer in self.peers:
                while self._take(peer, 1_000) is not None:
                    moved = True
                for tag in sorted(peer.open):
                    self._settle(peer, tag, tag, False, 0)
                    moved = True
        left = [record for record in self.messages.values() if record.state != "accepted"]
        assert not [record for record in left if record.can_be_delivered(self.stage.now_ns)]
        assert self.stage.topic.stats.dropped == ({"expired": len(left)} if left else {})

    # -------------------------------------------------------- the model

    def _readers(self) -> list[Peer]:
        return [peer for peer in self.peers if not peer.retired]

    def _leave(self, peer: Peer) -> None:
        self.peers.remove(peer)
        self.subscription.leave(peer.member)
        for place in peer.open.values():
            self.messages[place].state = "waiting"

    def _take(self, peer: Peer, messages_max: int) -> Handout | None:
        member = peer.member
        handout = self.stage.take(member, messages_max)
        if handout is None:
            assert member.retry_at is None or member.retry_at > self.stage.now
            self._check_nothing_is_withheld(member)
            return None
        assert not member.paused
        partition = handout.entry.batch.header.partition
        places = [(partition, offset) for offset in offsets(handout)]
        assert 1 <= len(places) <= messages_max
        assert handout.first_tag == peer.next_tag
        if self.ordering == ORDERING_PARTITION:
            self._check_order(peer, partition, places)
        for tag, place in enumerate(places, start=peer.next_tag):
            record = self.messages[place]
            assert record.can_be_delivered(self.stage.now_ns)
            assert handout.attempt == record.deliveries
            record.state = "in flight"
            record.deliveries += 1
            peer.open[tag] = place
        peer.blocks.append(
            (set(range(peer.next_tag, peer.next_tag + len(places))), handout.size_bytes)
        )
        assert handout.size_bytes >= sum(self.messages[place].size for place in places)
        peer.next_tag += len(places)
        assert len(peer.open) <= member.window.messages_max
        assert peer.bytes_in_flight() <= member.window.bytes_max
        return handout

    def _check_nothing_is_withheld(self, member: Member) -> None:
        window = member.window
        if member.paused or member.retry_at is not None:
            return
        if not window.messages_free or window.bytes_free < LARGEST_MESSAGE_BYTES:
            return
        theirs = {
            cursor.partition.index
            for cursor in self.subscription.cursors
            if self.ordering == ORDERING_NONE
            or (cursor.holder is member and cursor.successor is None)
        }
        assert not [
            place
            for place, record in self.messages.items()
            if place[0] in theirs and record.can_be_delivered(self.stage.now_ns)
        ]

    def _check_order(self, peer: Peer, partition: int, places: list[Place]) -> None:
        waiting = sorted(
            place
            for place, record in self.messages.items()
            if place[0] == partition and record.can_be_delivered(self.stage.now_ns)
        )
        assert places == waiting[: len(places)]
        holding = [
            other for other in self.peers if any(p[0] == partition for p in other.open.values())
        ]
        assert all(other is peer for other in holding)

    def _settle(self, peer: Peer, first: int, last: int, release: bool, delay_millis: int) -> None:
        disposition = DISPOSITION_RELEASE if release else DISPOSITION_ACCEPT
        self.stage.settle(peer.member, first, last, disposition, delay_millis)
        for tag in range(first, last + 1):
            record = self.messages[peer.open.pop(tag)]
            record.state = "waiting" if release else "accepted"


class InOrder(SubscriptionMachine):
    ordering = ORDERING_PARTITION


class InAnyOrder(SubscriptionMachine):
    ordering = ORDERING_NONE


EXAMPLES = settings(max_examples=100, stateful_step_count=50)

TestOrderingPartition = InOrder.TestCase
TestOrderingPartition.settings = EXAMPLES
TestOrderingNone = InAnyOrder.TestCase
TestOrderingNone.settings = EXAMPLES
