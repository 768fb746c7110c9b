"""Durable topics: how far an acknowledgement reaches, and what a coordinator finds again in its folder."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from tests.integration.coordinator.frames import (
    TOPIC,
    PublishStream,
    Stubs,
    SubscribeStream,
    batch,
    dial,
    eventually,
    payloads,
    refusal,
    within,
)
from tests.integration.coordinator.guarantees import (
    BOTH_LOGS,
    LOG_NAMES,
    SECOND,
    Gate,
    letters,
    publish_at,
    publish_batch,
    publish_each,
    reject,
    served,
    subscription_stats,
)
from tests.integration.coordinator.processes import SERVER, running

from bellwire.admin.v1 import topic_pb2
from bellwire.admin.v1.topic_pb2 import LOG_KIND_MEMORY, LOG_KIND_SQLITE
from bellwire.bus.v1 import publisher_pb2
from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.publisher_pb2 import (
    ACK_LEVEL_NONE,
    ACK_LEVEL_PERSISTED,
    ACK_LEVEL_RECEIVED,
    ACK_LEVEL_REPLICATED,
    ACK_LEVEL_UNSPECIFIED,
)
from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_NONE,
    OVERFLOW_POLICY_DROP_OLDEST,
    START_POLICY_EARLIEST,
    START_POLICY_POSITIONS,
    START_POLICY_TIME,
    StartPosition,
)
from bellwire.testing.server import running_coordinator
from bellwire.wire.errors import (
    AckLevelUnsupportedError,
    CallerError,
    DataLockedError,
    SequenceGapError,
    TopicExistsError,
    UnknownTopicError,
    from_item_error,
)

pytestmark = pytest.mark.integration

MIB = 1 << 20
REACHED = {
    (LOG_KIND_MEMORY, ACK_LEVEL_UNSPECIFIED): ACK_LEVEL_RECEIVED,
    (LOG_KIND_MEMORY, ACK_LEVEL_NONE): ACK_LEVEL_NONE,
    (LOG_KIND_MEMORY, ACK_LEVEL_RECEIVED): ACK_LEVEL_RECEIVED,
    (LOG_KIND_SQLITE, ACK_LEVEL_UNSPECIFIED): ACK_LEVEL_PERSISTED,
    (LOG_KIND_SQLITE, ACK_LEVEL_NONE): ACK_LEVEL_NONE,
    (LOG_KIND_SQLITE, ACK_LEVEL_RECEIVED): ACK_LEVEL_RECEIVED,
    (LOG_KIND_SQLITE, ACK_LEVEL_PERSISTED): ACK_LEVEL_PERSISTED,
}
REFUSED = {
    (LOG_KIND_MEMORY, ACK_LEVEL_PERSISTED): "ACK_LEVEL_RECEIVED",
    (LOG_KIND_MEMORY, ACK_LEVEL_REPLICATED): "ACK_LEVEL_RECEIVED",
    (LOG_KIND_SQLITE, ACK_LEVEL_REPLICATED): "ACK_LEVEL_PERSISTED",
}


def _case(case: tuple[Any, Any]) -> str:
    log, level = case
    return f"{LOG_NAMES[BOTH_LOGS.index(log)]}-{publisher_pb2.AckLevel.Name(level)[10:]}"


async def log_id(bus: Stubs, topic: str = TOPIC) -> int:
    """The id of the log of a topic's first partition now."""
    stream = await SubscribeStream(bus).open(topics=[topic])
    await stream.finish()
    return int(stream.started.positions[0].log_id)


# ---------------------------------------------------------------- how far an acknowledgement reaches


@pytest.mark.parametrize(("case", "reached"), REACHED.items(), ids=map(_case, REACHED))
async def test_the_acknowledgement_tells_the_level_that_was_reached(tmp_path, case, reached):
    log, level = case
    async with served(tmp_path) as bus:
        await bus.create_topic(log=log)
        stream = await PublishStream(bus).open()
        await stream.publish(batch(b"streamed"), ack_level=level)
        assert (await stream.read_arm("ack")).ack_level == reached
        request = publisher_pb2.PublishRequest(batch=batch(b"unary"), ack_level=level)
        assert (await within(bus.publisher.Publish(request))).ack_level == reached


@pytest.mark.parametrize(("case", "best"), REFUSED.items(), ids=map(_case, REFUSED))
async def test_a_level_the_log_cannot_give_is_refused_with_the_best_it_can(tmp_path, case, best):
    log, level = case
    async with served(tmp_path) as bus:
        await bus.create_topic(log=log)
        stream = await PublishStream(bus).open()
        await stream.publish(batch(b"x"), ack_level=level)
        failure = await stream.read_arm("failure")
        request = publisher_pb2.PublishRequest(batch=batch(b"x"), ack_level=level)
        for error in (
            from_item_error(failure.error),
            await refusal(bus.publisher.Publish(request)),
        ):
            assert isinstance(error, AckLevelUnsupportedError)
            assert f"ask for {best}" in error.message
        assert (await bus.stats()).published_messages == 0


@pytest.mark.parametrize("log", BOTH_LOGS, ids=LOG_NAMES)
async def test_metadata_lists_exactly_the_levels_that_are_not_refused(tmp_path, log):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=log)
        request = publisher_pb2.GetTopicMetadataRequest(topic=TOPIC)
        listed = (await within(bus.publisher.GetTopicMetadata(request))).ack_levels
        given = [level for kind, level in REACHED if kind == log and level]
        assert list(listed) == given


async def test_nothing_is_delivered_or_acknowledged_as_persisted_before_it_is_committed(
    tmp_path, monkeypatch
):
    gate = Gate(monkeypatch)
    async with served(tmp_path, default_log="sqlite") as bus:
        subscriber = await SubscribeStream(bus).open()
        await bus.publish(b"committed")
        assert await subscriber.data(1) == [b"committed"]
        gate.shut()
        stream = await PublishStream(bus).open()
        await stream.publish(batch(b"received"), ack_level=ACK_LEVEL_RECEIVED)
        await stream.publish(batch(b"persisted"), ack_level=ACK_LEVEL_PERSISTED)
        ack = await stream.read_arm("ack")
        assert (ack.last_frame_sequence, ack.ack_level) == (1, ACK_LEVEL_RECEIVED)
        (held,) = (await bus.stats()).partitions
        assert (held.high_watermark, held.next_offset) == (1, 3)
        # The server answers a heartbeat at once: what it had to say before has been said by then.
        await subscriber.send(heartbeat={})
        await subscriber.read_arm("heartbeat")
        await stream.send(heartbeat={})
        await stream.read_arm("heartbeat")
        gate.open()
        ack = await stream.read_arm("ack")
        assert (ack.last_frame_sequence, ack.ack_level) == (2, ACK_LEVEL_PERSISTED)
        assert await subscriber.data(2) == [b"received", b"persisted"]


async def test_a_frame_of_memory_and_durable_batches_is_acknowledged_at_the_lower_level(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic("orders", log=LOG_KIND_SQLITE)
        await bus.create_topic("ticks", log=LOG_KIND_MEMORY)
        stream = await PublishStream(bus).open()
        await stream.publish(batch(b"tick", topic="ticks"), batch(b"order", topic="orders"))
        ack = await stream.read_arm("ack")
        assert ack.ack_level == ACK_LEVEL_RECEIVED
        assert [place.topic for place in ack.positions] == ["ticks", "orders"]
        reader = await SubscribeStream(bus).open("all", topics=["orders", "ticks"])
        assert sorted(await reader.data(2)) == [b"order", b"tick"]


async def test_of_a_frame_that_must_be_persisted_only_the_memory_batch_is_refused(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic("orders", log=LOG_KIND_SQLITE)
        await bus.create_topic("ticks", log=LOG_KIND_MEMORY)
        stream = await PublishStream(bus).open()
        await stream.publish(
            batch(b"tick", topic="ticks"),
            batch(b"order", topic="orders"),
            ack_level=ACK_LEVEL_PERSISTED,
        )
        failure = await stream.read_arm("failure")
        assert failure.batch_index == 0
        assert isinstance(from_item_error(failure.error), AckLevelUnsupportedError)
        ack = await stream.read_arm("ack")
        assert ack.ack_level == ACK_LEVEL_PERSISTED
        assert [place.topic for place in ack.positions] == ["orders"]


# ---------------------------------------------------------------- what a restart finds again


async def test_messages_of_a_durable_topic_survive_a_restart_and_those_of_a_memory_topic_do_not(
    tmp_path,
):
    async with served(tmp_path) as bus:
        await bus.create_topic("orders", log=LOG_KIND_SQLITE, partition_count=2)
        await bus.create_topic("ticks", log=LOG_KIND_MEMORY)
        for partition in (0, 1):
            place = await publish_batch(
                bus,
                batch(b"a%d" % partition, b"b%d" % partition, topic="orders", partition=partition),
            )
            assert (place.first_offset, place.last_offset) == (0, 1)
        await bus.publish(b"tick", topic="ticks")
        before = await log_id(bus, "orders")
    async with served(tmp_path) as bus:
        reader = await SubscribeStream(bus).open("late", topics=["orders"])
        assert sorted(await reader.data(4)) == [b"a0", b"a1", b"b0", b"b1"]
        assert await log_id(bus, "orders") == before
        place = await publish_batch(bus, batch(b"next", topic="orders", partition=1))
        assert place.first_offset == 2
        with_ticks = topic_pb2.GetTopicRequest(name="ticks")
        assert isinstance(await refusal(bus.topics.GetTopic(with_ticks)), UnknownTopicError)


async def test_the_bytes_of_a_batch_come_back_untouched_after_a_restart(tmp_path):
    sent = batch(b"bid 1.0843 ask 1.0844 " * 100, key="EURUSD")
    async with served(tmp_path, default_log="sqlite") as bus:
        await publish_batch(bus, sent)
        reader = await SubscribeStream(bus).open("before")
        before = await reader.delivery()
    async with served(tmp_path) as bus:
        after = await (await SubscribeStream(bus).open("after")).delivery()
        assert after.batch == sent
        assert after.admitted_time_unix_nano == before.admitted_time_unix_nano


async def test_the_settings_of_a_topic_survive_a_restart_as_they_were_last_changed(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic(
            log=LOG_KIND_SQLITE,
            partition_count=3,
            retention_seconds=3_600,
            priority_class=topic_pb2.PRIORITY_CLASS_ORDER,
            overflow_policy=OVERFLOW_POLICY_DROP_OLDEST,
            tenant="desk-1",
        )
        changed = topic_pb2.Topic(name=TOPIC, retention_messages=77)
        request = topic_pb2.UpdateTopicRequest(topic=changed)
        before = (await within(bus.topics.UpdateTopic(request))).topic
        assert before.retention_messages == 77
    async with served(tmp_path) as bus:
        after = await within(bus.topics.GetTopic(topic_pb2.GetTopicRequest(name=TOPIC)))
        assert after.topic == before


async def test_a_named_subscription_goes_on_after_a_restart_where_it_had_come_to(tmp_path):
    async with served(tmp_path, default_log="sqlite") as bus:
        stream = await SubscribeStream(bus).open("risk")
        await publish_each(bus, b"0", b"1", b"2", b"3")
        deliveries = [await stream.delivery() for _ in range(4)]
        await stream.settle(deliveries[0])
        await stream.settle(deliveries[2])
        await stream.settle_tags(2**40, 2**40)  # Its refusal tells that those before were applied.
        await stream.read_arm("settle_failure")
    async with served(tmp_path) as bus:
        stream = await SubscribeStream(bus).open("risk")
        again = [await stream.delivery() for _ in range(2)]
        assert payloads(again) == [b"1", b"3"]
        assert [delivery.attempt for delivery in again] == [1, 1]
        await bus.publish(b"4")
        assert payloads([await stream.delivery()]) == [b"4"]


async def test_what_was_in_flight_when_the_coordinator_was_killed_comes_again(tmp_path):
    address = f"unix://{tmp_path}/bus.sock"
    settings = json.dumps({"data": str(tmp_path / "data"), "default_log": "sqlite"})
    async with running(SERVER, address, settings) as child:
        await child.says("READY")
        async with dial(address) as bus:
            stream = await SubscribeStream(bus).open("risk")
            await publish_each(bus, b"done", b"held", b"done too")
            deliveries = [await stream.delivery() for _ in range(3)]
            for delivery in (deliveries[0], deliveries[2]):
                await stream.settle(delivery)
            await stream.settle_tags(2**40, 2**40)  # Its refusal tells that they are applied.
            await stream.read_arm("settle_failure")
            await bus.publish(b"new")  # Its commit takes the cursor with it.
            await child.kill()
    async with served(tmp_path / "data") as bus:
        stream = await SubscribeStream(bus).open("risk")
        again = [await stream.delivery() for _ in range(2)]
        assert payloads(again) == [b"held", b"new"]
        assert again[0].attempt == 1
        assert (await subscription_stats(bus)).backlog_messages == 0


async def test_a_named_subscription_keeps_its_ordering_and_patterns_over_a_restart(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic("orders.paper", log=LOG_KIND_SQLITE)
        stream = await SubscribeStream(bus).open(
            "risk", topics=["orders.*"], ordering=ORDERING_NONE, max_attempts=2
        )
        await stream.finish()
    async with served(tmp_path) as bus:
        await bus.create_topic("orders.live", log=LOG_KIND_SQLITE)
        stream = await SubscribeStream(bus).open(
            "risk", topics=["orders.*"], ordering=ORDERING_NONE
        )
        await bus.publish(b"live", topic="orders.live")
        await bus.publish(b"paper", topic="orders.paper")
        assert sorted(await stream.data(2)) == [b"live", b"paper"]


async def test_a_subscription_on_memory_topics_begins_anew_after_a_restart_and_says_so(tmp_path):
    async with served(tmp_path) as bus:
        stream = await SubscribeStream(bus).open("risk")
        await bus.publish(b"gone")
        assert await stream.data(1) == [b"gone"]
        before = stream.started.positions[0].log_id
    async with served(tmp_path) as bus:
        await bus.publish(b"new")
        stream = await SubscribeStream(bus).open("risk")
        (position,) = stream.started.positions
        assert position.log_id != before
        assert await stream.data(1) == [b"new"]


async def test_a_resend_after_a_restart_gets_its_first_position_and_a_gap_is_refused(tmp_path):
    async with served(tmp_path, default_log="sqlite") as bus:
        stream = await PublishStream(bus).open()
        producer: dict[str, Any] = {
            "producer_id": stream.started.producer_id,
            "producer_epoch": stream.started.producer_epoch,
        }
        await stream.publish(
            batch(b"0", b"1", base_sequence=0, **producer),
            batch(b"2", base_sequence=2, **producer),
        )
        await stream.acknowledged(1)
    async with served(tmp_path) as bus:
        stream = await PublishStream(bus).open(**producer)
        assert stream.started.producer_id == producer["producer_id"]
        await stream.publish(batch(b"0", b"1", base_sequence=0, **producer))
        (first,) = await stream.acknowledged(1)
        assert (first.first_offset, first.last_offset, first.duplicate) == (0, 1, True)
        await stream.publish(batch(b"2", base_sequence=2, **producer))
        (second,) = await stream.acknowledged(2)
        assert (second.first_offset, second.duplicate) == (2, True)
        await stream.publish(batch(b"4", base_sequence=4, **producer))
        failure = await stream.read_arm("failure")
        assert isinstance(from_item_error(failure.error), SequenceGapError)
        await stream.publish(batch(b"3", base_sequence=3, **producer))
        (third,) = await stream.acknowledged(4)
        assert (third.first_offset, third.duplicate) == (3, False)
        reader = await SubscribeStream(bus).open("risk")
        assert await reader.data(4) == [b"0", b"1", b"2", b"3"]


async def test_a_released_message_keeps_its_attempts_over_a_restart(tmp_path):
    async with served(tmp_path, default_log="sqlite") as bus:
        stream = await SubscribeStream(bus).open("risk", max_attempts=2)
        await bus.publish(b"poison")
        delivery = await stream.delivery()
        await stream.settle_tags(
            delivery.first_delivery_tag, delivery.first_delivery_tag, 2, delay_millis=60_000
        )
        await stream.finish()
        assert await letters(bus) == []
    async with served(tmp_path) as bus:
        stream = await SubscribeStream(bus).open("risk")
        delivery = await stream.delivery()
        assert delivery.attempt == 1
        await stream.settle(delivery, 2)
        await stream.finish()
        (letter,) = await letters(bus)
        assert letter.attempts == 2


# ---------------------------------------------------------------- history


async def test_history_that_has_left_the_cache_is_read_whole_and_in_order(tmp_path):
    noise = random.Random(7)
    sent = [noise.randbytes(400 << 10) for _ in range(30)]  # Three times the cache.
    async with served(tmp_path, default_log="sqlite", store_cache_bytes=4 * MIB) as bus:
        stream = await PublishStream(bus).open()
        for data in sent:
            await stream.publish(batch(data))
        await stream.acknowledged(len(sent))
        reader = await SubscribeStream(bus).open("late")
        assert await reader.data(len(sent)) == sent
        middle = Position(topic=TOPIC, offset=5)
        start = StartPosition(policy=START_POLICY_POSITIONS, positions=[middle])
        reader = await SubscribeStream(bus).open(start_position=start)
        assert await reader.data(25) == sent[5:]


async def test_readers_of_the_past_and_of_the_present_share_a_small_cache(tmp_path):
    noise = random.Random(8)
    sent = [noise.randbytes(400 << 10) for _ in range(24)]
    async with served(tmp_path, default_log="sqlite", store_cache_bytes=4 * MIB) as bus:
        stream = await PublishStream(bus).open()
        live = await SubscribeStream(bus).open()
        earliest = StartPosition(policy=START_POLICY_EARLIEST)
        for data in sent[:16]:
            await stream.publish(batch(data))
        assert await live.data(16) == sent[:16]
        past = await SubscribeStream(bus).open(start_position=earliest)
        for data in sent[16:]:
            await stream.publish(batch(data))
            assert await live.data(1) == [data]
            assert await past.data(1)
        assert await past.data(16) == sent[8:]


@pytest.mark.parametrize("log", BOTH_LOGS, ids=LOG_NAMES)
@pytest.mark.parametrize(
    ("asked", "expected"),
    [(0, 0), (1_000, 0), (1_001, 1), (4_500, 4), (5_000, 4), (8_000, 7)],
)
async def test_a_start_by_time_is_exact_to_the_batch(tmp_path, log, asked, expected):
    times = [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000]
    start = StartPosition(policy=START_POLICY_TIME, time_unix_nano=asked)
    async with served(tmp_path) as bus:
        await bus.create_topic(log=log)
        await publish_at(bus, *times)
        wanted = [str(time_ns).encode() for time_ns in times[expected:]]
        named = await SubscribeStream(bus).open("risk", start_position=start)
        assert [p.offset for p in named.started.positions] == [expected]
        assert await named.data(len(wanted)) == wanted
        ephemeral = await SubscribeStream(bus).open(start_position=start)
        assert await ephemeral.data(len(wanted)) == wanted
        assert payloads((await bus.pull("pulling", start_position=start)).deliveries) == wanted


@pytest.mark.parametrize("log", BOTH_LOGS, ids=LOG_NAMES)
async def test_a_start_by_a_time_after_all_messages_is_the_end(tmp_path, log):
    start = StartPosition(policy=START_POLICY_TIME, time_unix_nano=9_000)
    async with served(tmp_path) as bus:
        await bus.create_topic(log=log)
        await publish_at(bus, 1_000, 2_000)
        stream = await SubscribeStream(bus).open("risk", start_position=start)
        await publish_at(bus, 3_000)  # Earlier than asked for, and yet new.
        assert await stream.data(1) == [b"3000"]


async def test_a_start_by_time_is_exact_after_a_restart_too(tmp_path):
    start = StartPosition(policy=START_POLICY_TIME, time_unix_nano=2_500)
    async with served(tmp_path, default_log="sqlite") as bus:
        await publish_at(bus, 1_000, 2_000, 3_000)
    async with served(tmp_path) as bus:
        stream = await SubscribeStream(bus).open(start_position=start)
        assert await stream.data(1) == [b"3000"]


# ---------------------------------------------------------------- retention


@pytest.mark.parametrize(
    ("bound", "kept"),
    [({"retention_messages": 80}, 80), ({"retention_bytes": 80 << 10}, 80)],
    ids=["messages", "bytes"],
)
async def test_retention_keeps_what_it_promises_and_drops_the_rest_for_good(tmp_path, bound, kept):
    noise = random.Random(9)
    sent = [noise.randbytes(1_000) for _ in range(200)]
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE, **bound)
        stream = await PublishStream(bus).open()
        for data in sent:
            await stream.publish(batch(data))
            await stream.acknowledged(stream.frame)  # Only what is committed can be dropped.
        (held,) = (await bus.stats()).partitions
        # Exact to a segment, an eighth of the bound.
        assert kept * 7 // 8 - 1 <= held.next_offset - held.low_offset <= kept
    async with served(tmp_path) as bus:
        (found,) = (await bus.stats()).partitions
        assert found == held
        reader = await SubscribeStream(bus).open("late")
        assert await reader.data(200 - held.low_offset) == sent[held.low_offset :]


async def test_a_bound_that_is_lowered_holds_for_what_is_published_from_then_on(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE)
        stream = await PublishStream(bus).open()
        await stream.publish(batch(*[b"before"] * 50))
        await stream.acknowledged(1)
        changed = topic_pb2.Topic(name=TOPIC, retention_messages=8)
        await within(bus.topics.UpdateTopic(topic_pb2.UpdateTopicRequest(topic=changed)))
        for _ in range(20):
            await stream.publish(batch(b"after"))
            await stream.acknowledged(stream.frame)
        (held,) = (await bus.stats()).partitions
        assert held.next_offset == 70
        assert held.next_offset - held.low_offset <= 8


async def test_messages_older_than_the_topic_keeps_them_are_dropped(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE, retention_seconds=1, retention_messages=8)
        await publish_each(bus, b"0", b"1", b"2")
        gone = await eventually(bus.stats, lambda stats: stats.partitions[0].low_offset > 0)
        assert not gone.dropped_messages["overflow"]
        reader = await SubscribeStream(bus).open("late")
        assert reader.started.positions[0].offset == gone.partitions[0].low_offset


async def emptied(bus: Stubs, end: int) -> None:
    """Wait until retention by time has taken everything."""
    found = await eventually(bus.stats, lambda stats: stats.partitions[0].low_offset == end)
    assert found.partitions[0].next_offset == end
    assert found.partitions[0].stored_bytes == 0


async def test_a_quiet_topic_too_drops_what_is_older_than_it_keeps_again_and_again(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE, retention_seconds=1)
        await publish_each(bus, b"0", b"1", b"2")
        await emptied(bus, 3)
        await publish_each(bus, b"3")
        assert (await bus.stats()).partitions[0].low_offset == 3
        await emptied(bus, 4)


async def test_a_log_that_retention_has_emptied_goes_on_counting_after_a_restart(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE, retention_seconds=1)
        stream = await SubscribeStream(bus).open("risk")
        await publish_each(bus, b"0", b"1", b"2")
        assert await stream.data(3) == [b"0", b"1", b"2"]
        await emptied(bus, 3)
        before = await log_id(bus)
    async with served(tmp_path) as bus:
        stream = await SubscribeStream(bus).open("risk")
        assert [(p.offset, p.log_id) for p in stream.started.positions] == [(3, before)]
        assert (await publish_batch(bus, batch(b"3"))).first_offset == 3
        assert await stream.data(1) == [b"3"]


async def test_a_subscription_with_policy_block_holds_old_messages_until_it_has_settled_them(
    tmp_path,
):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE, retention_seconds=1, retention_messages=8)
        stream = await SubscribeStream(bus).open("risk")
        await bus.create_topic(
            "clock", log=LOG_KIND_SQLITE, retention_seconds=1, retention_messages=8
        )
        for topic in (TOPIC, "clock"):
            await publish_each(bus, b"0", b"1", b"2", topic=topic)
        # Nobody reads the other topic: when it has dropped, this one would have.
        await eventually(lambda: bus.stats("clock"), lambda stats: stats.partitions[0].low_offset)
        assert (await bus.stats()).partitions[0].low_offset == 0
        assert await stream.data(3) == [b"0", b"1", b"2"]
        await eventually(bus.stats, lambda stats: stats.partitions[0].low_offset)


# ---------------------------------------------------------------- topics that come and go


async def test_a_topic_created_again_is_a_new_log_from_offset_0(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE)
        stream = await SubscribeStream(bus).open("risk")
        await publish_each(bus, b"old 0", b"old 1")
        assert await stream.data(2) == [b"old 0", b"old 1"]
        before = await log_id(bus)
        await within(bus.topics.DeleteTopic(topic_pb2.DeleteTopicRequest(name=TOPIC)))
        await bus.create_topic(log=LOG_KIND_SQLITE)
        after = await log_id(bus)
        assert after != before
        await bus.publish(b"new 0")
        delivery = await stream.delivery()
        assert (delivery.first_offset, delivery.log_id) == (0, after)
        await stream.settle(delivery)
    async with served(tmp_path) as bus:
        assert await log_id(bus) == after
        assert payloads((await bus.pull("late")).deliveries) == [b"new 0"]


async def test_a_deleted_topic_stays_deleted_over_a_restart_and_its_rows_are_gone(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE)
        await publish_each(bus, b"0", b"1")
        await within(bus.topics.DeleteTopic(topic_pb2.DeleteTopicRequest(name=TOPIC)))
    async with served(tmp_path) as bus:
        found = (await bus.info()).store.recovery
        assert (found.topics, found.messages, found.stored_bytes) == (0, 0, 0)
        request = topic_pb2.GetTopicRequest(name=TOPIC)
        assert isinstance(await refusal(bus.topics.GetTopic(request)), UnknownTopicError)


async def test_a_topic_cannot_change_its_log(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic(log=LOG_KIND_SQLITE)
        again = topic_pb2.CreateTopicRequest(topic=topic_pb2.Topic(name=TOPIC, log=LOG_KIND_MEMORY))
        assert isinstance(await refusal(bus.topics.CreateTopic(again)), TopicExistsError)
        change = topic_pb2.UpdateTopicRequest(topic=again.topic)
        error = await refusal(bus.topics.UpdateTopic(change))
        assert "log SQLITE: these cannot change" in error.message


async def test_without_a_folder_a_durable_topic_is_refused_with_what_to_do():
    async with served() as bus:
        request = topic_pb2.CreateTopicRequest(
            topic=topic_pb2.Topic(name=TOPIC, log=LOG_KIND_SQLITE)
        )
        error = await refusal(bus.topics.CreateTopic(request))
        assert isinstance(error, CallerError)
        assert "bellwire serve --data DIR" in error.message


async def test_topics_made_by_their_first_message_follow_default_log(tmp_path):
    async with served(tmp_path, default_log="sqlite") as bus:
        await bus.publish(b"x")
        await SubscribeStream(bus).open("risk", topics=["made.by.its.subscriber"])
        for name in (TOPIC, "made.by.its.subscriber"):
            found = await within(bus.topics.GetTopic(topic_pb2.GetTopicRequest(name=name)))
            assert found.topic.log == LOG_KIND_SQLITE
    async with served(tmp_path) as bus:
        assert payloads((await bus.pull()).deliveries) == [b"x"]
        await bus.publish(b"y", topic="made.later")
        request = topic_pb2.GetTopicRequest(name="made.later")
        assert (await within(bus.topics.GetTopic(request))).topic.log == LOG_KIND_MEMORY


# ---------------------------------------------------------------- the store


async def test_a_second_coordinator_on_the_folder_is_refused_and_the_first_goes_on(tmp_path):
    async with served(tmp_path, default_log="sqlite") as bus:
        await bus.publish(b"before")
        with pytest.raises(DataLockedError, match=str(tmp_path)):
            async with running_coordinator(data=str(tmp_path)):
                pytest.fail("two coordinators work in one folder")
        await bus.publish(b"after")
        assert payloads((await bus.pull()).deliveries) == [b"before", b"after"]
    async with served(tmp_path) as bus:
        assert payloads((await bus.pull("late")).deliveries) == [b"before", b"after"]


async def test_a_coordinator_that_keeps_everything_in_memory_names_no_store():
    async with served() as bus:
        assert not (await bus.info()).HasField("store")


async def test_the_server_tells_of_its_store_and_of_what_it_found_in_it(tmp_path):
    async with served(tmp_path) as bus:
        await bus.create_topic("orders", log=LOG_KIND_SQLITE, partition_count=2)
        await bus.create_topic("ticks", log=LOG_KIND_MEMORY)
        await reject(bus, b"0", topic="orders")
        await publish_batch(bus, batch(b"1", b"2", topic="orders"))
        await publish_batch(bus, batch(b"3", topic="orders", partition=1))
        store = (await bus.info()).store
        assert store.path == str(tmp_path)
        assert not store.read_only
        assert store.commits > 0
        assert 0 < store.commit_p50_micros <= store.commit_p99_micros
        assert store.disk_bytes > 0
        assert store.recovery.topics == 0
        assert not store.recovery.after_crash
        held = (await bus.stats("orders")).partitions
    async with served(tmp_path) as bus:
        found = (await bus.info()).store.recovery
        assert (found.topics, found.partitions, found.messages) == (1, 2, 4)
        assert found.stored_bytes == sum(partition.stored_bytes for partition in held)
        assert (found.subscriptions, found.dead_letters) == (1, 1)
        assert not found.after_crash


async def test_the_report_tells_when_the_last_run_was_killed(tmp_path):
    address = f"unix://{tmp_path}/bus.sock"
    settings = json.dumps({"data": str(tmp_path / "data"), "default_log": "sqlite"})
    async with running(SERVER, address, settings) as child:
        await child.says("READY")
        async with dial(address) as bus:
            await publish_each(bus, b"0", b"1")
            await child.kill()
    async with served(tmp_path / "data") as bus:
        found = (await bus.info()).store.recovery
        assert found.after_crash
        assert found.messages == 2
        assert payloads((await bus.pull()).deliveries) == [b"0", b"1"]


async def test_a_backlog_counts_what_is_stored_and_not_delivered_after_a_restart(tmp_path):
    async with served(tmp_path, default_log="sqlite") as bus:
        stream = await SubscribeStream(bus).open("risk")
        await stream.finish()
        await publish_at(bus, *range(SECOND, 6 * SECOND, SECOND))
    async with served(tmp_path) as bus:
        assert (await subscription_stats(bus)).backlog_messages == 5
