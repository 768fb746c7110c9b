"""bellwire.coordinator.core.partition: retention, and cursors that hold or lose the oldest."""

from __future__ import annotations

import pytest
from tests.unit.coordinator.core.stage import TOPIC, Stage, all_offsets, append, offsets

from bellwire.bus.v1.message_pb2 import Batch
from bellwire.bus.v1.subscriber_pb2 import (
    OVERFLOW_POLICY_BLOCK,
    OVERFLOW_POLICY_DISCONNECT,
    OVERFLOW_POLICY_DROP_OLDEST,
)
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import SequenceGapError
from bellwire.wire.message import new_message


def batch_of(count: int, sequence: int) -> Batch:
    messages = [new_message(data=b"x") for _ in range(count)]
    return encode_batch("bars.1h", 0, messages, producer_id=7, base_sequence=sequence)


def test_offsets_count_messages_not_batches():
    stage = Stage()
    assert [stage.publish(count).base_offset for count in (3, 1, 4)] == [0, 3, 4]
    assert stage.topic.partitions[0].log.end_offset == 8


def test_retention_by_messages_evicts_whole_entries_from_the_old_end():
    stage = Stage(retention_messages=10)
    for _ in range(5):
        stage.publish(4)
    log = stage.topic.partitions[0].log
    assert (log.low_offset, log.end_offset, len(log)) == (8, 20, 3)


def test_retention_by_bytes_evicts_too():
    stage = Stage(retention_bytes=1_000)
    sizes = [stage.publish(1, data=bytes(range(256))).stored_bytes for _ in range(10)]
    log = stage.topic.partitions[0].log
    assert log.stored_bytes == sum(sizes[-len(log) :])
    assert log.stored_bytes < 1_000 + sizes[0]
    assert len(log) < 10


def test_one_entry_larger_than_all_retention_is_kept():
    stage = Stage(retention_messages=2)
    stage.publish(50)
    assert len(stage.topic.partitions[0].log) == 1
    stage.publish(50)
    assert stage.topic.partitions[0].make_room()
    assert stage.topic.partitions[0].log.low_offset == 50


def test_a_blocking_cursor_keeps_what_it_has_not_been_handed():
    stage = Stage(retention_messages=4)
    member = stage.join(stage.subscribe(), messages=2)
    for _ in range(2):
        stage.publish(2)
    partition = stage.topic.partitions[0]
    assert not partition.make_room()
    assert partition.blocking_subscriptions() == ["risk"]
    assert offsets(stage.take(member)) == [0, 1]
    assert partition.make_room()
    assert partition.log.low_offset == 2


def test_room_is_announced_as_soon_as_a_blocking_cursor_moves():
    stage = Stage()
    member = stage.join(stage.subscribe())
    stage.publish(2)
    stage.rooms.clear()
    stage.take(member)
    assert stage.rooms == [stage.topic.partitions[0]]


def test_in_flight_messages_survive_their_eviction():
    stage = Stage(retention_messages=2)
    member = stage.join(stage.subscribe(), messages=2)
    stage.publish(2)
    handout = stage.take(member)
    assert handout is not None
    stage.publish(2)
    assert stage.topic.partitions[0].make_room()
    assert stage.topic.partitions[0].log.low_offset == 2
    stage.release(member, handout)
    again = stage.take(member)
    assert again is not None
    assert offsets(again) == [0, 1]
    assert [m.data for m in again.entry.messages()] == [b"0", b"1"]


def test_a_dropping_cursor_steps_over_the_gap_and_the_next_delivery_says_how_many():
    stage = Stage(retention_messages=4)
    subscription = stage.subscribe("", overflow=OVERFLOW_POLICY_DROP_OLDEST)
    member = stage.join(subscription)
    for _ in range(5):
        stage.publish(2)
    handouts = stage.take_all(member)
    assert all_offsets(handouts) == [6, 7, 8, 9]
    assert [handout.dropped for handout in handouts] == [6, 0]
    assert subscription.dropped == {(TOPIC, "overflow"): 6}
    assert stage.topic.stats.dropped == {"overflow": 6}


def test_only_the_unread_part_of_an_evicted_entry_counts_as_dropped():
    stage = Stage(retention_messages=4)
    member = stage.join(stage.subscribe("", overflow=OVERFLOW_POLICY_DROP_OLDEST), messages=3)
    stage.publish(4)
    assert offsets(stage.take(member)) == [0, 1, 2]
    stage.publish(4)
    stage.publish(4)
    assert stage.topic.stats.dropped == {"overflow": 1}


def test_a_fast_reader_loses_nothing_beside_a_slow_one():
    stage = Stage(retention_messages=4)
    slow = stage.join(stage.subscribe("", overflow=OVERFLOW_POLICY_DROP_OLDEST), messages=1)
    fast = stage.join(stage.subscribe("", overflow=OVERFLOW_POLICY_DROP_OLDEST))
    stage.take(slow)
    read = []
    for _ in range(10):
        stage.publish(2)
        read += all_offsets(stage.take_all(fast))
    assert read == list(range(20))


def test_policy_disconnect_marks_the_member_that_fell_behind():
    stage = Stage(retention_messages=4)
    subscription = stage.subscribe("live", overflow=OVERFLOW_POLICY_DISCONNECT)
    member = stage.join(subscription, messages=1)
    for _ in range(4):
        stage.publish(2)
    assert member.overflowed
    subscription.leave(member)
    later = stage.join(subscription)
    assert not later.overflowed, "who joins afterwards has not fallen behind"
    assert all_offsets(stage.take_all(later)) == [4, 5, 6, 7]


def test_policy_block_of_one_subscription_protects_a_dropping_one_from_nothing():
    stage = Stage(retention_messages=2)
    stage.subscribe("blocks", overflow=OVERFLOW_POLICY_BLOCK)
    stage.subscribe("drops", overflow=OVERFLOW_POLICY_DROP_OLDEST)
    stage.publish(2)
    stage.publish(2)
    partition = stage.topic.partitions[0]
    assert not partition.make_room()
    assert partition.blocking_subscriptions() == ["blocks"]


def test_a_duplicate_is_known_by_its_first_offset_even_after_eviction():
    stage = Stage(retention_messages=2)
    partition = stage.topic.partitions[0]
    partition.append(batch_of(2, 0), 0)
    append(partition, 2)
    assert partition.make_room()
    assert partition.log.low_offset == 2
    assert partition.duplicate_of(batch_of(2, 0)) == 0


def test_a_gap_in_the_producer_sequence_is_refused():
    partition = Stage().topic.partitions[0]
    partition.append(batch_of(2, 0), 0)
    with pytest.raises(SequenceGapError):
        partition.duplicate_of(batch_of(2, 4))


def test_a_batch_without_a_producer_is_never_a_duplicate():
    partition = Stage().topic.partitions[0]
    batch = encode_batch("bars.1h", 0, [new_message(data=b"x")])
    partition.append(batch, 0)
    assert partition.duplicate_of(batch) is None
