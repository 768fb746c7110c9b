"""Durable topics kept in Kafka: the same bus, another disk."""

from __future__ import annotations

from uuid import uuid4

import pytest
from tests.integration.coordinator.frames import within

from bellwire.admin.v1.topic_pb2 import LOG_KIND_KAFKA, LOG_KIND_SQLITE, Topic
from bellwire.bus.v1.publisher_pb2 import (
    ACK_LEVEL_PERSISTED,
    ACK_LEVEL_RECEIVED,
    ACK_LEVEL_REPLICATED,
)
from bellwire.client import EARLIEST, Client, connect
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.testing import running_coordinator
from bellwire.wire.errors import AckLevelUnsupportedError, CallerError
from bellwire.wire.settings import SettingsError

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(kafka: str) -> CoordinatorSettings:
    return CoordinatorSettings(
        kafka=kafka, kafka_state_topic=f"_state-{uuid4().hex}", default_log="kafka"
    )


@pytest.fixture
def topic() -> str:
    return f"orders-{uuid4().hex}"


async def take(client: Client, topic: str, count: int, **options: object) -> list[bytes]:
    """Read so many messages; asking for the next one accepts the one before."""
    taken = []
    async with client.subscribe(topic, subscription="risk", **options) as subscription:  # type: ignore[arg-type]
        async for message in subscription:
            taken.append(message.data)
            if len(taken) == count:
                break
    return taken


async def test_messages_and_cursors_survive_the_coordinator(
    settings: CoordinatorSettings, topic: str
) -> None:
    async with running_coordinator(settings) as running, connect(running.tcp) as client:
        await client.admin.create_topic(Topic(name=topic, partition_count=2))
        publisher = client.publisher("orders/desk")
        for number in range(5):
            placed = await publisher.publish(topic, str(number).encode(), key="EURUSD")
            assert placed.ack_level == ACK_LEVEL_REPLICATED
            assert placed.offset == number
        assert await within(take(client, topic, 2, start=EARLIEST)) == [b"0", b"1"]
    async with running_coordinator(settings) as running, connect(running.tcp) as client:
        found = await client.admin.get_topic(topic)
        assert (found.log, found.partition_count) == (LOG_KIND_KAFKA, 2)
        placed = await client.publisher().publish(topic, b"5", key="EURUSD")
        assert placed.offset == 5
        assert await within(take(client, topic, 5)) == [b"1", b"2", b"3", b"4", b"5"]


async def test_only_what_kafka_can_give_is_promised(
    settings: CoordinatorSettings, topic: str
) -> None:
    async with running_coordinator(settings) as running, connect(running.tcp) as client:
        await client.admin.create_topic(Topic(name=topic))
        received = client.publisher(ack_level=ACK_LEVEL_RECEIVED)
        assert (await received.publish(topic, b"x")).ack_level == ACK_LEVEL_RECEIVED
        synced = client.publisher(ack_level=ACK_LEVEL_PERSISTED)
        with pytest.raises(AckLevelUnsupportedError, match=r"in Kafka .* ask for ACK_LEVEL_REPLI"):
            await synced.publish(topic, b"x")
        with pytest.raises(CallerError, match="LOG_KIND_SQLITE needs a coordinator started with"):
            await client.admin.create_topic(Topic(name=f"{topic}.disk", log=LOG_KIND_SQLITE))


async def test_a_topic_that_is_made_anew_begins_empty(
    settings: CoordinatorSettings, topic: str
) -> None:
    async with running_coordinator(settings) as running, connect(running.tcp) as client:
        for text in (b"first life", b"second life"):
            await client.admin.create_topic(Topic(name=topic))
            assert (await client.publisher().publish(topic, text)).offset == 0
            assert await within(take(client, topic, 1, start=EARLIEST)) == [text]
            await client.admin.delete_subscription("risk")
            await client.admin.delete_topic(topic)


async def test_a_reader_far_behind_gets_everything_from_kafka(
    settings: CoordinatorSettings, topic: str
) -> None:
    async with (
        running_coordinator(settings, store_cache_bytes=4 << 20) as running,
        connect(running.tcp) as client,
    ):
        await client.admin.create_topic(Topic(name=topic))
        publisher = client.publisher()
        sent = [str(number).encode().ljust(1_000, b".") for number in range(5_000)]
        for first in range(0, len(sent), 1_000):
            await publisher.publish_payloads(topic, sent[first : first + 1_000])
        assert await within(take(client, topic, len(sent), start=EARLIEST)) == sent


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "folder", "kafka": "h:1"}, "empty where durable topics are kept in `data`"),
        ({"default_log": "kafka"}, "or brokers in `kafka`"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    changes: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        CoordinatorSettings(**changes)  # type: ignore[arg-type]
