"""Freshness in a subscription: delayed, superseded and urgent messages."""

from __future__ import annotations

import pytest
from tests.unit.coordinator.core.stage import TOPIC, Stage, all_offsets, append, offsets

from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_NONE,
    ORDERING_PARTITION,
    OVERFLOW_POLICY_CONFLATE,
)
from bellwire.coordinator.core.cursor import DROPS_MAX
from bellwire.coordinator.core.freshness import SCAN_ENTRIES_MAX
from bellwire.coordinator.core.topic import PriorityClass, TopicSettings
from bellwire.wire.batch import encode_batch
from bellwire.wire.message import new_message

SECOND_NS = 1_000_000_000


def publish(stage: Stage, *, delays: list[int] | None = None, keys: str = "") -> None:
    """One message per delay (nanoseconds from now) or per key."""
    count = len(delays) if delays is not None else len(keys)
    messages = [
        new_message(
            data=b"x",
            key=keys[index] if keys else "",
            not_before_time_unix_nano=stage.now_ns + delays[index]
            if delays and delays[index]
            else 0,
        )
        for index in range(count)
    ]
    stage.topic.partitions[0].append(encode_batch(TOPIC, 0, messages), stage.now_ns)


def test_a_delayed_message_holds_its_partition_back_where_order_is_kept():
    stage = Stage()
    stage.now_ns = 100 * SECOND_NS
    member = stage.join(stage.subscribe())
    publish(stage, delays=[0, 5 * SECOND_NS, 0])
    assert all_offsets(stage.take_all(member)) == [0]
    assert member.retry_at == stage.now + 5
    stage.now += 5
    stage.now_ns += 5 * SECOND_NS
    assert all_offsets(stage.take_all(member)) == [1, 2]


def test_others_overtake_a_delayed_message_where_no_order_is_kept():
    stage = Stage()
    stage.now_ns = 100 * SECOND_NS
    member = stage.join(stage.subscribe(ordering=ORDERING_NONE))
    publish(stage, delays=[3 * SECOND_NS, 0, 5 * SECOND_NS, 0])
    publish(stage, delays=[0])
    assert all_offsets(stage.take_all(member)) == [1, 3, 4]
    assert member.retry_at == stage.now + 3
    stage.now += 3
    stage.now_ns += 3 * SECOND_NS
    handouts = stage.take_all(member)
    assert [(offsets(h), h.attempt) for h in handouts] == [([0], 0)]
    stage.now += 2
    stage.now_ns += 2 * SECOND_NS
    assert all_offsets(stage.take_all(member)) == [2]


def test_of_what_waits_only_the_latest_of_each_key_is_delivered():
    stage = Stage()
    member = stage.join(stage.subscribe(overflow=OVERFLOW_POLICY_CONFLATE))
    publish(stage, keys="aba")
    publish(stage, keys="cb")
    assert all_offsets(stage.take_all(member)) == [2, 3, 4]
    assert stage.topic.stats.dropped == {"conflated": 2}
    assert member.subscription.dropped == {(TOPIC, "conflated"): 2}


def test_a_reader_that_keeps_up_gets_every_message():
    stage = Stage()
    member = stage.join(stage.subscribe(overflow=OVERFLOW_POLICY_CONFLATE))
    for _ in range(3):
        publish(stage, keys="a")
        assert len(stage.take_all(member)) == 1
    assert stage.topic.stats.dropped == {}


def test_messages_without_a_key_are_not_conflated():
    stage = Stage()
    member = stage.join(stage.subscribe(overflow=OVERFLOW_POLICY_CONFLATE))
    publish(stage, delays=[0, 0])
    assert all_offsets(stage.take_all(member)) == [0, 1]


def test_a_superseded_message_is_not_delivered_again():
    stage = Stage()
    member = stage.join(stage.subscribe(overflow=OVERFLOW_POLICY_CONFLATE))
    publish(stage, keys="a")
    handout = stage.take(member)
    assert handout is not None
    publish(stage, keys="a")
    stage.release(member, handout)
    assert all_offsets(stage.take_all(member)) == [1]


def test_a_stale_message_is_not_delivered_after_a_fresh_one_of_its_key():
    stage = Stage()
    stage.now_ns = 100 * SECOND_NS
    subscription = stage.subscribe(overflow=OVERFLOW_POLICY_CONFLATE, ordering=ORDERING_NONE)
    member = stage.join(subscription)
    publish(stage, keys="k")
    stale = stage.take(member)
    publish(stage, keys="k")
    assert all_offsets(stage.take_all(member)) == [1]
    assert stale is not None
    stage.release(member, stale)
    assert stage.take(member) is None


def test_a_fresh_message_that_was_evicted_does_not_take_the_stale_one_with_it():
    stage = Stage(retention_messages=2)
    member = stage.join(stage.subscribe(overflow=OVERFLOW_POLICY_CONFLATE))
    publish(stage, keys="k")
    held = stage.take(member)
    member.paused = True
    publish(stage, keys="k")
    member.paused = False
    assert held is not None
    stage.release(member, held, delay_millis=1_000)
    assert stage.take(member) is None
    for _ in range(3):
        stage.publish(1)
    stage.now += 1
    assert all_offsets(stage.take_all(member)) == [0, 3, 4]


def test_a_long_backlog_is_looked_through_in_steps():
    stage = Stage()
    for _ in range(2 * SCAN_ENTRIES_MAX + 1):
        publish(stage, keys="a")
    member = stage.join(stage.subscribe(overflow=OVERFLOW_POLICY_CONFLATE))
    for _ in range(2):
        assert stage.take(member) is None
        assert member.retry_at == stage.now
    handout = stage.take(member)
    assert handout is not None
    assert handout.entry.base_offset == 2 * SCAN_ENTRIES_MAX
    assert stage.topic.stats.dropped == {"conflated": 2 * SCAN_ENTRIES_MAX}


def test_a_long_backlog_of_expired_messages_is_dropped_in_steps():
    stage = Stage()
    stage.now_ns = 100 * SECOND_NS
    for _ in range(2 * DROPS_MAX + 1):
        append(stage.topic.partitions[0], 2, expiries=[stage.now_ns - 1, stage.now_ns + SECOND_NS])
    member = stage.join(stage.subscribe())
    stage.now_ns += 2 * SECOND_NS
    for step in (1, 2):
        assert stage.take(member) is None
        assert member.retry_at == stage.now
        assert stage.topic.stats.dropped == {"expired": 2 * DROPS_MAX * step}
    assert stage.take(member) is None
    assert member.retry_at is None
    assert stage.topic.stats.dropped == {"expired": 2 * (2 * DROPS_MAX + 1)}


@pytest.mark.parametrize("ordering", [ORDERING_PARTITION, ORDERING_NONE])
def test_urgent_topics_go_first_whenever_they_came(ordering):
    stage = Stage()
    ranks = [PriorityClass.TELEMETRY, PriorityClass.ORDER, PriorityClass.KILL_SWITCH]
    topics = [
        stage.bus.create_topic(
            f"t.{rank.name}", TopicSettings(1, 100, 1 << 20, priority_class=rank), 0
        )
        for rank in ranks
    ]
    member = stage.join(stage.subscribe(topics=["t.>"], ordering=ordering))
    for topic in topics:
        stage.publish(1, topic=topic)
        stage.publish(1, topic=topic)
    names = [handout.cursor.partition.topic.name for handout in stage.take_all(member)]
    assert names == [f"t.{rank.name}" for rank in reversed(ranks) for _ in range(2)]
