"""An engine made from what another one committed goes on where that one was."""

from __future__ import annotations

from random import Random

import pytest
from tests.unit.coordinator.core.stage import TOPIC, Shared, Stage, all_offsets, offsets

from bellwire.bus.v1.subscriber_pb2 import (
    OVERFLOW_POLICY_BLOCK,
    START_POLICY_EARLIEST,
    StartPosition,
)
from bellwire.coordinator.core.engine import Engine
from bellwire.coordinator.log.durable import DurableLog
from bellwire.coordinator.log.records import (
    CursorRecord,
    EntryRecord,
    EvictedRecord,
    ProducerNameRecord,
    ProducerRecord,
    Record,
    SegmentRecord,
    Snapshot,
    SubscriptionRecord,
    TopicRecord,
)
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import DataCorruptError, ProducerFencedError, SequenceGapError
from bellwire.wire.message import new_message


def snapshot(records: list[Record]) -> Snapshot:
    """What a store would give back: the latest of each kind and key."""

    def latest(kind: type, *fields: str) -> list:  # type: ignore[type-arg]
        found = {tuple(getattr(r, f) for f in fields): r for r in records if isinstance(r, kind)}
        return list(found.values())

    return Snapshot(
        topics=latest(TopicRecord, "name"),
        segments=sorted(
            latest(SegmentRecord, "log_id", "base_offset"), key=lambda s: s.base_offset
        ),
        producers=latest(ProducerRecord, "log_id", "producer_id"),
        producer_names=latest(ProducerNameRecord, "name"),
        subscriptions=latest(SubscriptionRecord, "name"),
        cursors=latest(CursorRecord, "subscription", "log_id"),
    )


def restarted(stage: Stage, records: list[Record]) -> Stage:
    """The same coordinator after a crash."""
    again = Stage(durable=True)
    again.engine = Engine(
        stage.engine.settings,
        snapshot(records),
        has_store=True,
        clock_ns=lambda: 0,
        random=Random(8),
    )
    again.bus = again.engine.bus
    again.topic = again.bus.topics["bars.1h"]
    return again


def load(stage: Stage, records: list[Record]) -> int:
    """Serve what the engine wants to have loaded; return how often it asked."""
    asked = 0
    wanted = stage.engine.logs.wanted
    while wanted:
        log, offset = wanted.popleft()
        entries = [r.entry for r in records if isinstance(r, EntryRecord)]
        stage.engine.loaded(log, offset, [e for e in entries if e.next_offset > offset][:2])
        asked += 1
    return asked


def test_what_was_not_settled_is_delivered_again_and_what_was_is_not():
    stage = Stage(durable=True)
    member = stage.join(stage.subscribe())
    stage.publish(3)
    stage.publish(3)
    records = stage.commit()
    stage.take_all(member)
    stage.settle(member, 2, 4)
    records += stage.commit()
    after = restarted(stage, records)
    again = after.join(after.bus.named["risk"])
    assert after.take(again) is None
    assert load(after, records) == 1
    handouts = after.take_all(again)
    assert [(offsets(h), h.attempt) for h in handouts] == [([0], 1), ([4, 5], 1)]


def test_the_log_goes_on_and_producers_are_known():
    stage = Stage(durable=True)
    first = encode_batch("bars.1h", 0, [new_message(data=b"x")] * 2, producer_id=7)
    stage.topic.partitions[0].append(first, 1)
    records = stage.commit()
    after = restarted(stage, records)
    partition = after.topic.partitions[0]
    assert partition.duplicate_of(first) == 0
    gap = encode_batch("bars.1h", 0, [new_message(data=b"x")], producer_id=7, base_sequence=3)
    with pytest.raises(SequenceGapError):
        partition.duplicate_of(gap)
    stranger = encode_batch("bars.1h", 0, [new_message(data=b"x")], producer_id=9, base_sequence=3)
    with pytest.raises(SequenceGapError):
        partition.duplicate_of(stranger)
    assert partition.append(first, 1).base_offset == 2


def test_a_named_producer_keeps_its_id_and_fences_the_one_before():
    stage = Stage(durable=True)
    one = stage.engine.producer_names.open("execution/paper-0")
    records = stage.commit()
    after = restarted(stage, records)
    two = after.engine.producer_names.open("execution/paper-0")
    assert (two.producer_id, two.epoch) == (one.producer_id, one.epoch + 1)
    with pytest.raises(ProducerFencedError, match="another instance"):
        after.bus.producer_ids.check_epoch(one.producer_id, one.epoch)
    after.bus.producer_ids.check_epoch(two.producer_id, two.epoch)


def test_an_entry_the_store_has_lost_is_an_error_for_its_readers_not_a_silent_gap():
    stage = Stage(durable=True)
    stage.subscribe()
    stage.publish(2)
    records = stage.commit()
    after = restarted(stage, records)
    member = after.join(after.bus.named["risk"])
    assert after.take(member) is None
    log, offset = after.engine.logs.wanted.popleft()
    after.engine.loaded(log, offset, [])
    assert after.take(member) is None
    assert isinstance(member.failed, DataCorruptError)


def test_publishers_wait_for_what_a_blocking_subscription_has_not_settled_on_disk():
    stage = Stage(durable=True, retention_messages=8)
    member = stage.join(stage.subscribe(overflow=OVERFLOW_POLICY_BLOCK))
    partition = stage.topic.partitions[0]
    stage.commit()
    for _ in range(8):
        stage.publish(1)
    stage.commit()
    assert not partition.make_room()
    handouts = stage.take_all(member)
    assert not partition.make_room(), "handed out is not settled"
    stage.accept(member, handouts[0])
    assert not partition.make_room(), "settled is not on disk"
    stage.commit()
    assert partition.make_room()
    evicted = [r for r in stage.commit() if isinstance(r, EvictedRecord)]
    assert [r.low_offset for r in evicted] == [1]


def test_only_what_is_cached_stays_in_memory():
    stage = Stage(durable=True)
    log = stage.topic.partitions[0].log
    assert isinstance(log, DurableLog)
    log._cached._cache._bytes_max = 3_000
    noise = Random(1).randbytes(1_000)
    for _ in range(10):
        stage.publish(1, data=noise)
    records = stage.commit()
    member = stage.join(stage.subscribe())
    seen: list[int] = []
    for _ in range(30):
        handouts = stage.take_all(member)
        seen += all_offsets(handouts)
        load(stage, records[:])
        for handout in handouts:
            stage.accept(member, handout)
        if len(seen) == 10:
            break
    assert seen == list(range(10))
    assert log._cached._cache.size_bytes <= 3_000


def test_retention_by_time_empties_a_quiet_topic_and_its_offsets_go_on():
    stage = Stage(durable=True, retention_seconds=8)
    partition = stage.topic.partitions[0]
    second = 1_000_000_000
    for at in range(4):
        stage.now_ns = at * second
        batch = encode_batch("bars.1h", 0, [new_message(data=b"x")])
        partition.append(batch, stage.now_ns)
    records = stage.commit()
    partition.expire(10 * second)
    assert (partition.log.low_offset, len(partition.log)) == (2, 1)
    partition.expire(20 * second)
    assert (partition.log.low_offset, partition.log.end_offset, partition.log.stored_bytes) == (
        4,
        4,
        0,
    )
    gone = stage.commit()
    assert [r.low_offset for r in gone if isinstance(r, EvictedRecord)] == [4]
    kept = [r for r in records if not isinstance(r, SegmentRecord)]
    after = restarted(stage, kept + [r for r in gone if isinstance(r, SegmentRecord)])
    assert after.topic.partitions[0].append(batch, 0).base_offset == 4


def test_what_a_seek_moved_back_to_is_kept_though_the_store_has_not_heard_of_it():
    stage = Stage(durable=True, retention_messages=8)
    member = stage.join(stage.subscribe(overflow=OVERFLOW_POLICY_BLOCK))
    stage.commit()
    for _ in range(8):
        stage.publish(1)
    stage.commit()
    for handout in stage.take_all(member):
        stage.accept(member, handout)
    stage.commit()
    stage.bus.seek("risk", StartPosition(policy=START_POLICY_EARLIEST))
    assert not stage.topic.partitions[0].make_room()
    assert all_offsets(stage.take_all(member)) == list(range(8))


@pytest.mark.parametrize("topics", [[TOPIC], [">"]], ids=["by-name", "by-pattern"])
def test_a_name_does_not_read_what_is_left_of_a_topic_that_it_was_only_bound_to(topics):
    stage = Stage(durable=True)
    others = "orders.new"
    stage.publish(3, topic=stage.bus.create_topic(others, stage.bus.default_settings, 0))
    stage.engine.share(Shared(others))
    stage.subscribe("s", topics=topics, elsewhere=[others])
    after = restarted(stage, stage.commit())
    after.commit()  # What is committed before the groups are known must say nothing of it.
    after.engine.share(Shared(others))
    name = after.bus.named["s"]
    assert [cursor.partition.topic.name for cursor in name.cursors] == [TOPIC]
    assert all(
        len(topic.partitions[0].cursors) == (topic.name == TOPIC)
        for topic in after.bus.topics.values()
    )
    assert after.subscribe("s", topics=[]) is name
    after.engine.share(Shared())
    assert [cursor.partition.topic.name for cursor in name.cursors] == [TOPIC, others]


def test_a_name_still_reads_what_is_left_of_a_topic_that_it_read():
    stage = Stage(durable=True)
    others = "orders.new"
    stage.publish(3, topic=stage.bus.create_topic(others, stage.bus.default_settings, 0))
    stage.subscribe("s", topics=[TOPIC, others])
    stage.engine.share(Shared(others))
    after = restarted(stage, stage.commit())
    after.engine.share(Shared(others))
    cursors = after.bus.named["s"].cursors
    assert [cursor.partition.topic.name for cursor in cursors] == [TOPIC, others]


def test_a_topic_without_a_cursor_is_read_from_its_beginning_and_recorded_once_it_is_ours():
    stage = Stage(durable=True)
    stage.subscribe("s")
    stage.publish(3)
    records: list[Record] = [r for r in stage.commit() if not isinstance(r, CursorRecord)]
    after = restarted(stage, records)
    assert [cursor.next_offset for cursor in after.bus.named["s"].cursors] == [0]
    assert after.commit() == []
    after.engine.share(Shared())
    assert [(r.subscription, r.next_offset) for r in after.commit()] == [("s", 0)]  # type: ignore[union-attr]
