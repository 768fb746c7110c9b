"""bellwire.coordinator.core.worker: batches that find no room wait in order, for a bounded time."""

from __future__ import annotations

import pytest
from tests.unit.coordinator.core.stage import Stage, offsets

from bellwire.bus.v1.message_pb2 import Batch, PositionRange
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.worker import Worker, Workers
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import (
    BellwireError,
    CapacityError,
    SequenceGapError,
    StoreBusyError,
    TopicFullError,
    UnknownTopicError,
)
from bellwire.wire.message import new_message

NEVER = 1_000.0


def batch(sequence: int = 0, producer: int = 0, count: int = 1) -> Batch:
    messages = [new_message(data=b"x") for _ in range(count)]
    return encode_batch("bars.1h", 0, messages, producer_id=producer, base_sequence=sequence)


class FullTopic:
    """A topic that keeps one message, read by one blocking subscriber."""

    def __init__(self, inbox_max: int = 10) -> None:
        self.stage = Stage(retention_messages=1)
        self.workers = Workers(1, inbox_max, lambda: 0)
        self.stage.bus._on_room = self.workers.on_room
        self.stage.topic = self.stage.bus.create_topic("full", self.stage.bus.default_settings, 0)
        self.partition: Partition = self.stage.topic.partitions[0]
        self.worker: Worker = self.workers.owner(self.partition)
        self.member: Member = self.stage.join(self.stage.subscribe(topics=["full"]))
        while self.worker.append_now(self.partition, batch(), ()) is not None:
            pass
        self.filled = self.partition.log.end_offset
        self.told: list[PositionRange | BellwireError | None] = []

    def wait(self, what: Batch | None = None, deadline: float = NEVER):
        def done(position: PositionRange | None, error: BellwireError | None) -> None:
            self.told.append(position or error)

        return self.worker.wait(self.partition, what or batch(), (), deadline, done)

    def read_one(self) -> None:
        assert offsets(self.stage.take(self.member))
        self.workers.pump()

    def places(self) -> list[int]:
        return [told.first_offset for told in self.told if isinstance(told, PositionRange)]


def test_while_there_is_room_a_batch_is_appended_at_once():
    worker = Worker(0, 10, lambda: 42)
    partition = Stage().topic.partitions[0]
    done = worker.append_now(partition, batch(count=3), ())
    assert done is not None
    assert (done.first_offset, done.last_offset, done.duplicate) == (0, 2, False)
    entry = partition.log.read(0)
    assert entry is not None
    assert entry.admitted_ns == 42


def test_a_clock_that_jumps_back_stands_still_in_the_log():
    times = iter([100, 40, 101])
    worker = Worker(0, 10, lambda: next(times))
    partition = Stage().topic.partitions[0]
    for _ in range(3):
        worker.append_now(partition, batch(), ())
    entries = [partition.log.read(offset) for offset in range(3)]
    assert [entry and entry.admitted_ns for entry in entries] == [100, 100, 101]


def test_a_batch_waits_for_room_and_is_appended_when_the_subscriber_moves():
    full = FullTopic()
    full.wait()
    assert full.workers.batches_waiting == 1
    full.read_one()
    assert full.places() == [full.filled]
    assert full.workers.batches_waiting == 0


def test_those_who_wait_keep_their_order_and_nobody_overtakes():
    full = FullTopic()
    for _ in range(3):
        full.wait()
    assert full.worker.append_now(full.partition, batch(), ()) is None
    for _ in range(3):
        full.read_one()
    assert full.places() == [full.filled, full.filled + 1, full.filled + 2]


def test_a_batch_that_waits_too_long_is_told_who_blocks_the_topic():
    full = FullTopic()
    full.wait(deadline=5.0)
    full.workers.expire(4.9)
    assert full.told == []
    full.workers.expire(5.0)
    [error] = full.told
    assert isinstance(error, TopicFullError)
    assert "subscription risk (policy BLOCK)" in error.message
    assert error.metadata == {"topic": "full", "subscriptions": "risk"}
    assert error.retry_delay_seconds
    assert full.workers.batches_waiting == 0


def test_a_batch_that_waited_for_the_disk_is_told_so():
    stage = Stage(durable=True)
    stage.commit()
    stage.engine.journal._bytes_max = 1
    partition = stage.topic.partitions[0]
    worker = Worker(0, 10, lambda: 0)
    stage.publish(1)
    told: list[object] = []
    assert worker.append_now(partition, batch(), ()) is None
    worker.wait(partition, batch(), (), 5.0, lambda _, error: told.append(error))
    worker.expire(5.0)
    assert isinstance(told[0], StoreBusyError)


def test_one_that_gave_up_does_not_hold_the_next():
    full = FullTopic()
    full.wait()
    full.wait(deadline=1.0)
    full.wait()
    full.workers.expire(1.0)
    for _ in range(2):
        full.read_one()
    assert full.places() == [full.filled, full.filled + 1]


def test_a_cancelled_batch_is_never_appended():
    full = FullTopic()
    gone = full.wait()
    full.wait()
    gone.cancel()
    full.read_one()
    assert full.places() == [full.filled]
    assert full.partition.log.end_offset == full.filled + 1


def test_what_waits_in_a_deleted_topic_is_told():
    full = FullTopic()
    full.wait()
    full.worker.refuse(full.partition, UnknownTopicError("gone"))
    assert [type(told) for told in full.told] == [UnknownTopicError]
    assert full.workers.batches_waiting == 0


def test_a_refusal_while_waiting_reaches_only_its_own_publisher():
    full = FullTopic()
    full.wait(batch(sequence=5, producer=9))
    full.partition._producers.record(9, 0, 0, 1, 0, 1 << 40)
    full.wait()
    full.read_one()
    assert isinstance(full.told[0], SequenceGapError)
    assert full.places() == [full.filled]


def test_the_inbox_is_bounded_and_says_so():
    full = FullTopic(inbox_max=2)
    full.wait()
    full.wait()
    with pytest.raises(CapacityError, match="2 batches wait in worker 0"):
        full.wait()
    assert full.workers.batches_waiting == 2


def test_every_partition_has_one_owner_whatever_the_number_of_workers():
    stage = Stage(partitions=50)
    workers = Workers(16, 10, lambda: 0)
    owners = {workers.owner(partition).index for partition in stage.topic.partitions}
    assert owners <= set(range(16))
    assert len(owners) > 8
    again = [workers.owner(partition) for partition in stage.topic.partitions]
    assert again == [workers.owner(partition) for partition in stage.topic.partitions]
