"""Whatever is refused, lost or sent twice: no message is lost, doubled or overtaken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import Batch, Message, PositionRange
from bellwire.bus.v1.publisher_pb2 import (
    ACK_LEVEL_PERSISTED,
    ACK_LEVEL_UNSPECIFIED,
    PublishAck,
    PublishBatches,
    PublishFailure,
)
from bellwire.client._batcher import Batcher
from bellwire.client._outcomes import Landed, Refused
from bellwire.client._segment import estimated_bytes
from bellwire.client.settings import PublishSettings
from bellwire.wire.batch import open_batch
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    CapacityError,
    DeadlineExceededError,
    SequenceGapError,
    StoreBusyError,
    StoreFullError,
    StoreReadOnlyError,
    to_item_error,
)
from bellwire.wire.window import Window

TOPIC = "signals.tactical"
WINDOW_MESSAGES = 20
SETTINGS = PublishSettings(
    batch_messages_max=4, frame_batches_max=3, frames_in_flight_max=3, compress_above_bytes=64
)


@dataclass
class Ticket:
    """A caller: what it handed over, and what it was told."""

    ids: list[str]
    offsets: dict[str, tuple[int, int]] = field(default_factory=dict)
    error: BellwireError | None = None

    def done(self) -> bool:
        return self.error is not None


@dataclass
class Partition:
    """The log of one partition with Kafka's rule: a batch must carry the sequence expected.

    What is appended counts once it is committed; until then it can be rolled back.
    """

    ids: list[str] = field(default_factory=list)
    expected: int = 0
    appended: dict[int, tuple[int, int]] = field(default_factory=dict)
    uncommitted: list[int] = field(default_factory=list)

    def append(self, batch: Batch) -> PositionRange:
        base, count = batch.header.base_sequence, batch.header.message_count
        if base in self.appended and self.appended[base][1] == count:
            return self._range(batch, self.appended[base][0], duplicate=True)
        if base != self.expected:
            raise SequenceGapError("gap", metadata={"expected": str(self.expected)})
        first = len(self.ids)
        self.ids += [message.id for message in open_batch(batch)]
        self.appended[base] = (first, count)
        self.uncommitted.append(base)
        self.expected = base + count
        return self._range(batch, first, duplicate=False)

    @property
    def committed_ids(self) -> int:
        """Messages that are committed."""
        return self.appended[self.uncommitted[0]][0] if self.uncommitted else len(self.ids)

    def roll_back(self) -> None:
        """Forget what is not committed."""
        del self.ids[self.committed_ids :]
        if self.uncommitted:
            self.expected = self.uncommitted[0]
        for base in self.uncommitted:
            del self.appended[base]
        self.uncommitted.clear()

    def _range(self, batch: Batch, first: int, *, duplicate: bool) -> PositionRange:
        return PositionRange(
            topic=TOPIC,
            partition=batch.header.partition,
            first_offset=first,
            last_offset=first + batch.header.message_count - 1,
            duplicate=duplicate,
        )


@dataclass
class Pending:
    """A frame whose batches are not all answered: positions of those appended, None for those refused."""

    sequence: int
    partitions: list[int]
    positions: list[PositionRange | None]
    waiting: set[int]


class Coordinator:
    """The other end of the stream, and the line between: frames and answers under way.

    A commit makes everything appended durable, and only then it is acknowledged. A failed one rolls all
    of it back and refuses it, in order. A store in doubt does so too, and takes nothing more before a
    restart; only then it turns out whether the commit had reached the disk.
    """

    def __init__(self, *, doubts_first: bool) -> None:
        self._doubts_first = doubts_first  # Refuses as in doubt also what does not follow.
        self.partitions = [Partition(), Partition()]
        self.frames: deque[PublishBatches] = deque()
        self.answers: deque[PublishAck | PublishFailure] = deque()
        self.pending: list[Pending] = []
        self.faults: deque[str] = deque()
        self.disk: list[Partition] | None = None
        self.retryable_refusals = 0

    def handle_one(self) -> None:
        frame = self.frames.popleft()
        held = Pending(frame.frame_sequence, [], [], set())
        for index, batch in enumerate(frame.batches):
            partition = batch.header.partition
            held.partitions.append(partition)
            held.positions.append(None)
            try:
                held.positions[index] = position = self._append(batch)
                if position.last_offset >= self.partitions[partition].committed_ids:
                    held.waiting.add(index)
            except BellwireError as error:
                self._fail(held, index, error)
        self.pending.append(held)
        self._acknowledge()

    def commit(self) -> None:
        for partition in self.partitions:
            partition.uncommitted.clear()
        for held in self.pending:
            held.waiting.clear()
        self._acknowledge()

    def commit_one(self, index: int) -> None:
        """Commit one partition; frames with batches of another one go on waiting for that."""
        self.partitions[index].uncommitted.clear()
        for held in self.pending:
            held.waiting -= {at for at in held.waiting if held.partitions[at] == index}
        self._acknowledge()

    def fail_commit(self, error: BellwireError) -> None:
        for partition in self.partitions:
            partition.roll_back()
        for held in self.pending:
            for index in sorted(held.waiting):
                held.positions[index] = None
                self.retryable_refusals += 1
                self._fail(held, index, error)
            held.waiting.clear()
        self._acknowledge()

    def doubt(self, *, on_disk: bool) -> None:
        """Fail a commit so that nobody knows whether it was written; the model does."""
        if self.disk is None:
            self.disk = deepcopy(self.partitions)
            for partition in self.disk:
                if on_disk:
                    partition.uncommitted.clear()
                else:
                    partition.roll_back()
            self.fail_commit(StoreReadOnlyError("in doubt"))

    def restart(self) -> None:
        """Begin with what is on disk; what was not committed is gone."""
        if self.disk is not None:
            self.partitions, self.disk = self.disk, None
        for partition in self.partitions:
            partition.roll_back()

    def _append(self, batch: Batch) -> PositionRange:
        fault = self.faults.popleft() if self.faults else ""
        partition = self.partitions[batch.header.partition]
        seen_before = batch.header.base_sequence in partition.appended
        if self.disk is not None and self._doubts_first:
            raise StoreReadOnlyError("in doubt")
        if seen_before or batch.header.base_sequence != partition.expected:
            return partition.append(batch)  # A coordinator refuses only what it would append.
        if self.disk is not None:
            raise StoreReadOnlyError("in doubt")
        if fault == "message":
            raise CallerError("bad message", metadata={"message_index": "0"})
        if fault == "batch":
            raise CallerError("bad batch")
        if fault == "retry":
            self.retryable_refusals += 1
            raise CapacityError("full")
        return partition.append(batch)

    def _fail(self, held: Pending, index: int, error: BellwireError) -> None:
        at = int(error.metadata.get("message_index", "-1"))
        self.answers.append(
            PublishFailure(
                frame_sequence=held.sequence,
                batch_index=index,
                message_index=at,
                error=to_item_error(error),
            )
        )

    def _acknowledge(self) -> None:
        for held in [held for held in self.pending if not held.waiting]:
            self.pending.remove(held)
            positions = [position for position in held.positions if position is not None]
            ack = PublishAck(
                first_frame_sequence=held.sequence,
                last_frame_sequence=held.sequence,
                positions=positions,
                ack_level=ACK_LEVEL_PERSISTED,
            )
            self.answers.append(ack)

    def lose_connection(self) -> None:
        self.frames.clear()
        self.answers.clear()
        self.pending.clear()


class World:
    """A batcher, its callers and a coordinator, moved step by step."""

    def __init__(self, *, doubts_first: bool) -> None:
        self.batcher = Batcher(SETTINGS, ACK_LEVEL_UNSPECIFIED)
        self.coordinator = Coordinator(doubts_first=doubts_first)
        self.tickets: list[tuple[int, Ticket]] = []
        self.now = 0.0
        self.next_id = 0
        self.connect()

    def connect(self) -> None:
        self.batcher.started(7, 0, Window(WINDOW_MESSAGES, 1 << 20))

    def add(self, partition: int, count: int) -> None:
        ids = [str(self.next_id + i) for i in range(count)]
        self.next_id += count
        messages = [Message(id=i, data=b"x" * 20) for i in ids]
        ticket = Ticket(ids)
        self.tickets.append((partition, ticket))
        self.batcher.add(TOPIC, partition, messages, estimated_bytes(messages), ticket)

    def send(self) -> bool:
        frame = self.batcher.next_frame(self.now)
        if frame is not None:
            assert len(frame.batches.batches) <= SETTINGS.frame_batches_max
            # What was sent here is a copy: the batcher may renumber its own batches later.
            copy = PublishBatches.FromString(frame.batches.SerializeToString())
            self.coordinator.frames.append(copy)
        self.settle()
        unanswered = sum(
            out.count
            for held in self.batcher._frames._frames.values()
            for out in held.outs
            if out is not None
        )
        assert unanswered <= WINDOW_MESSAGES
        return frame is not None

    def answer_one(self) -> None:
        answer = self.coordinator.answers.popleft()
        if isinstance(answer, PublishAck):
            self.batcher.on_ack(answer)
        else:
            self.batcher.on_failure(answer, self.now)
        assert not self.batcher.producer_lost, "the two sides disagree on sequences"
        self.settle()

    def settle(self) -> None:
        outcomes, self.batcher.outcomes = self.batcher.outcomes, []
        for outcome in outcomes:
            if isinstance(outcome, Landed):
                offset = outcome.position.first_offset
                for segment in outcome.out.segments:
                    ticket = segment.ticket
                    assert isinstance(ticket, Ticket)
                    for message in segment.messages:
                        assert message.id not in ticket.offsets, "told twice"
                        ticket.offsets[message.id] = (outcome.position.partition, offset)
                        offset += 1
            else:
                assert isinstance(outcome, Refused)
                for segment in outcome.segments:
                    assert isinstance(segment.ticket, Ticket)
                    segment.ticket.error = outcome.error

    def lose_connection(self) -> None:
        self.lose_connection_before(lambda: None)

    def lose_connection_before(self, meanwhile: Callable[[], None]) -> None:
        self.coordinator.lose_connection()
        meanwhile()
        self.batcher.lost()
        self.settle()
        self.connect()

    def restart(self) -> None:
        """The coordinator dies and comes back, and with it the connection."""
        self.lose_connection_before(self.coordinator.restart)

    def abandon(self) -> None:
        """The caller that has waited longest gives up."""
        for _, ticket in self.tickets:
            if not ticket.done() and len(ticket.offsets) < len(ticket.ids):
                ticket.error = DeadlineExceededError("the caller went away")
                return

    def run_dry(self) -> None:
        """Let everything that is still under way come to its end, without further faults."""
        self.coordinator.faults.clear()
        if self.coordinator.disk is not None:
            self.restart()
        for _ in range(10_000):
            self.now += 10.0  # Past every hold and stall.
            progress = self.send()
            while self.coordinator.frames:
                self.coordinator.handle_one()
            self.coordinator.commit()
            while self.coordinator.answers:
                self.answer_one()
                progress = True
            if not progress and self.batcher.buffer.messages == 0:
                return
        raise AssertionError(f"{self.batcher.buffer.messages} messages never came to an end")


# Weighted so that faults meet full pipelines: most steps move traffic, few cut the line.
moves = 8 * ("send", "handle", "answer") + 2 * ("wait", "lose") + ("commit",)
faults = ("message", "batch", "retry", "full", "busy", "abandon", "abandon")
doubts = ("doubt", "doubt on disk", "restart", "restart")
move = st.tuples(st.sampled_from(moves + faults + doubts), st.just(0), st.just(0))
add = st.tuples(st.just("add"), st.integers(0, 1), st.integers(1, 9))
commit_one = st.tuples(st.just("commit one"), st.integers(0, 1), st.just(0))
steps = st.lists(
    st.one_of(add, add, move, move, move, move, move, commit_one), min_size=25, max_size=80
)


def played(script: list[tuple[str, int, int]], *, doubts_first: bool = False) -> World:
    world = World(doubts_first=doubts_first)
    for step, partition, count in script:
        match step:
            case "add":
                world.add(partition, count)
            case "send":
                world.send()
            case "handle":
                if world.coordinator.frames:
                    world.coordinator.handle_one()
            case "answer":
                if world.coordinator.answers:
                    world.answer_one()
            case "lose":
                world.lose_connection()
            case "restart":
                world.restart()
            case "abandon":
                world.abandon()
            case "commit":
                if world.coordinator.disk is None:
                    world.coordinator.commit()
            case "commit one":
                if world.coordinator.disk is None:
                    world.coordinator.commit_one(partition)
            case "full":
                world.coordinator.fail_commit(StoreFullError("disk full", retry_delay_seconds=0.1))
            case "busy":
                world.coordinator.fail_commit(StoreBusyError("busy"))
            case "doubt" | "doubt on disk":
                world.coordinator.doubt(on_disk=step == "doubt on disk")
            case "wait":
                world.now += 0.2
            case fault:
                world.coordinator.faults.append(fault)
    world.run_dry()
    return world


@pytest.mark.slow
@settings(max_examples=500)
@given(steps, st.booleans())
def test_each_message_is_appended_once_in_order_or_its_caller_is_told(
    script, doubts_first: bool
) -> None:
    check(played(script, doubts_first=doubts_first))


# A frame that holds batches of both partitions waits for the slower one, and a later one overtakes it.
overtaking = [
    ("add", 0, 4),
    ("add", 1, 4),
    ("send", 0, 0),
    ("add", 0, 4),
    ("send", 0, 0),
    ("handle", 0, 0),
    ("handle", 0, 0),
    ("commit one", 0, 0),
    ("answer", 0, 0),
    ("lose", 0, 0),
    ("add", 0, 4),
]
traffic = st.tuples(st.sampled_from(("send", "handle", "answer", "lose")), st.just(0), st.just(0))


@settings(max_examples=200)
@example(overtaking)
@given(st.lists(st.one_of(add, traffic, traffic, commit_one), min_size=20, max_size=60))
def test_frames_acknowledged_out_of_order_and_then_cut_cost_nothing(script) -> None:
    world = played(script)
    check(world)
    assert all(ticket.error is None for _, ticket in world.tickets)


def check(world: World) -> None:
    """What was appended is there once, in order, and where its caller was told; nobody waits for good."""
    for index, held in enumerate(world.coordinator.partitions):
        assert len(set(held.ids)) == len(held.ids), "appended twice"
        order = [i for p, ticket in world.tickets if p == index for i in ticket.ids]
        appended = set(held.ids)
        assert held.ids == [i for i in order if i in appended], "overtaken"
    for index, ticket in world.tickets:
        log = world.coordinator.partitions[index].ids
        for message_id, (partition, offset) in ticket.offsets.items():
            assert (partition, log[offset]) == (index, message_id), "told a wrong position"
        if ticket.error is None:
            assert set(ticket.offsets) == set(ticket.ids), "neither appended nor refused"


@given(steps)
def test_a_refusal_for_a_reason_to_retry_never_reaches_the_caller_while_tries_are_left(
    script,
) -> None:
    kept = [step for step in script if step[0] not in ("message", "batch", "abandon")]
    world = played(kept)
    if world.coordinator.retryable_refusals < SETTINGS.tries_max:
        assert all(ticket.error is None for _, ticket in world.tickets)


@given(steps)
def test_the_buffer_is_empty_once_every_fate_is_known(script) -> None:
    world = played(script)
    buffer = world.batcher.buffer
    assert (buffer.messages, buffer.size_bytes) == (0, 0)
    assert buffer.resolved_through(buffer.mark())
