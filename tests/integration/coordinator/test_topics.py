"""Topics and server information over the admin services."""

from __future__ import annotations

import os
from typing import Any

import pytest
from tests.integration.coordinator.frames import (
    TOPIC,
    PublishStream,
    Stubs,
    SubscribeStream,
    batch,
    refusal,
    within,
)

from bellwire.admin.v1 import server_pb2
from bellwire.admin.v1 import topic_pb2 as pb
from bellwire.bus.v1 import publisher_pb2
from bellwire.bus.v1.message_pb2 import Window
from bellwire.testing.server import RunningCoordinator
from bellwire.wire.errors import (
    CallerError,
    InvalidTopicNameError,
    TopicExistsError,
    UnknownTopicError,
)

pytestmark = pytest.mark.integration


def create(bus: Stubs, **fields: Any) -> Any:
    """A CreateTopic under way."""
    return bus.topics.CreateTopic(pb.CreateTopicRequest(topic=pb.Topic(**fields)))


async def test_a_topic_is_created_described_listed_and_deleted(bus: Stubs):
    made = await bus.create_topic(partition_count=3, retention_messages=7, priority_class=3)
    assert (made.partition_count, made.retention_messages, made.priority_class) == (3, 7, 3)
    assert made.log == pb.LOG_KIND_MEMORY
    assert made.create_time_unix_nano
    found = await within(bus.topics.GetTopic(pb.GetTopicRequest(name=TOPIC)))
    assert found.topic == made
    listed = await within(bus.topics.ListTopics(pb.ListTopicsRequest()))
    assert list(listed.topics) == [made]
    await within(bus.topics.DeleteTopic(pb.DeleteTopicRequest(name=TOPIC)))
    error = await refusal(bus.topics.GetTopic(pb.GetTopicRequest(name=TOPIC)))
    assert isinstance(error, UnknownTopicError)


async def test_what_is_left_out_is_the_servers_default(bus: Stubs):
    made = await bus.create_topic()
    assert (made.partition_count, made.retention_messages) == (1, 100_000)
    assert made.priority_class == pb.PRIORITY_CLASS_SIGNAL


async def test_creating_twice_is_harmless_and_with_other_settings_refused(bus: Stubs):
    made = await bus.create_topic(partition_count=2)
    assert await bus.create_topic(partition_count=2) == made
    error = await refusal(create(bus, name=TOPIC, partition_count=3))
    assert isinstance(error, TopicExistsError)
    assert "partition_count=2" in error.message


async def test_topics_are_listed_by_pattern_and_by_page(bus: Stubs):
    for name in ("bars.1h", "bars.1d", "orders.paper"):
        await bus.create_topic(name)
    listed = await within(bus.topics.ListTopics(pb.ListTopicsRequest(pattern="bars.*")))
    assert [topic.name for topic in listed.topics] == ["bars.1d", "bars.1h"]
    first = await within(bus.topics.ListTopics(pb.ListTopicsRequest(page_size=2)))
    assert [topic.name for topic in first.topics] == ["bars.1d", "bars.1h"]
    request = pb.ListTopicsRequest(page_size=2, page_token=first.next_page_token)
    rest = await within(bus.topics.ListTopics(request))
    assert [topic.name for topic in rest.topics] == ["orders.paper"]
    assert not rest.next_page_token


@pytest.mark.parametrize(
    ("fields", "cls", "words"),
    [
        ({"name": ""}, InvalidTopicNameError, "topic name '' is not allowed"),
        ({"name": "a b"}, InvalidTopicNameError, "'a b' is not allowed"),
        ({"name": "\N{PILE OF POO}" * 500}, InvalidTopicNameError, "is not allowed"),
        ({"name": "t", "partition_count": 1_025}, CallerError, "cannot have 1025 partitions"),
        ({"name": "t", "partition_count": -1}, CallerError, "cannot have -1 partitions"),
        ({"name": "t", "retention_messages": 2**63}, CallerError, "retention_messages is 9223"),
        ({"name": "t", "retention_bytes": 2**63}, CallerError, "retention_bytes is 9223"),
        ({"name": "t", "tenant": "t" * 257}, CallerError, "tenant has 257 bytes, limit is 256"),
        ({"name": "t", "account": "€" * 86}, CallerError, "account has 258 bytes, limit is 256"),
        (
            {"name": "t", "log": 2},
            CallerError,
            "LOG_KIND_SQLITE needs a coordinator started with `bellwire serve --data DIR`",
        ),
        ({"name": "t", "log": 3}, CallerError, "started with `bellwire serve --kafka HOST:PORT`"),
        ({"name": "t", "log": 9}, CallerError, "log kind 9 is not known"),
        ({"name": "t", "priority_class": 9}, CallerError, "priority class 9 is not known"),
        ({"name": "t", "overflow_policy": 9}, CallerError, "overflow policy 9 is not known"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
async def test_a_topic_that_cannot_be_is_refused_in_words(bus: Stubs, fields, cls, words):
    error = await refusal(create(bus, **fields))
    assert type(error) is cls
    if len(fields["name"]) < 300:
        assert words in error.message
    assert not (await within(bus.topics.ListTopics(pb.ListTopicsRequest()))).topics


async def test_what_waits_for_room_in_a_deleted_topic_is_refused_at_once(bus: Stubs):
    await bus.create_topic(retention_messages=1)
    await SubscribeStream(bus).open("risk", window=Window(messages=1, bytes=1 << 20))
    stream = await PublishStream(bus).open()
    await stream.publish(*[batch(b"x") for _ in range(5)])
    await stream.send(heartbeat=publisher_pb2.PublishHeartbeat())
    await stream.read_arm("heartbeat")  # The frame before has been read.
    await within(bus.topics.DeleteTopic(pb.DeleteTopicRequest(name=TOPIC)))
    failure = await stream.read_arm("failure")
    assert failure.error.reason == UnknownTopicError.reason
    assert failure.error.message == f"topic {TOPIC!r} was deleted"
    await stream.publish(batch(b"y", topic="others.go.on"))
    while not (await stream.read()).HasField("ack"):
        pass


async def test_counters_tell_what_came_went_waits_and_was_saved_by_compression(bus: Stubs):
    await bus.create_topic(partition_count=2)
    subscriber = await SubscribeStream(bus).open("risk")
    stream = await PublishStream(bus).open()
    large = batch(b"bid 1.0843 ask 1.0844 " * 100, partition=1)
    await stream.publish(large, batch(b"x", b"y"))
    await stream.acknowledged(1)
    for _ in range(2):
        delivery = await subscriber.delivery()
    await subscriber.settle(delivery)
    await subscriber.settle_tags(99, 99)
    await subscriber.read_arm("settle_failure")
    stats = await bus.stats()
    assert (stats.published_messages, stats.published_batches, stats.delivered_messages) == (
        3,
        2,
        3,
    )
    assert stats.published_uncompressed_bytes > 2 * stats.published_bytes
    assert [(p.partition, p.next_offset) for p in stats.partitions] == [(0, 2), (1, 1)]
    (counted,) = stats.subscriptions
    assert (counted.subscription, counted.members, counted.backlog_messages) == ("risk", 1, 0)
    assert counted.in_flight_messages == 3 - delivery.batch.header.message_count


async def test_the_server_tells_what_it_is(server: RunningCoordinator, bus: Stubs):
    stream = await SubscribeStream(bus).open()
    await bus.publish(b"x")
    await stream.delivery()
    info = await within(bus.server.GetServerInfo(server_pb2.GetServerInfoRequest()))
    assert info.pid == os.getpid()
    assert list(info.addresses) == [server.tcp, server.unix]
    assert (info.workers, info.open_streams, info.draining) == (16, 1, False)
    assert (info.admitted_messages, info.delivered_messages) == (1, 1)
    assert info.rss_bytes > 1 << 20
    assert info.version
