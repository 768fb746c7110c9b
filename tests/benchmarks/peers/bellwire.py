"""Bellwire itself, as its users run it: one class, two addresses."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.benchmarks.peers.peer import Broker, Receiver

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_RECEIVED
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK
from bellwire.client import (
    ClientSettings,
    Publisher,
    PublishResult,
    connect,
    new_message,
)
from bellwire.client.settings import PublishSettings
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator

TOPIC: Final = "bench"
SOURCE: Final = "bench/publisher"
# `publish_payloads` returns when everything is acknowledged: a few at a time keep the line busy.
CALLS_IN_FLIGHT_MAX: Final = 8


class BellwirePublisher:
    """Publishes through one Publisher of the public client."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._room = asyncio.Semaphore(CALLS_IN_FLIGHT_MAX)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    async def send(self, payload: bytes) -> None:
        """Hand over one message without waiting for its acknowledgement."""
        message = new_message(data=payload, source=SOURCE)
        acknowledged = await self._publisher.enqueue(TOPIC, message)
        acknowledged.add_done_callback(self._note)

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Start one `publish_payloads`; waits while too many are not acknowledged."""
        await self._room.acquire()
        task = asyncio.create_task(self._publish(payloads))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def flush(self) -> None:
        """Wait for every acknowledgement."""
        if self._in_flight:
            await asyncio.wait(self._in_flight)
        await self._publisher.flush()
        if self._failure is not None:
            raise self._failure

    async def _publish(self, payloads: Sequence[bytes]) -> None:
        try:
            await self._publisher.publish_payloads(TOPIC, payloads)
        except Exception as error:  # noqa: BLE001 - flush() raises it
            self._failure = self._failure or error
        finally:
            self._room.release()

    def _note(self, acknowledged: "asyncio.Future[PublishResult]") -> None:
        self._failure = self._failure or acknowledged.exception()


class Bellwire:
    """The coordinator with its defaults, and the client with its defaults but for the batch size."""

    def __init__(self, listen: str) -> None:
        self._listen = listen

    def missing(self) -> str | None:
        """Never: this is what the repository holds."""
        return None

    def versions(self) -> dict[str, str]:
        """Give nothing: the commit and the versions common to all say it."""
        return {}

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Run a coordinator."""
        settings = CoordinatorSettings(listen=(self._listen.format(directory=directory),))
        async with Coordinator(settings) as coordinator:
            yield Broker(coordinator.addresses[0], os.getpid())

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[BellwirePublisher]:
        """Connect a publisher; without a limit it keeps the client's default."""
        publish = PublishSettings()
        if batch_messages_max is not None:
            publish = replace(publish, batch_messages_max=batch_messages_max)
        async with connect(address, settings=ClientSettings(publish=publish)) as client:
            yield BellwirePublisher(client.publisher(SOURCE, ack_level=ACK_LEVEL_RECEIVED))

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Subscribe without a name and read batch by batch; a slow reader blocks the publisher."""
        async with connect(address) as client:
            await client.admin.create_topic(Topic(name=TOPIC))
            subscription = client.subscribe(TOPIC, overflow_policy=OVERFLOW_POLICY_BLOCK)

            async def read() -> None:
                async for batch in subscription.batches():
                    receiver.take_all([message.data for message in batch.messages])

            async with subscription:
                reading = asyncio.create_task(read())
                try:
                    yield
                finally:
                    reading.cancel()
                    await asyncio.wait([reading])


BELLWIRE_TCP: Final = Bellwire("127.0.0.1:0")
BELLWIRE_UNIX: Final = Bellwire("unix://{directory}/bench.sock")
