"""What a bridge refuses before it has mirrored anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from tests.integration.bridge.bridging import (
    SECONDS,
    bridge,
    make_topic,
    records,
    unique,
    within,
)

from bellwire.admin.v1.topic_pb2 import LOG_KIND_MEMORY, Topic
from bellwire.bridge import BridgeSettings, KafkaTopicError
from bellwire.bridge.bridge import run_bridge
from bellwire.bridge.report import Counters
from bellwire.client import Client, connect
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.testing import running_coordinator

pytestmark = pytest.mark.integration


@pytest.fixture
async def durable(kafka: str) -> AsyncIterator[Client]:
    """A client of a coordinator that keeps its topics in the Kafka that bridges of the test use."""
    state = f"_state-{uuid4().hex}"
    settings = CoordinatorSettings(kafka=kafka, kafka_state_topic=state, default_log="kafka")
    async with running_coordinator(settings) as running, connect(running.tcp) as connected:
        yield connected


async def refusal(client: Client, settings: BridgeSettings) -> KafkaTopicError:
    """What a bridge is refused with at its start; it says never that it is ready."""
    said: list[str] = []
    with pytest.raises(KafkaTopicError) as caught:
        await within(
            run_bridge(client, settings, asyncio.Event(), lambda event, **_: said.append(event))
        )
    assert said == []
    return caught.value


async def kafka_topics(kafka: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        return list(await admin.list_topics())
    finally:
        await admin.close()


# ------------------------------------------------------------ the Kafka that keeps the topics


@pytest.mark.parametrize(
    "route", ["{}", "{}.*", "ticks={}.paper"], ids=["name", "pattern", "target"]
)
async def test_a_topic_that_the_coordinator_keeps_there_is_no_target(
    kafka: str, durable: Client, route: str
) -> None:
    name = unique("orders")
    topic = name if route == "{}" else f"{name}.paper"
    await durable.admin.create_topic(Topic(name=topic))
    await durable.admin.create_topic(Topic(name="ticks", log=LOG_KIND_MEMORY))
    settings = BridgeSettings(kafka=kafka, out_topics=(route.format(name),))
    error = await refusal(durable, settings)
    assert error.metadata["topic"] == topic
    assert "bridge.out_prefix" in error.message


async def test_a_topic_that_the_coordinator_keeps_there_is_no_source(
    kafka: str, durable: Client
) -> None:
    topic = unique("orders")
    await durable.publisher().publish(topic, b"once")
    error = await refusal(durable, BridgeSettings(kafka=kafka, in_topics=(f"{topic}=copy",)))
    assert "on the bus already" in error.message


async def test_a_topic_that_the_coordinator_would_keep_there_is_no_source_of_itself(
    kafka: str, durable: Client
) -> None:
    topic = unique("vendor")
    await make_topic(kafka, topic, 1)
    error = await refusal(durable, BridgeSettings(kafka=kafka, in_topics=(topic,)))
    assert "for ever" in error.message


async def test_a_topic_that_appears_later_ends_the_bridge_before_it_is_there_twice(
    kafka: str, durable: Client
) -> None:
    name = unique("orders")
    settings = BridgeSettings(kafka=kafka, out_topics=(f"{name}.*",), name=name)
    ready, counters = asyncio.Event(), Counters()
    running = asyncio.create_task(
        run_bridge(durable, settings, asyncio.Event(), lambda *_, **__: ready.set(), counters)
    )
    await within(ready.wait())
    await durable.publisher().publish(f"{name}.paper", b"once", key="A")
    with pytest.raises(KafkaTopicError, match="readers beside the bus"):
        await within(running)
    assert counters.sent == 0


async def test_behind_a_prefix_the_topics_of_a_pattern_are_mirrored(
    kafka: str, durable: Client
) -> None:
    name, prefix = unique("orders"), f"m{uuid4().hex[:6]}."
    settings = BridgeSettings(kafka=kafka, out_topics=(f"{name}.*",), out_prefix=prefix, name=name)
    async with bridge(durable, settings):
        await durable.publisher().publish(f"{name}.paper", b"once", key="A")
        (mirrored,) = await records(kafka, f"{prefix}{name}.paper", 1)
    assert mirrored.value == b"once"


async def test_a_topic_in_memory_goes_out_under_its_own_name(kafka: str, durable: Client) -> None:
    topic = unique("ticks")
    await durable.admin.create_topic(Topic(name=topic, log=LOG_KIND_MEMORY))
    async with bridge(durable, BridgeSettings(kafka=kafka, out_topics=(topic,))):
        await durable.publisher().publish(topic, b"1.08")
        (record,) = await records(kafka, topic, 1)
    assert record.value == b"1.08"


# ------------------------------------------------------------ partitions


async def test_too_few_partitions_are_refused_before_the_first_message(
    kafka: str, client: Client
) -> None:
    topic = unique("narrow")
    await client.admin.create_topic(Topic(name=topic, partition_count=3))
    await make_topic(kafka, topic, 2)
    settings = BridgeSettings(kafka=kafka, out_topics=(topic,))
    assert (await refusal(client, settings)).metadata["wanted"] == "3"
    by_pattern = replace(settings, out_topics=("narrow.>",))
    assert (await refusal(client, by_pattern)).metadata["partitions"] == "2"


async def test_too_few_partitions_for_a_topic_that_the_bus_does_not_know_yet(
    kafka: str, client: Client
) -> None:
    topic = unique("later")
    await make_topic(kafka, topic, 2)
    settings = BridgeSettings(kafka=kafka, out_topics=(topic,), partitions=3)
    assert (await refusal(client, settings)).metadata["wanted"] == "3"


@pytest.mark.parametrize("pattern", [False, True], ids=["name", "pattern"])
async def test_a_missing_topic_that_may_not_be_made_is_refused_before_the_first_message(
    kafka: str, client: Client, *, pattern: bool
) -> None:
    topic = unique("absent")
    await client.admin.create_topic(Topic(name=topic))
    route = "absent.*" if pattern else topic
    settings = BridgeSettings(kafka=kafka, out_topics=(route,), create_topics=False)
    assert "does not exist" in (await refusal(client, settings)).message


async def test_a_named_topic_is_made_at_the_start_and_those_of_a_pattern_with_their_messages(
    kafka: str, client: Client
) -> None:
    named, meant = unique("named"), unique("meant")
    for topic in (named, meant):
        await client.admin.create_topic(Topic(name=topic, partition_count=2))
    settings = BridgeSettings(kafka=kafka, out_topics=(named, "meant.*"), name=named)
    async with bridge(client, settings):
        found = await kafka_topics(kafka)
        assert named in found
        assert meant not in found
        await client.publisher().publish(meant, b"first")
        async with asyncio.timeout(SECONDS):
            assert len(await records(kafka, meant, 1)) == 1
