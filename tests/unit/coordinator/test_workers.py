"""bellwire.coordinator.workers: batches that find no room wait in order, for a bounded time."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.coordinator.core.stage import Stage, offsets

from bellwire.bus.v1.message_pb2 import Batch
from bellwire.coordinator.core.bus import Bus
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.topic import TopicSettings
from bellwire.coordinator.workers import Worker, Workers
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import CapacityError, SequenceGapError, TopicFullError
from bellwire.wire.message import new_message

FOREVER = 30.0
AT_ONCE = 0.0


def batch(sequence: int = 0, producer: int = 0, count: int = 1) -> Batch:
    messages = [new_message(data=b"x") for _ in range(count)]
    return encode_batch("bars.1h", 0, messages, producer_id=producer, base_sequence=sequence)


class FullTopic:
    """A topic that keeps one message, read by one blocking subscriber."""

    def __init__(self, inbox_max: int = 10) -> None:
        self.worker = Worker(0, inbox_max, lambda: 0)
        self.stage = Stage(retention_messages=1)
        self.stage.bus = Bus(
            TopicSettings(1, 1, 1 << 20),
            auto_create=True,
            topics_max=9,
            subscriptions_max=9,
            on_room=self.worker.on_room,
        )
        self.stage.topic = self.stage.bus.topic("bars.1h", 0)
        self.partition: Partition = self.stage.topic.partitions[0]
        self.member: Member = self.stage.join(self.stage.subscribe())
        for _ in range(2):
            if self.worker.append_now(self.partition, batch(), ()) is None:
                break
        self.filled = self.partition.log.next_offset

    def wait(self, what: Batch | None = None, timeout: float = FOREVER):
        return self.worker.wait(self.partition, what or batch(), (), timeout)

    def read_one(self) -> list[int]:
        handout = self.stage.take(self.member)
        return offsets(handout)


async def test_while_there_is_room_a_batch_is_appended_at_once():
    worker = Worker(0, 10, lambda: 42)
    partition = Stage().topic.partitions[0]
    done = worker.append_now(partition, batch(count=3), ())
    assert done is not None
    assert (done.first_offset, done.last_offset, done.duplicate) == (0, 2, False)
    entry = partition.log.read(0)
    assert entry is not None
    assert entry.admitted_ns == 42


async def test_a_batch_waits_for_room_and_is_appended_when_the_subscriber_moves():
    full = FullTopic()
    waiting = full.wait()
    assert full.worker.inbox_size == 1
    full.read_one()
    async with asyncio.timeout(5):
        assert (await waiting).first_offset == full.filled
    assert full.worker.inbox_size == 0


async def test_those_who_wait_keep_their_order_and_nobody_overtakes():
    full = FullTopic()
    waiting = [full.wait() for _ in range(3)]
    assert full.worker.append_now(full.partition, batch(), ()) is None
    for _ in range(4):
        full.read_one()
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        places = [(await future).first_offset for future in waiting]
    assert places == [full.filled, full.filled + 1, full.filled + 2]


async def test_a_batch_that_waits_too_long_is_told_who_blocks_the_topic():
    full = FullTopic()
    with pytest.raises(TopicFullError, match=r"subscription risk .policy BLOCK") as caught:
        await full.wait(timeout=AT_ONCE)
    assert caught.value.metadata == {"topic": "bars.1h", "subscriptions": "risk"}
    assert caught.value.retry_delay_seconds
    assert full.worker.inbox_size == 0


async def test_one_that_gave_up_does_not_hold_the_next():
    full = FullTopic()
    first = full.wait()
    hasty = full.wait(timeout=AT_ONCE)
    last = full.wait()
    with pytest.raises(TopicFullError):
        await hasty
    for _ in range(3):
        full.read_one()
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert [(await future).first_offset for future in (first, last)] == [
            full.filled,
            full.filled + 1,
        ]


async def test_a_cancelled_batch_is_never_appended():
    full = FullTopic()
    gone, stays = full.wait(), full.wait()
    gone.cancel()
    full.read_one()
    async with asyncio.timeout(5):
        assert (await stays).first_offset == full.filled
    assert full.partition.log.next_offset == full.filled + 1


async def test_the_inbox_is_bounded_and_says_so():
    full = FullTopic(inbox_max=2)
    waiting = [full.wait(), full.wait()]
    with pytest.raises(CapacityError, match=r"2 batches wait in worker 0.*limit is 2") as caught:
        full.wait()
    assert caught.value.retryable
    assert caught.value.retry_delay_seconds
    for future in waiting:
        future.cancel()


async def test_a_duplicate_and_a_gap_are_found_when_their_turn_comes():
    full = FullTopic()
    first = full.wait(batch(0, producer=7))
    again = full.wait(batch(0, producer=7))
    gap = full.wait(batch(5, producer=7))
    for _ in range(3):
        full.read_one()
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert (await first).first_offset == full.filled
        duplicate = await again
        with pytest.raises(SequenceGapError):
            await gap
    assert (duplicate.first_offset, duplicate.duplicate) == (full.filled, True)


async def test_append_is_now_or_later():
    full = FullTopic()
    waiting = asyncio.create_task(full.worker.append(full.partition, batch(), (), FOREVER))
    await asyncio.sleep(0)
    assert not waiting.done()
    full.read_one()
    async with asyncio.timeout(5):
        assert (await waiting).first_offset == full.filled


def test_a_partition_always_has_the_same_owner_and_owners_share_the_work():
    workers = Workers(16, 10, lambda: 0)
    partitions = Stage(partitions=256).topic.partitions
    owners = {partition.index: workers.owner(partition).index for partition in partitions}
    assert owners == {p.index: workers.owner(p).index for p in partitions}
    assert len(set(owners.values())) == len(workers) == 16
