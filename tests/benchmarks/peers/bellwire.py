"""Bellwire itself, as its users run it: one class, two addresses, and the lane named by a setting."""

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
    Subscription,
    connect,
    new_message,
)
from bellwire.client.settings import PublishSettings
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator
from bellwire.transport.channel import TransportSettings

SOURCE: Final = "bench/publisher"
# `publish_payloads` returns when everything is acknowledged: a few at a time keep the line busy.
CALLS_IN_FLIGHT_MAX: Final = 8


class BellwirePublisher:
    """Publishes through one Publisher of the public client."""

    def __init__(self, publisher: Publisher, topic: str) -> None:
        self._publisher = publisher
        self._topic = topic
        self._room = asyncio.Semaphore(CALLS_IN_FLIGHT_MAX)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    async def send(self, payload: bytes) -> None:
        """Hand over one message without waiting for its acknowledgement."""
        message = new_message(data=payload, source=SOURCE)
        acknowledged = await self._publisher.enqueue(self._topic, message)
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
            await self._publisher.publish_payloads(self._topic, payloads)
        except Exception as error:  # noqa: BLE001 - flush() raises it
            self._failure = self._failure or error
        finally:
            self._room.release()

    def _note(self, acknowledged: "asyncio.Future[PublishResult]") -> None:
        self._failure = self._failure or acknowledged.exception()


class Bellwire:
    """A coordinator that keeps everything in memory."""

    def __init__(
        self,
        listen: str,
        topic: str = "bench",
        *,
        socket_lane: bool = False,
        direct: bool = False,
    ) -> None:
        self._listen = listen
        self._topic = topic
        self._socket_lane = socket_lane
        self._direct = direct

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
        settings = client_settings(batch_messages_max, socket_lane=self._socket_lane)
        async with connect(address, settings=settings) as client:
            publisher = client.publisher(SOURCE, ack_level=ACK_LEVEL_RECEIVED)
            yield BellwirePublisher(publisher, self._topic)

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Subscribe without a name and read batch by batch; a slow reader blocks the publisher."""
        settings = client_settings(socket_lane=self._socket_lane)
        async with connect(address, settings=settings) as client:
            await client.admin.create_topic(Topic(name=self._topic))
            subscription = client.subscribe(
                self._topic, overflow_policy=OVERFLOW_POLICY_BLOCK, direct=self._direct
            )
            async with reading(subscription, receiver):
                yield


def client_settings(
    batch_messages_max: int | None = None, *, socket_lane: bool = False
) -> ClientSettings:
    """Give the defaults but for the size of batches, and the lane by name.

    What a client chooses by itself may change; a row of the tables must not change its meaning.
    """
    publish = PublishSettings()
    if batch_messages_max is not None:
        publish = replace(publish, batch_messages_max=batch_messages_max)
    return ClientSettings(publish=publish, transport=TransportSettings(socket_lane=socket_lane))


def settings_at(address: str, batch_messages_max: int | None = None) -> ClientSettings:
    """Give settings for an address whose kind names the lane: gRPC over TCP, the socket lane on a Unix socket."""
    return client_settings(batch_messages_max, socket_lane=address.startswith("unix:"))


@asynccontextmanager
async def reading(subscription: Subscription, receiver: Receiver) -> AsyncIterator[None]:
    """Open a subscription and pass on its batches."""

    async def read() -> None:
        async for batch in subscription.batches():
            receiver.take_all([message.data for message in batch.messages])

    async with subscription:
        task = asyncio.create_task(read())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


BELLWIRE_TCP: Final = Bellwire("127.0.0.1:0")
BELLWIRE_UNIX: Final = Bellwire("unix://{directory}/bench.sock")
BELLWIRE_SOCKET: Final = Bellwire("unix://{directory}/bench.sock", socket_lane=True)
BELLWIRE_DIRECT: Final = Bellwire("unix://{directory}/bench.sock", socket_lane=True, direct=True)
BELLWIRE_NEIGHBOUR: Final = Bellwire("127.0.0.1:0", "bench.neighbour")
