"""What is fresh, against a model that looks at every message of the backlog each time.

The head of a part is decided as if each message were looked at alone; and a cursor that is drained now and
then delivers exactly what may go, drops exactly what need not, and waits for what must not go yet.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.coordinator.core.stage import TOPIC, Stage, offsets

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_NONE,
    ORDERING_PARTITION,
    OVERFLOW_POLICY_CONFLATE,
    OVERFLOW_POLICY_DROP_OLDEST,
    Ordering,
    OverflowPolicy,
)
from bellwire.coordinator.core import freshness
from bellwire.coordinator.core.flight import Handout
from bellwire.coordinator.core.freshness import KEYS_MIN, Conflation, Head, look_at
from bellwire.coordinator.core.part import Part
from bellwire.coordinator.log.memory import MemoryLog
from bellwire.coordinator.log.protocol import Entry
from bellwire.wire.batch import encode_batch
from bellwire.wire.message import new_message

SECOND_NS = 1_000_000_000
NOW_NS = 50
ME = "risk"
KEYS = st.sampled_from(["", "", "a", "b", "c"])
ONLY = st.sampled_from(["", "", "", ME, "other"])


# ------------------------------------------------------------ the head of a part

TIMES_NS = st.sampled_from([0, 0, 0, NOW_NS - 1, NOW_NS, NOW_NS + 1, NOW_NS + 9])
MESSAGES = st.lists(
    st.builds(
        Message,
        key=KEYS,
        expire_time_unix_nano=TIMES_NS,
        not_before_time_unix_nano=TIMES_NS,
    ),
    min_size=1,
    max_size=5,
)
BACKLOG = st.lists(st.tuples(MESSAGES, ONLY), min_size=1, max_size=5)


@settings(max_examples=300)
@given(BACKLOG, st.booleans(), st.sampled_from([0, NOW_NS]), st.data())
def test_the_head_of_a_part_is_what_looking_at_each_message_gives(
    backlog: list[tuple[list[Message], str]], conflate: bool, now_ns: int, data: st.DataObject
):
    log = MemoryLog(1)
    for messages, only in backlog:
        batch = encode_batch(TOPIC, 0, messages)
        batch.header.only_subscription = only
        log.append(Entry(batch, log.end_offset, 0))
    conflation = Conflation(0) if conflate else None
    if conflation is not None:
        assert conflation.catch_up(log, ME, lambda: 0)
    offset = data.draw(st.integers(0, log.end_offset - 1), label="offset")
    entry = log.read(offset)
    assert entry is not None
    first = offset - entry.base_offset
    last = data.draw(st.integers(first + 1, entry.count), label="last")
    mine = [
        (message.key if only in ("", ME) else "")
        for messages, only in backlog
        for message in messages
    ]

    def fate(at: int) -> tuple[str, str]:
        message = entry.messages()[at - entry.base_offset]
        if entry.batch.header.only_subscription not in ("", ME):
            return ("drop", "")
        if conflate and message.key and message.key in mine[at + 1 :]:
            return ("drop", "conflated")
        if now_ns and 0 < message.expire_time_unix_nano <= now_ns:
            return ("drop", "expired")
        if now_ns and message.not_before_time_unix_nano > now_ns:
            return ("wait", "")
        return ("take", "")

    head = look_at(Part(entry, first, last), now_ns, ME, conflation)
    fates = [fate(entry.base_offset + index) for index in range(first, last)]
    same = next((n for n, found in enumerate(fates) if found != fates[0]), len(fates))
    what, reason = fates[0]
    if what == "drop":
        assert head == Head(drop=same, reason=reason)
    elif what == "take":
        assert head == Head(take=same)
    else:
        assert head == Head(due_ns=entry.messages()[first].not_before_time_unix_nano)


# ------------------------------------------------------------ a cursor over time


@dataclass
class Waiting:
    """What the model knows of a message that waits.

    Attributes:
        until: Monotonic seconds before which nobody looks at it: released with a delay, or set aside.
    """

    key: str
    expiry_ns: int
    not_before_ns: int
    mine: bool
    until: float = 0.0


class FreshnessMachine(RuleBasedStateMachine):
    """One partition, one subscription, one member who takes all there is, now and then."""

    ordering: Ordering.ValueType
    overflow: OverflowPolicy.ValueType

    @initialize(retention=st.sampled_from([12, 1_000]), keys_min=st.sampled_from([0, KEYS_MIN]))
    def begin(self, retention: int, keys_min: int) -> None:
        freshness.KEYS_MIN = keys_min  # type: ignore[misc]
        self.stage = Stage(retention_messages=retention, max_attempts=0)
        self.stage.now_ns = 1_000 * SECOND_NS
        self.partition = self.stage.topic.partitions[0]
        self.subscription = self.stage.subscribe(ME, ordering=self.ordering, overflow=self.overflow)
        self.member = self.stage.join(self.subscription)
        self.waiting: dict[int, Waiting] = {}
        self.held: list[tuple[Handout, dict[int, Waiting]]] = []
        self.keys: dict[int, str] = {}  # Of all messages that were ever mine.
        self.evicted: set[int] = set()  # Those never looked at.
        self.dropped: Counter[str] = Counter()
        self.next_offset = 0  # Those below it were looked at.

    # -------------------------------------------------------- what happens

    @rule(
        messages=st.lists(
            st.tuples(KEYS, st.sampled_from([0, 0, 1, 3]), st.sampled_from([0, 0, 0, 1, 2])),
            min_size=1,
            max_size=5,
        ),
        only=ONLY,
    )
    def publish(self, messages: list[tuple[str, int, int]], only: str) -> None:
        """Messages are (key, seconds to live, seconds to wait)."""
        low = self.partition.log.low_offset
        assert self.partition.make_room()
        for offset in range(max(low, self.next_offset), self.partition.log.low_offset):
            del self.waiting[offset]
            self.evicted.add(offset)
            self.dropped["overflow"] += 1
        self.next_offset = max(self.next_offset, self.partition.log.low_offset)
        now_ns = self.stage.now_ns
        batch = encode_batch(
            TOPIC,
            0,
            [
                new_message(
                    data=b"",
                    key=key,
                    expire_time_unix_nano=now_ns + life * SECOND_NS if life else 0,
                    not_before_time_unix_nano=now_ns + delay * SECOND_NS if delay else 0,
                )
                for key, life, delay in messages
            ],
        )
        batch.header.only_subscription = only
        entry = self.partition.append(batch, now_ns)
        for offset, message in enumerate(entry.messages(), entry.base_offset):
            self.waiting[offset] = Waiting(
                message.key,
                message.expire_time_unix_nano,
                message.not_before_time_unix_nano,
                only in ("", ME),
            )
            if only in ("", ME) and message.key:
                self.keys[offset] = message.key

    @rule(messages_max=st.sampled_from([1, 3, 1_000]))
    def drain(self, messages_max: int) -> None:
        found: list[int] = []
        while True:
            handout = self.stage.take(self.member, messages_max)
            if handout is not None:
                found += offsets(handout)
                lent = {offset: self.waiting[offset] for offset in offsets(handout)}
                self.held.append((handout, lent))
            elif self.member.retry_at is None or self.member.retry_at > self.stage.now:
                break  # Else it has looked at many entries, and asks to be called again.
        self._check_drained(found)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99))
    def accept(self, which: int) -> None:
        handout, _ = self.held.pop(which % len(self.held))
        self.stage.accept(self.member, handout)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99), delay=st.sampled_from([0, 0, 1, 2]))
    def release(self, which: int, delay: int) -> None:
        handout, lent = self.held.pop(which % len(self.held))
        self.stage.release(self.member, handout, delay * 1_000)
        for offset, message in lent.items():
            message.until = self.stage.now + delay
            self.waiting[offset] = message

    @rule(seconds=st.integers(1, 3))
    def time_passes(self, seconds: int) -> None:
        self.stage.now += seconds
        self.stage.now_ns += seconds * SECOND_NS

    @rule(seconds=st.integers(-3, 3))
    def the_wall_clock_jumps(self, seconds: int) -> None:
        self.stage.now_ns += seconds * SECOND_NS

    # -------------------------------------------------------- what must always hold

    @invariant()
    def drops_are_counted_by_reason(self) -> None:
        if hasattr(self, "stage"):
            found = {reason: n for (_, reason), n in self.subscription.dropped.items() if n}
            assert found == {reason: n for reason, n in self.dropped.items() if n}
            assert self.stage.topic.stats.dropped == self.dropped

    def teardown(self) -> None:
        """When everything is due and settled, nothing waits and nothing was forgotten."""
        if not hasattr(self, "stage"):
            return
        freshness.KEYS_MIN = KEYS_MIN  # type: ignore[misc]
        while self.held:
            self.accept(0)
        for _ in range(2):  # What was released is due, then what it held back, or set aside, is.
            self.stage.now += 100
            self.stage.now_ns += 100 * SECOND_NS
            self.drain(1_000)
        assert not self.waiting
        while self.held:
            self.accept(0)
        assert self.member.messages_in_flight == 0

    # -------------------------------------------------------- the model

    def _check_drained(self, found: list[int]) -> None:
        """Go through all that waits, the oldest first; it must be what the drain has given."""
        expected: list[int] = []
        retry_at: list[float] = []
        now, now_ns = self.stage.now, self.stage.now_ns
        for offset, message in sorted(self.waiting.items()):
            if message.until > now:
                retry_at.append(message.until)
                if self.ordering == ORDERING_PARTITION:
                    break
                continue
            self.next_offset = max(self.next_offset, offset)
            reason = self._why_dropped(offset, message, offset in found)
            if reason is None and message.not_before_ns > now_ns:
                message.until = now + (message.not_before_ns - now_ns) / SECOND_NS
                retry_at.append(message.until)
                if self.ordering == ORDERING_PARTITION:
                    message.until = 0.0  # The wall clock may jump.
                    break
                self.next_offset = max(self.next_offset, offset + 1)
                continue
            self.next_offset = max(self.next_offset, offset + 1)
            del self.waiting[offset]
            if reason is None:
                expected.append(offset)
            elif reason:
                self.dropped[reason] += 1
        assert sorted(expected) == sorted(found)
        if self.ordering == ORDERING_PARTITION:
            assert expected == found
        assert self.member.retry_at == min(retry_at, default=None)

    def _why_dropped(self, offset: int, message: Waiting, was_delivered: bool) -> str | None:
        """The reason; empty for what was somebody else's, None when it is not to be dropped."""
        if not message.mine:
            return ""
        if self.overflow == OVERFLOW_POLICY_CONFLATE and message.key:
            later = {at for at, key in self.keys.items() if at > offset and key == message.key}
            # One that retention took makes nothing stale, and may have hidden one that does.
            newer, hidden = later - self.evicted, later & self.evicted
            if newer and not (hidden and was_delivered):
                return "conflated"
        if 0 < message.expiry_ns <= self.stage.now_ns:
            return "expired"
        return None


class InOrder(FreshnessMachine):
    ordering = ORDERING_PARTITION
    overflow = OVERFLOW_POLICY_DROP_OLDEST


class InAnyOrder(FreshnessMachine):
    ordering = ORDERING_NONE
    overflow = OVERFLOW_POLICY_DROP_OLDEST


class ConflatedInOrder(FreshnessMachine):
    ordering = ORDERING_PARTITION
    overflow = OVERFLOW_POLICY_CONFLATE


class ConflatedInAnyOrder(FreshnessMachine):
    ordering = ORDERING_NONE
    overflow = OVERFLOW_POLICY_CONFLATE


EXAMPLES = settings(max_examples=60, stateful_step_count=40)

TestInOrder = InOrder.TestCase
TestInOrder.settings = EXAMPLES
TestInAnyOrder = InAnyOrder.TestCase
TestInAnyOrder.settings = EXAMPLES
TestConflatedInOrder = ConflatedInOrder.TestCase
TestConflatedInOrder.settings = EXAMPLES
TestConflatedInAnyOrder = ConflatedInAnyOrder.TestCase
TestConflatedInAnyOrder.settings = EXAMPLES
