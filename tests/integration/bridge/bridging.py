"""A bridge of a test, in the test's own event loop, and both of its ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bellwire.bridge import BridgeSettings
from bellwire.bridge.bridge import run_bridge
from bellwire.bridge.report import Counters
from bellwire.client import EARLIEST, Client, Message
from bellwire.wire.cloud_events import headers_of, key_of

T = TypeVar("T")
SECONDS = 30


async def within(work: Awaitable[T], seconds: float = SECONDS) -> T:
    async with asyncio.timeout(seconds):
        return await work


def unique(name: str) -> str:
    """A name that no other test of the shared broker has."""
    return f"{name}.{uuid4().hex[:12]}"


class Bridging:
    """A running bridge.

    Attributes:
        events: What it reported, as (event, facts).
        counters: What it has done so far.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.stop = asyncio.Event()
        self.task: asyncio.Task[Counters] | None = None
        self.counters = Counters()
        self._changed = asyncio.Event()

    def report(self, event: str, **facts: str | float) -> None:
        self.events.append((event, facts))
        self._changed.set()

    async def reported(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait for an event; a bridge that ends before it fails the test with its error."""
        assert self.task is not None
        async with asyncio.timeout(SECONDS):
            while True:
                found = [facts for name, facts in self.events if name == event]
                if len(found) >= count:
                    return found[count - 1]
                self._changed.clear()
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait({changed, self.task}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if self.task.done() and not self._changed.is_set():
                    await self.task
                    raise AssertionError(f"the bridge stopped before {event!r}: {self.events}")


@asynccontextmanager
async def bridge(client: Client, settings: BridgeSettings) -> AsyncIterator[Bridging]:
    """Run a bridge for the length of the block."""
    running = Bridging()
    running.task = asyncio.create_task(
        run_bridge(client, settings, running.stop, running.report, running.counters)
    )
    try:
        await running.reported("ready")
        yield running
        running.stop.set()
        await within(running.task)
    finally:
        running.task.cancel()
        await asyncio.wait([running.task])


async def send(bootstrap: str, topic: str, *messages: Message) -> None:
    """Write messages as a plain producer does; Kafka's partitioner chooses."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for message in messages:
            await producer.send(topic, message.data, key_of(message), headers=headers_of(message))
        await producer.flush()


async def records(bootstrap: str, topic: str, count: int | None = None) -> list[ConsumerRecord]:
    """Read so many records, from the beginning; None = all that are there now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    found: list[ConsumerRecord] = []
    async with consumer, asyncio.timeout(SECONDS):
        while not (partitions := consumer.partitions_for_topic(topic)):
            await consumer._client.force_metadata_update()
        places = [TopicPartition(topic, each) for each in sorted(partitions)]
        consumer.assign(places)
        if count is None:
            count = sum((await consumer.end_offsets(places)).values())
        while len(found) < count:
            for some in (await consumer.getmany(timeout_ms=200)).values():
                found += some
    return found


async def take(client: Client, topic: str, count: int) -> list[Message]:
    """Read so many messages of the bus, from the beginning."""
    found: list[Message] = []
    async with client.subscribe(topic, start=EARLIEST) as subscription, asyncio.timeout(SECONDS):
        async for message in subscription:
            found.append(message.message)
            if len(found) == count:
                break
    return found


async def make_topic(bootstrap: str, topic: str, partitions: int, **configs: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
    finally:
        await admin.close()


def by_key(messages: list[Message]) -> dict[str, list[bytes]]:
    """Payloads of each key, in order."""
    found: dict[str, list[bytes]] = {}
    for message in messages:
        found.setdefault(message.key, []).append(message.data)
    return found


async def stable_group(bootstrap: str, group: str, members: int) -> None:
    """Wait until a group has so many members and all of them know their partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                (described,) = await admin.describe_consumer_groups([group])
                _, _, state, _, _, found, *_ = described.groups[0]
                if (state, len(found)) == ("Stable", members):
                    return
    finally:
        await admin.close()
