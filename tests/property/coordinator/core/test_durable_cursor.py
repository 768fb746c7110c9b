"""Random life of a durable topic and one subscription of it, against a plain table of messages.

Batches are staged, committed and rolled back; members come, go, die, take, accept, release and reject; cursors
are moved; retention evicts; and again and again everything is lost but what was committed. The model has one
word for each message, and a copy of itself as the group being written found it: that is what a crash leads
back to.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.property.coordinator.core.disk import Disk
from tests.unit.coordinator.core.stage import TOPIC, WIDE, Stage, offsets

from bellwire.bus.v1.message_pb2 import Batch, Position
from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_REJECT,
    DISPOSITION_RELEASE,
    ORDERING_NONE,
    ORDERING_PARTITION,
    OVERFLOW_POLICY_BLOCK,
    OVERFLOW_POLICY_DROP_OLDEST,
    START_POLICY_POSITIONS,
    Disposition,
    Ordering,
    OverflowPolicy,
    StartPosition,
)
from bellwire.coordinator.core import cursor as cursor_module
from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.dedupe import BATCHES_REMEMBERED
from bellwire.coordinator.core.engine import Engine
from bellwire.coordinator.core.flight import Handout
from bellwire.coordinator.core.journal import Group
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.log.records import DeadLetterRecord
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import StoreFullError, StoreReadOnlyError, UnknownDeliveryTagError
from bellwire.wire.message import new_message

PARTITIONS = 2
RETENTION_MESSAGES = 24  # An eighth of it is a segment: 3 messages.
RETENTION_SECONDS = 16
SECOND_NS = 1_000_000_000
MAX_ATTEMPTS = 3
MEMBERS_MAX = 3
PRODUCER = 7  # One for all, so that in each partition sequences are offsets.
LONG = 1_000.0  # Seconds; longer than any delay below.
MANY_RUNS = 1_000
LOADS_MAX = (
    20  # Whoever cannot take what was loaded may ask again when a small cache has let it go.
)
COMMITTED, BEING_WRITTEN, STAGED = "committed", "being written", "staged"
CRASH, STORE_FULL, STORE_BREAKS = "crash", "the store is full", "the store breaks"
JOIN, LEAVE, DIE = "join", "leave", "die"
HOW = st.sampled_from(  # With a delay in milliseconds.
    [
        (DISPOSITION_ACCEPT, 0),
        (DISPOSITION_ACCEPT, 0),
        (DISPOSITION_RELEASE, 0),
        (DISPOSITION_RELEASE, 300),
        (DISPOSITION_REJECT, 0),
    ]
)
SETTLED = ("accepted", "dead", "skipped")
OWED = ("waiting", "held")

Place = tuple[int, int]  # partition, offset
How = tuple[Disposition.ValueType, int]


@dataclass
class Message:
    """What the model knows of one message.

    Attributes:
        state: "staged", "waiting", "held", "accepted", "burying" (its dead letter is on its way to the store),
            "dead", "skipped" by a seek, or "lost" to retention.
        deliveries: How often it was handed out since the last seek; a lower bound is enough after a crash.
        crashed: Whether there was a crash since, so that some may be forgotten.
    """

    state: str = "staged"
    deliveries: int = 0
    crashed: bool = False


@dataclass
class Peer:
    """What the model knows of one member."""

    member: Member
    next_tag: int = 1
    open: dict[int, tuple[Place, Handout]] = field(default_factory=dict)


class DurableMachine(RuleBasedStateMachine):
    """The rules; ordering and policy are set by the classes below."""

    ordering: Ordering.ValueType
    overflow: OverflowPolicy.ValueType = OVERFLOW_POLICY_BLOCK

    @initialize(
        cache_bytes=st.sampled_from([1, 500, 1 << 20]),
        runs_max=st.sampled_from([2, MANY_RUNS, MANY_RUNS]),
    )
    def begin(self, cache_bytes: int, runs_max: int) -> None:
        cursor_module.OPEN_RUNS_MAX = runs_max  # type: ignore[misc]
        self.exact = runs_max == MANY_RUNS
        self.stage = Stage(
            durable=True,
            partitions=PARTITIONS,
            retention_messages=RETENTION_MESSAGES,
            retention_seconds=RETENTION_SECONDS,
            max_attempts=MAX_ATTEMPTS,
        )
        self.stage.now_ns = 1
        self.settings = replace(self.stage.engine.settings, store_cache_bytes=cache_bytes)
        self.stage.engine.logs._cache._bytes_max = cache_bytes
        self.disk = Disk()
        self.messages: dict[Place, Message] = {}
        self.saved: dict[Place, Message] = {}
        self.batches: dict[Place, Batch] = {}
        self.buried: set[Place] = set()
        self.dropped = 0
        self.sought = self.broken = False
        self.peers: list[Peer] = []
        self.lives = 0
        self.subscription = self.stage.subscribe(ordering=self.ordering, overflow=self.overflow)
        self.group: Group | None = None
        self.found: dict[Place, Message] = {}
        self._commit_all()

    # -------------------------------------------------------- what happens

    @rule(
        index=st.integers(0, PARTITIONS - 1),
        counts=st.lists(st.integers(1, 4), max_size=6),
        size=st.sampled_from([1, 200]),
        then=st.sampled_from([COMMITTED, COMMITTED, BEING_WRITTEN, STAGED]),
        which=st.integers(0, MEMBERS_MAX - 1),
        messages_max=st.sampled_from([1_000, 4, 1]),
        settles=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), HOW), max_size=4),
    )
    def publish_take_and_settle(
        self,
        index: int,
        counts: list[int],
        size: int,
        then: str,
        which: int,
        messages_max: int,
        settles: list[tuple[int, int, How]],
    ) -> None:
        """One rule, because anything of interest needs all three."""
        for count in counts:
            self._publish(index, count, size)
        if then == COMMITTED:
            self._commit_all()
        elif then == BEING_WRITTEN and self.group is None:
            self._take_a_group()
        if not self.peers:
            self._join(6, WIDE)
        peer = self.peers[which % len(self.peers)]
        loads = 0
        while self._take(peer, messages_max) or (loads < LOADS_MAX and self._load(0, 1)):
            loads += 1
        for at, longest, how in settles:
            self._settle_a_run(peer, at, longest, *how)

    @rule(
        which=st.integers(0, MEMBERS_MAX - 1),
        load=st.integers(0, 3),
        messages_max=st.sampled_from([1_000, 2]),
        settles=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), HOW), max_size=4),
    )
    def take_and_settle(
        self, which: int, load: int, messages_max: int, settles: list[tuple[int, int, How]]
    ) -> None:
        """A little at a time, and entries come from the store when they will."""
        if not self.peers:
            return
        peer = self.peers[which % len(self.peers)]
        if load:
            self._load(which, load)
        self._take(peer, messages_max)
        for at, longest, how in settles:
            self._settle_a_run(peer, at, longest, *how)

    @rule(all_of_it=st.booleans())
    def commit(self, all_of_it: bool) -> None:
        """One group gathers while another is being written, or not."""
        if all_of_it:
            self._commit_all()
        elif self.group is not None:
            self._commit()
        else:
            self._take_a_group()

    @rule(what=st.sampled_from([CRASH, STORE_FULL, STORE_FULL, STORE_BREAKS]))
    def misfortune(self, what: str) -> None:
        if what == CRASH:
            self._crash()
            return
        if self.group is None:
            self._take_a_group()
        if self.group is not None:
            self._fail(breaks=what == STORE_BREAKS)

    @rule(
        how=st.sampled_from([JOIN, JOIN, LEAVE, DIE]),
        which=st.integers(0, MEMBERS_MAX - 1),
        messages=st.integers(1, 9),
        size=st.sampled_from([WIDE, 500]),
    )
    def members_change(self, how: str, which: int, messages: int, size: int) -> None:
        if how == JOIN and len(self.peers) < MEMBERS_MAX:
            self._join(messages, size)
        elif how != JOIN and self.peers:
            self._leave(self.peers[which % len(self.peers)], lost=how == DIE)

    @precondition(lambda self: not self.broken)
    @rule(index=st.integers(0, PARTITIONS - 1), way=st.integers(0, 100))
    def seek(self, index: int, way: int) -> None:
        log = self._partition(index).log
        offset = log.low_offset + (log.high_watermark - log.low_offset) * way // 100
        position = Position(topic=TOPIC, partition=index, offset=offset, log_id=log.log_id)
        start = StartPosition(policy=START_POLICY_POSITIONS, positions=[position])
        self.stage.bus.seek("risk", start)
        self.sought = True
        for (partition, at), message in self.messages.items():
            if partition == index and message.state != "staged":
                if at >= offset:
                    message.state, message.deliveries = "waiting", 0
                elif message.state != "lost":
                    message.state = "skipped"

    @rule(millis=st.sampled_from([50, 300]), retention=st.sampled_from([0, 1, 9, 32]))
    def time_passes(self, millis: int, retention: int) -> None:
        """Each clock goes its own way: the one for waiting, and the one retention goes by, in seconds."""
        stage = self.stage
        stage.now += millis / 1_000
        stage.now_ns += retention * SECOND_NS
        lows = [partition.log.low_offset for partition in stage.topic.partitions]
        stage.engine.tick(stage.now, stage.now_ns)
        for partition, low in zip(stage.topic.partitions, lows, strict=True):
            self._note_what_was_evicted(partition, low)

    @rule(which=st.integers(0, MEMBERS_MAX - 1), tag=st.integers(1, 30), batch=st.integers(0, 99))
    def settle_and_publish_again(self, which: int, tag: int, batch: int) -> None:
        for peer in self.peers[which : which + 1]:
            if tag not in peer.open:
                with pytest.raises(UnknownDeliveryTagError):
                    self.stage.settle(peer.member, tag, tag)
        for index, base in sorted(self.batches)[batch : batch + 1]:
            if self.broken:
                with pytest.raises(StoreReadOnlyError):
                    self._partition(index).duplicate_of(self.batches[index, base])
                continue
            later = [place for place in self.batches if place[0] == index and place[1] > base]
            if len(later) < BATCHES_REMEMBERED // 2:  # Roll-backs may cost the other half.
                assert self._partition(index).duplicate_of(self.batches[index, base]) == base

    # -------------------------------------------------------- what must always hold

    @invariant()
    def each_message_is_in_one_place(self) -> None:
        if not hasattr(self, "stage"):
            return
        for cursor in self.subscription.cursors:
            index, log = cursor.partition.index, cursor.partition.log
            count = {state: self._count(index, state) for state in ("staged", "waiting", "held")}
            assert log.end_offset == self._end(index)
            assert log.high_watermark == log.end_offset - count["staged"]
            assert cursor.in_flight == count["held"]
            if self.overflow == OVERFLOW_POLICY_BLOCK:
                assert cursor.backlog == count["waiting"] + count["staged"]
        published = sum(self.stage.topic.partitions[i].log.end_offset for i in range(PARTITIONS))
        if not self.lives:
            assert self.stage.topic.stats.published_messages == published

    @invariant()
    def windows_count_what_is_in_flight(self) -> None:
        for peer in getattr(self, "peers", ()):
            assert peer.member.messages_in_flight == len(peer.open)
            assert peer.member.failed is None

    def teardown(self) -> None:
        """Whatever happened: everything committed and not settled is delivered, and then nothing is."""
        if not hasattr(self, "stage"):
            return
        if self.broken:
            self._crash()
        while self.peers:
            self._leave(self.peers[0], lost=False)
        self._commit_all()
        self.stage.now += LONG
        self._drain()
        lost = self.subscription.dropped[TOPIC, "overflow"]
        assert lost == self.dropped or (self.sought and lost <= self.dropped)
        states = {message.state for message in self.messages.values()}
        assert states <= {*SETTLED, "lost"}
        self._commit_all()
        self._crash()
        self._drain()
        cursor_module.OPEN_RUNS_MAX = MANY_RUNS  # type: ignore[misc]

    # -------------------------------------------------------- the model

    def _partition(self, index: int) -> Partition:
        return self.stage.topic.partitions[index]

    def _end(self, index: int) -> int:
        return max((at + 1 for partition, at in self.messages if partition == index), default=0)

    def _count(self, index: int, state: str) -> int:
        return sum(p == index and m.state == state for (p, _), m in self.messages.items())

    def _publish(self, index: int, count: int, size: int) -> None:
        partition = self._partition(index)
        if self.broken:
            with pytest.raises(StoreReadOnlyError):
                partition.make_room()
            return
        if not self._make_room(partition):
            return
        base = partition.log.end_offset
        messages = [new_message(data=bytes(size)) for _ in range(count)]
        batch = encode_batch(TOPIC, index, messages, producer_id=PRODUCER, base_sequence=base)
        assert partition.duplicate_of(batch) is None
        entry = partition.append(batch, self.stage.now_ns)
        assert entry.base_offset == base == self._end(index)
        self.batches[index, base] = batch
        for offset in range(base, base + count):
            self.messages[index, offset] = Message()

    def _fail(self, *, breaks: bool) -> None:
        assert self.group is not None
        error = StoreReadOnlyError("in doubt") if breaks else StoreFullError("the disk is full")
        self.stage.engine.journal.failed(self.group, error)
        self.group = None
        self.broken = breaks
        for place, message in tuple(self.messages.items()):
            if message.state == "staged":
                del self.messages[place]
                self.batches.pop(place, None)
            elif message.state == "burying":
                self._owe(place)

    def _make_room(self, partition: Partition) -> bool:
        low = partition.log.low_offset
        has_room = partition.make_room()
        self._note_what_was_evicted(partition, low)
        if not has_room:
            assert self.overflow == OVERFLOW_POLICY_BLOCK
            oldest = partition.log.oldest()
            assert oldest is not None
            span = [(partition.index, at) for at in range(oldest.base_offset, oldest.next_offset)]
            states = {table[p].state for p in span for table in (self.messages, self.saved)}
            assert not self.exact or self.sought or not states <= set(SETTLED)
        return has_room

    def _note_what_was_evicted(self, partition: Partition, low: int) -> None:
        index = partition.index
        for offset in range(low, partition.log.low_offset):
            message = self.messages[index, offset]
            if self.overflow == OVERFLOW_POLICY_BLOCK:
                assert message.state in SETTLED, "it was owed"
                assert self.saved[index, offset].state in SETTLED or not self.exact
            elif message.state == "waiting":
                self._lose(message)

    def _lose(self, message: Message) -> None:
        message.state = "lost"
        self.dropped += 1

    def _owe(self, place: Place) -> None:
        """It must be delivered again, unless retention has taken it meanwhile."""
        self.messages[place].state = "waiting"
        if place[1] < self._partition(place[0]).log.low_offset:
            assert self.overflow != OVERFLOW_POLICY_BLOCK
            self._lose(self.messages[place])

    def _come_back(self, place: Place, handout: Handout, *, failed: bool) -> None:
        if not handout.is_current:
            return
        if failed and handout.failures + 1 >= MAX_ATTEMPTS and not self.broken:
            self.messages[place].state = "burying"
        else:
            self._owe(place)

    def _settle_a_run(
        self, peer: Peer, at: int, longest: int, how: Disposition.ValueType, delay_millis: int
    ) -> None:
        if not peer.open:
            return
        first = last = sorted(peer.open)[at % len(peer.open)]
        while last + 1 in peer.open and last - first + 1 < longest:
            last += 1
        self._settle(peer, first, last, how, delay_millis)

    def _settle(
        self, peer: Peer, first: int, last: int, how: Disposition.ValueType, delay: int = 0
    ) -> None:
        if how == DISPOSITION_REJECT and self.broken:
            with pytest.raises(StoreReadOnlyError):
                self.stage.settle(peer.member, first, last, how)
            return
        self.stage.settle(peer.member, first, last, how, delay)
        for tag in range(first, last + 1):
            place, handout = peer.open.pop(tag)
            if how == DISPOSITION_RELEASE:
                self._come_back(place, handout, failed=True)
            elif handout.is_current:
                self.messages[place].state = "accepted" if how == DISPOSITION_ACCEPT else "burying"

    def _take(self, peer: Peer, messages_max: int) -> bool:
        handout = self.stage.take(peer.member, messages_max)
        if handout is None:
            return False
        index = handout.entry.batch.header.partition
        places = [(index, offset) for offset in offsets(handout)]
        assert 1 <= len(places) <= messages_max
        assert places[-1][1] < handout.cursor.partition.log.high_watermark
        owed = sorted(p for p, m in self.messages.items() if p[0] == index and m.state == "waiting")
        if self.ordering == ORDERING_PARTITION:
            assert places == owed[: len(places)]
            assert all(other is peer or not self._holds(other, index) for other in self.peers)
        assert set(places) <= set(owed)
        for tag, place in enumerate(places, start=peer.next_tag):
            message = self.messages[place]
            assert handout.attempt <= message.deliveries
            assert handout.attempt == message.deliveries or message.crashed
            assert handout.failures <= handout.attempt
            message.state = "held"
            message.deliveries += 1
            peer.open[tag] = (place, handout)
        assert handout.first_tag == peer.next_tag
        peer.next_tag += len(places)
        assert len(peer.open) <= peer.member.window.messages_max
        assert peer.member.window.bytes_in_flight <= peer.member.window.bytes_max
        return True

    def _holds(self, peer: Peer, index: int) -> bool:
        return any(p[0] == index and handout.is_current for p, handout in peer.open.values())

    def _join(self, messages: int, size: int) -> None:
        self.peers.append(Peer(self.stage.join(self.subscription, messages, size)))

    def _leave(self, peer: Peer, lost: bool) -> None:
        self.peers.remove(peer)
        self.subscription.leave(peer.member, lost=lost)
        for place, handout in peer.open.values():
            self._come_back(place, handout, failed=lost)

    def _load(self, which: int, entries_max: int) -> bool:
        wanted = self.stage.engine.logs.wanted
        if not wanted:
            return False
        wanted.rotate(-which)
        log, asked = wanted.popleft()
        self.stage.engine.loaded(log, asked, self.disk.load(log.log_id, asked, entries_max))
        return True

    def _take_a_group(self) -> None:
        self.group = self.stage.engine.journal.take()
        self.found = {place: copy(message) for place, message in self.messages.items()}
        for (index, at), message in self.found.items():  # Once this group is committed, that is:
            if message.state in ("staged", "burying"):
                message.state = "waiting" if message.state == "staged" else "dead"
            elif message.state == "held" and at < self._partition(index).log.low_offset:
                message.state = "lost"  # Only memory has it still.

    def _commit(self) -> None:
        assert self.group is not None
        self.saved = self.found
        self.disk.write(self.group.records)
        for place, message in self.messages.items():
            if message.state == "staged" and place in self.saved:
                message.state = "waiting"
        for letter in self.group.records:
            if not isinstance(letter, DeadLetterRecord):
                continue
            place = letter.partition, letter.offset
            if self.exact and not self.sought:
                assert place not in self.buried, "it was given up twice"
            self.buried.add(place)
            if self.messages[place].state == "burying" and self.saved[place].state == "dead":
                self.messages[place].state = "dead"
        self.stage.engine.journal.committed(self.group)
        self.group = None
        self._check_what_is_on_disk()

    def _commit_all(self) -> None:
        if self.group is not None:
            self._commit()
        self._take_a_group()
        if self.group is not None:
            self._commit()

    def _crash(self) -> None:
        self.lives += 1
        self.group = None
        self.peers.clear()
        self.broken = self.sought = False
        self.messages = {place: copy(message) for place, message in self.saved.items()}
        self.batches = {p: batch for p, batch in self.batches.items() if p in self.messages}
        for message in self.messages.values():
            message.state = "waiting" if message.state == "held" else message.state
            message.crashed = True
        stage = self.stage
        stage.engine = Engine(
            self.settings,
            self.disk.snapshot(),
            has_store=True,
            clock_ns=lambda: 0,
            random=Random(self.lives),
        )
        stage.bus, stage.topic = stage.engine.bus, stage.engine.bus.topics[TOPIC]
        self.subscription = stage.bus.named["risk"]
        self.dropped = sum(map(self._lost_in_the_crash, self.subscription.cursors))
        if not self.exact:
            self._count_again_what_was_forgotten()

    def _drain(self) -> None:
        """One member takes everything, whatever has to be loaded, and accepts it."""
        self._join(1_000, WIDE)
        peer = self.peers[-1]
        while self._take(peer, 1_000) or self._load(0, 1):
            if peer.open:
                self._settle(peer, min(peer.open), max(peer.open), DISPOSITION_ACCEPT)
        assert not any(message.state in OWED for message in self.messages.values())

    def _check_what_is_on_disk(self) -> None:
        """The cursors there, if read now, owe what the group found owed: no less, and no more."""
        for cursor in self.subscription.cursors:
            index, log_id = cursor.partition.index, cursor.partition.log.log_id
            entries = self.disk.entries.get(log_id, [])
            kept = {at for e in entries for at in range(e.base_offset, e.next_offset)}
            owed = {at for p, at in self._owed(self.saved) if p == index}
            assert owed <= kept
            assert owed == (kept & self._on_disk(cursor)) or not self.exact
            assert owed <= self._on_disk(cursor)

    def _owed(self, table: dict[Place, Message]) -> set[Place]:
        return {place for place, message in table.items() if message.state in OWED}

    def _on_disk(self, cursor: Cursor) -> set[int]:
        record = self.disk.cursors[cursor.partition.log.log_id]
        runs = {at for first, last, _, _ in record.open_runs for at in range(first, last)}
        return runs | set(range(record.next_offset, self._end(cursor.partition.index)))

    def _lost_in_the_crash(self, cursor: Cursor) -> int:
        """Messages a member held that retention had taken: only memory had them."""
        low = cursor.partition.log.low_offset
        runs = self.disk.cursors[cursor.partition.log.log_id].open_runs
        return sum(max(0, min(last, low) - first) for first, last, _, _ in runs)

    def _count_again_what_was_forgotten(self) -> None:
        """A cursor that has more gaps than its record may say owes some settled messages again."""
        for cursor in self.subscription.cursors:
            for at in self._on_disk(cursor):
                message = self.messages[cursor.partition.index, at]
                if message.state in SETTLED and at >= cursor.partition.log.low_offset:
                    message.state = "waiting"


class InOrder(DurableMachine):
    ordering = ORDERING_PARTITION


class InAnyOrder(DurableMachine):
    ordering = ORDERING_NONE


class InOrderDroppingTheOldest(DurableMachine):
    ordering = ORDERING_PARTITION
    overflow = OVERFLOW_POLICY_DROP_OLDEST


class InAnyOrderDroppingTheOldest(DurableMachine):
    ordering = ORDERING_NONE
    overflow = OVERFLOW_POLICY_DROP_OLDEST


EXAMPLES = settings(max_examples=60, stateful_step_count=40)

TestInOrder = InOrder.TestCase
TestInOrder.settings = EXAMPLES
TestInAnyOrder = InAnyOrder.TestCase
TestInAnyOrder.settings = EXAMPLES
TestInOrderDroppingTheOldest = InOrderDroppingTheOldest.TestCase
TestInOrderDroppingTheOldest.settings = EXAMPLES
TestInAnyOrderDroppingTheOldest = InAnyOrderDroppingTheOldest.TestCase
TestInAnyOrderDroppingTheOldest.settings = EXAMPLES
