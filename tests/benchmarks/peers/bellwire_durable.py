"""Bellwire with a store: each message is acknowledged when it is on the disk."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.peers.bellwire import (
    SOURCE,
    BellwirePublisher,
    reading,
    settings_at,
)
from tests.benchmarks.peers.peer import DATA_FOLDER, Broker, CommitTimes, Receiver

from bellwire.admin.v1.topic_pb2 import LOG_KIND_SQLITE, LogKind, Topic
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_PERSISTED, AckLevel
from bellwire.client import Client, connect
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator

TOPIC: Final = "bench.durable"
SUBSCRIPTION: Final = "bench"


class DurablePublisher(BellwirePublisher):
    """Publishes to the durable topic."""

    def __init__(self, client: Client, ack_level: AckLevel.ValueType) -> None:
        super().__init__(client.publisher(SOURCE, ack_level=ack_level), TOPIC)
        self._client = client

    async def publish_acknowledged(self, payload: bytes) -> None:
        """Publish one message and wait until it is stored as the ack level says."""
        await self._publisher.publish(TOPIC, payload)

    async def commit_times(self) -> CommitTimes | None:
        """Ask the coordinator for the times of its latest 10,000 commits."""
        store = (await self._client.admin.server_info()).store
        return CommitTimes(store.commit_p50_micros, store.commit_p99_micros)


class BellwireDurable:
    """A coordinator with a data folder and one durable topic, over TCP."""

    def __init__(
        self,
        log: LogKind.ValueType = LOG_KIND_SQLITE,
        ack_level: AckLevel.ValueType = ACK_LEVEL_PERSISTED,
    ) -> None:
        self._topic = Topic(name=TOPIC, log=log)
        self._ack_level = ack_level

    def missing(self) -> str | None:
        """Never: this is what the repository holds."""
        return None

    def versions(self) -> dict[str, str]:
        """Give the version of the database library the coordinator writes with."""
        import sqlite3

        return {"sqlite": sqlite3.sqlite_version}

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Run a coordinator."""
        settings = CoordinatorSettings(listen=("127.0.0.1:0",), data=str(directory / DATA_FOLDER))
        async with Coordinator(settings) as coordinator:
            yield Broker(coordinator.addresses[0], os.getpid())

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[DurablePublisher]:
        """Connect a publisher; without a limit it keeps the client's default."""
        async with connect(address, settings=settings_at(address, batch_messages_max)) as client:
            await client.admin.create_topic(self._topic)
            yield DurablePublisher(client, self._ack_level)

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Subscribe with a name, so that the cursor is durable, too, and accept each batch."""
        async with connect(address, settings_at(address)) as client:
            await client.admin.create_topic(self._topic)
            async with reading(client.subscribe(TOPIC, subscription=SUBSCRIPTION), receiver):
                yield


BELLWIRE_DURABLE: Final = BellwireDurable()
