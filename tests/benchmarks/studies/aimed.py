"""A publisher and a subscriber that are aimed at one topic after another."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from tests.benchmarks.peers.bellwire import SOURCE, BellwirePublisher, reading, settings_at
from tests.benchmarks.roles import PublisherRole, Reply, SubscriberRole
from tests.benchmarks.sink import Sink

from bellwire.admin.v1.topic_pb2 import LOG_KIND_MEMORY, LOG_KIND_SQLITE, Topic
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_PERSISTED, ACK_LEVEL_RECEIVED
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK
from bellwire.client import Client, Publisher, connect, new_message
from bellwire.client.start import LATEST

KEYS: Final = 20  # Symbols a feed carries; CONFLATE keeps the latest of each.
# What a slow subscriber may fall behind before its policy acts: a fifth of a second at 1 per ms.
SMALL_RETENTION_MESSAGES: Final = 200


def topic_of(name: str, *, durable: bool, roomy: bool) -> Topic:
    """Describe a topic; a roomy one keeps what the coordinator keeps by default."""
    return Topic(
        name=name,
        log=LOG_KIND_SQLITE if durable else LOG_KIND_MEMORY,
        retention_messages=0 if roomy else SMALL_RETENTION_MESSAGES,
    )


class KeyedPublisher(BellwirePublisher):
    """Gives each message one of KEYS keys in turn."""

    def __init__(self, publisher: Publisher, topic: str) -> None:
        super().__init__(publisher, topic)
        self._sent = 0

    async def send(self, payload: bytes) -> None:
        """Hand over one message without waiting for its acknowledgement."""
        key, self._sent = f"S{self._sent % KEYS}", self._sent + 1
        message = new_message(data=payload, source=SOURCE, key=key)
        acknowledged = await self._publisher.enqueue(self._topic, message)
        acknowledged.add_done_callback(self._note)


class AimedPublisherRole:
    """Creates topics, and publishes to the one it was aimed at last."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._role: PublisherRole | None = None

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Run `aim`, or what a publisher can."""
        if command == "aim":
            return await self._aim(**arguments)
        if self._role is None:
            raise ValueError(f"{command!r} needs a topic: aim first")
        return await self._role.do(command, arguments)

    async def _aim(self, *, topic: str, durable: bool, roomy: bool) -> Reply:
        await self._client.admin.create_topic(topic_of(topic, durable=durable, roomy=roomy))
        level = ACK_LEVEL_PERSISTED if durable else ACK_LEVEL_RECEIVED
        self._role = PublisherRole(
            KeyedPublisher(self._client.publisher(SOURCE, ack_level=level), topic)
        )
        return {}


class AimedSubscriberRole:
    """Subscribes to the topic it was aimed at last; with a name where the topic is durable."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._role = SubscriberRole(Sink())
        self._open = AsyncExitStack()

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Run `aim`, or what a subscriber can."""
        if command == "aim":
            return await self._aim(**arguments)
        return await self._role.do(command, arguments)

    async def close(self) -> None:
        """End the subscription."""
        await self._open.aclose()

    async def _aim(self, *, topic: str, durable: bool) -> Reply:
        await self._open.aclose()
        subscription = self._client.subscribe(
            topic,
            subscription=f"fast.{topic}" if durable else "",
            start=LATEST,
            overflow_policy=OVERFLOW_POLICY_BLOCK,
        )
        await self._open.enter_async_context(reading(subscription, self._role.sink))
        return {}


@asynccontextmanager
async def open_aimed_publisher(*, address: str) -> AsyncIterator[tuple[AimedPublisherRole, Reply]]:
    """Connect a publisher."""
    async with connect(address, settings_at(address)) as client:
        yield AimedPublisherRole(client), {}


@asynccontextmanager
async def open_aimed_subscriber(
    *, address: str
) -> AsyncIterator[tuple[AimedSubscriberRole, Reply]]:
    """Connect a subscriber."""
    async with connect(address, settings_at(address)) as client:
        role = AimedSubscriberRole(client)
        try:
            yield role, {}
        finally:
            # Not later: the subscription needs its client, and the client its loop.
            await asyncio.shield(role.close())
