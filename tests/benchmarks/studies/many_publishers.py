"""Publishers on many connections and of many topics, in one process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from tests.benchmarks.peers.bellwire import SOURCE, settings_at
from tests.benchmarks.roles import PublisherRole, Reply

from bellwire.agent.v1.agent_pb2 import Agent
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_RECEIVED
from bellwire.client import Client, Publisher, PublishResult, connect, new_message

TOPIC_PREFIX: Final = "bench."
FIRST_MESSAGES_AT_ONCE: Final = 64
BEFORE: Final = bytes(24)  # A stamp numbered 0, published before anybody subscribes.


class ManyPublishers:
    """Publishes message n on connection n and to topic n, both counted round and round."""

    def __init__(self, publishers: Sequence[Publisher], topics: Sequence[str]) -> None:
        self._publishers = publishers
        self._topics = topics
        self._sent = 0
        self._failure: BaseException | None = None

    async def send(self, payload: bytes) -> None:
        """Hand over one message without waiting for its acknowledgement."""
        number, self._sent = self._sent, self._sent + 1
        publisher = self._publishers[number % len(self._publishers)]
        topic = self._topics[number % len(self._topics)]
        message = new_message(data=payload, source=SOURCE)
        acknowledged = await publisher.enqueue(topic, message)
        acknowledged.add_done_callback(self._note)

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Hand over messages one by one."""
        for payload in payloads:
            await self.send(payload)

    async def flush(self) -> None:
        """Wait for every acknowledgement."""
        await asyncio.gather(*(publisher.flush() for publisher in self._publishers))
        if self._failure is not None:
            raise self._failure

    def _note(self, acknowledged: "asyncio.Future[PublishResult]") -> None:
        self._failure = self._failure or acknowledged.exception()


@asynccontextmanager
async def open_publishers(
    *, address: str, connections: int, topics: int, batch_messages_max: int, agents: bool
) -> AsyncIterator[tuple[PublisherRole, Reply]]:
    """Connect, and publish once to each topic and on each connection, so that all of them exist.

    Args:
        address: Of the coordinator.
        connections: How many clients.
        topics: How many topics, named PREFIX and a number.
        batch_messages_max: Most messages in one batch.
        agents: Whether each client also registers an agent.
    """
    async with AsyncExitStack() as stack:
        publishers = []
        for number in range(connections):
            client = connect(address, settings=settings_at(address, batch_messages_max))
            await stack.enter_async_context(client)
            if agents:
                await stack.enter_async_context(_registered(client, number))
            publishers.append(client.publisher(SOURCE, ack_level=ACK_LEVEL_RECEIVED))
        names = [f"{TOPIC_PREFIX}{number}" for number in range(topics)]
        await _publish_first(publishers, names)
        yield PublisherRole(ManyPublishers(publishers, names)), {}


async def _publish_first(publishers: Sequence[Publisher], topics: Sequence[str]) -> None:
    room = asyncio.Semaphore(FIRST_MESSAGES_AT_ONCE)

    async def publish(number: int) -> None:
        async with room:
            topic = topics[number % len(topics)]
            await publishers[number % len(publishers)].publish(topic, BEFORE)

    await asyncio.gather(*(publish(n) for n in range(max(len(publishers), len(topics)))))


@asynccontextmanager
async def _registered(client: Client, number: int) -> AsyncIterator[None]:
    """Hold an agent that nobody calls."""
    async with client.agent_stream(Agent(agent_id=f"bench-{number}", name="bench")):
        yield
