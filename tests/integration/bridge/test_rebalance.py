"""Members of a bridge's group come, go and die: it takes their partitions over and misses nothing of them."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer
from tests.integration.bridge.bridging import (
    bridge,
    by_key,
    make_topic,
    send,
    stable_group,
    take,
    unique,
)

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.bridge import BridgeSettings
from bellwire.bridge.mirror_in import REBALANCE_MILLIS, SESSION_MILLIS
from bellwire.client import Client, Message, new_message

pytestmark = pytest.mark.integration
KEYS = ("EURUSD", "GBPUSD", "USDJPY")


def numbered(first: int, count: int) -> list[Message]:
    return [
        new_message(data=b"%d" % number, key=KEYS[number % 3], type="text", source="v")
        for number in range(first, first + count)
    ]


@asynccontextmanager
async def member(kafka: str, topic: str, client_id: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Another member of the bridge's group, which reads nothing; it leaves in order."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka,
        group_id=f"bridge.{topic}",
        client_id=client_id,
        enable_auto_commit=False,
        heartbeat_interval_ms=300,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def test_a_bridge_without_partitions_misses_nothing_of_those_it_is_given(
    kafka: str, client: Client
) -> None:
    topic = unique("handed-over")
    await make_topic(kafka, topic, 1)
    sent = numbered(0, 100)
    settings = BridgeSettings(kafka=kafka, in_topics=(f"{topic}=ticks",), publish_messages_max=20)
    # "a" comes before the bridge's name, so that the only partition stays there.
    async with member(kafka, topic, "a") as holder, bridge(client, settings):
        await stable_group(kafka, f"bridge.{topic}", members=2)
        assert holder.assignment()
        await send(kafka, topic, *sent)
        await holder.stop()
        found = await take(client, "ticks", len(sent))
    assert by_key(found) == by_key(sent)
    assert (await client.admin.topic_stats("ticks")).published_messages == len(sent)


@pytest.mark.slow
async def test_members_that_come_and_go_cost_no_message_and_repeat_none(
    kafka: str, client: Client
) -> None:
    topic = unique("restless")
    await make_topic(kafka, topic, 3)
    await client.admin.create_topic(Topic(name="ticks", partition_count=3))
    settings = BridgeSettings(kafka=kafka, in_topics=(f"{topic}=ticks",), publish_messages_max=7)
    sent: list[Message] = []
    async with bridge(client, settings), asyncio.timeout(50):
        await stable_group(kafka, f"bridge.{topic}", members=1)
        for number in range(6):
            async with member(kafka, topic, "az"[number % 2]):
                sent += (fresh := numbered(len(sent), 150))
                await send(kafka, topic, *fresh)
            sent += (fresh := numbered(len(sent), 150))
            await send(kafka, topic, *fresh)
        found = await take(client, "ticks", len(sent))
    assert by_key(found) == by_key(sent)
    assert (await client.admin.topic_stats("ticks")).published_messages == len(sent)


DOOMED = f"""
import asyncio, sys
from aiokafka import AIOKafkaConsumer

async def main():
    kafka, topic = sys.argv[1:]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, group_id="bridge." + topic, client_id="a", enable_auto_commit=False,
        session_timeout_ms={SESSION_MILLIS}, rebalance_timeout_ms={REBALANCE_MILLIS}, heartbeat_interval_ms=300,
    )
    await consumer.start()
    consumer.subscribe([topic])
    print("joining", flush=True)
    while not consumer.assignment():
        await consumer.getmany(timeout_ms=100)
    print("joined", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def doomed(kafka: str, topic: str, until: str) -> AsyncIterator[None]:
    """Another bridge, as its group sees it, that is killed with SIGKILL after the block."""
    command = (sys.executable, "-c", DOOMED, kafka, topic)
    process = await create_subprocess_exec(*command, stdout=PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while (await process.stdout.readline()).strip() != until.encode():
                pass
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        await process.communicate()


@pytest.mark.slow
async def test_members_that_died_give_their_partitions_up_within_a_session_and_a_join(
    kafka: str, client: Client
) -> None:
    topic = unique("orphaned")
    await make_topic(kafka, topic, 2)
    sent = numbered(0, 300)
    await send(kafka, topic, *sent)
    settings = BridgeSettings(kafka=kafka, in_topics=(f"{topic}=ticks",), publish_messages_max=20)
    # The first dies with all partitions; the others die while the group waits for it.
    async with doomed(kafka, topic, until="joined"):
        pass
    for _ in range(2):
        async with doomed(kafka, topic, until="joining"):
            pass
    since = time.monotonic()
    async with bridge(client, settings):
        found = await take(client, "ticks", len(sent))
    seconds = time.monotonic() - since
    print(f"three members killed: all of theirs is on the bus {seconds:.1f} s later")
    assert by_key(found) == by_key(sent)
    assert seconds < (SESSION_MILLIS + REBALANCE_MILLIS) / 1_000 + 5
