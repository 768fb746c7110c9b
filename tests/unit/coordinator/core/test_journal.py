"""bellwire.coordinator.core.journal: what is staged becomes durable in groups, or is taken back whole."""

from __future__ import annotations

import pytest
from tests.unit.coordinator.core.stage import Stage, all_offsets, offsets

from bellwire.coordinator.core.journal import LAZY_SECONDS
from bellwire.coordinator.log.records import (
    CursorRecord,
    EntryRecord,
    ProducerRecord,
    SegmentRecord,
    SubscriptionRecord,
    TopicRecord,
)
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import BellwireError, StoreFullError, StoreReadOnlyError
from bellwire.wire.message import new_message

FULL = StoreFullError("full")
BROKEN = StoreReadOnlyError("broken")


def durable() -> Stage:
    """A durable topic whose creation is committed."""
    stage = Stage(durable=True)
    stage.commit()
    return stage


def fates(stage: Stage) -> list[BellwireError | None]:
    """What becomes of everything staged so far."""
    told: list[BellwireError | None] = []
    ticket = stage.engine.journal.barrier()
    assert ticket is not None
    ticket.then(told.append)
    return told


def test_what_is_staged_is_not_delivered_before_it_is_committed():
    stage = durable()
    member = stage.join(stage.subscribe())
    stage.publish(3)
    log = stage.topic.partitions[0].log
    assert (log.end_offset, log.high_watermark) == (3, 0)
    assert stage.take(member) is None
    stage.commit()
    assert offsets(stage.take(member)) == [0, 1, 2]


def test_a_group_holds_entries_and_the_latest_of_all_else():
    stage = durable()
    stage.join(stage.subscribe())
    batch = encode_batch("bars.1h", 0, [new_message(data=b"x")], producer_id=7)
    stage.topic.partitions[0].append(batch, 5)
    stage.publish(2)
    kinds = [type(record) for record in stage.commit()]
    assert kinds[:3] == [SubscriptionRecord, EntryRecord, EntryRecord]
    assert set(kinds[3:]) == {CursorRecord, SegmentRecord, ProducerRecord}
    assert stage.commit() == []


def test_while_one_group_is_written_the_next_one_gathers():
    stage = durable()
    stage.publish(1)
    journal = stage.engine.journal
    first = journal.take()
    assert first is not None
    stage.publish(1)
    assert journal.take() is None
    journal.committed(first)
    assert stage.topic.partitions[0].log.high_watermark == 1
    second = journal.take()
    assert second is not None
    assert [r.entry.base_offset for r in second.records if isinstance(r, EntryRecord)] == [1]


def test_those_who_wait_are_told_when_their_group_is_durable():
    stage = durable()
    stage.publish(1)
    told = fates(stage)
    assert told == []
    stage.commit()
    assert told == [None]
    assert stage.engine.journal.barrier() is None


def test_a_failed_group_is_taken_back_with_all_that_was_staged_behind_it():
    stage = durable()
    stage.publish(2)
    stage.commit()
    stage.publish(2)
    group = stage.engine.journal.take()
    assert group is not None
    first, told = [], []
    group.ticket.then(first.append)
    stage.publish(2)
    told = fates(stage)
    stage.engine.journal.failed(group, FULL)
    assert (first, told) == ([FULL], [FULL])
    log = stage.topic.partitions[0].log
    assert (log.end_offset, log.high_watermark, log.stored_bytes) == (
        2,
        2,
        2 * 40 + log.stored_bytes - 80,
    )
    stage.publish(1)
    records = stage.commit()
    assert [r.entry.base_offset for r in records if isinstance(r, EntryRecord)] == [2]
    segments = [r for r in records if isinstance(r, SegmentRecord)]
    assert [(s.base_offset, s.next_offset, s.entries) for s in segments] == [(0, 3, 2)]


def test_after_a_failed_group_a_producer_may_send_the_same_again():
    stage = durable()
    partition = stage.topic.partitions[0]
    one = encode_batch("bars.1h", 0, [new_message(data=b"x")], producer_id=7)
    two = encode_batch("bars.1h", 0, [new_message(data=b"x")], producer_id=7, base_sequence=1)
    partition.append(one, 5)
    stage.commit()
    partition.append(two, 5)
    assert partition.duplicate_of(two) == 1
    stage.commit(FULL)
    assert partition.duplicate_of(two) is None
    assert partition.duplicate_of(one) == 0


def test_a_topic_whose_creation_failed_does_not_exist():
    stage = Stage(durable=True)
    assert [type(record) for record in stage.commit(FULL)] == [TopicRecord]
    assert "bars.1h" not in stage.bus.topics


def test_a_store_in_doubt_accepts_nothing_more_and_still_delivers():
    stage = durable()
    member = stage.join(stage.subscribe())
    stage.publish(1)
    stage.commit()
    stage.publish(1)
    stage.commit(BROKEN)
    with pytest.raises(StoreReadOnlyError):
        stage.publish(1)
    assert all_offsets(stage.take_all(member)) == [0]
    stage.settle(member, 1, 1)
    assert stage.engine.journal.due_at(1.0) is None


def test_cursors_alone_wait_a_little_and_travel_at_once_with_messages():
    stage = durable()
    member = stage.join(stage.subscribe())
    stage.publish(2)
    stage.commit()
    handout = stage.take(member)
    assert handout is not None
    stage.accept(member, handout)
    journal = stage.engine.journal
    assert journal.due_at(10.0) == 10.0 + LAZY_SECONDS
    assert journal.due_at(10.05) == 10.0 + LAZY_SECONDS
    stage.publish(1)
    assert journal.due_at(10.05) == 10.05
    cursors = [record for record in stage.commit() if isinstance(record, CursorRecord)]
    assert [(c.next_offset, c.open_runs) for c in cursors] == [(2, ())]


def test_a_cursor_whose_record_was_not_written_is_recorded_again():
    stage = durable()
    member = stage.join(stage.subscribe())
    stage.publish(2)
    stage.commit()
    handout = stage.take(member)
    assert handout is not None
    stage.accept(member, handout)
    stage.commit(FULL)
    cursors = [record for record in stage.commit() if isinstance(record, CursorRecord)]
    assert [c.next_offset for c in cursors] == [2]


def test_more_than_the_bound_finds_no_room_until_it_is_committed():
    stage = durable()
    stage.engine.journal._bytes_max = 100
    stage.publish(1, data=bytes(200))
    assert not stage.topic.partitions[0].make_room()
    roomy: list[bool] = []
    stage.engine.journal.on_room = lambda: roomy.append(True)
    stage.commit()
    assert roomy == [True]
    assert stage.topic.partitions[0].make_room()


def test_an_unsettled_message_is_in_the_record_with_its_attempt():
    stage = durable()
    member = stage.join(stage.subscribe())
    stage.publish(5)
    stage.commit()
    stage.take(member)
    stage.settle(member, 1, 2)
    stage.settle(member, 4, 4)
    cursors = [record for record in stage.commit() if isinstance(record, CursorRecord)]
    assert [(c.next_offset, c.open_runs) for c in cursors] == [(5, ((2, 3, 1, 0), (4, 5, 1, 0)))]
    assert cursors[0].floor == 2


def test_nothing_is_recorded_of_a_topic_after_its_deletion():
    stage = durable()
    stage.join(stage.subscribe(topics=["bars.>"]))
    stage.publish(1)
    stage.bus.delete_topic("bars.1h")
    kinds = [type(record).__name__ for record in stage.commit()]
    assert kinds == ["SubscriptionRecord", "EntryRecord", "TopicDeletedRecord"]
    assert stage.commit() == []
