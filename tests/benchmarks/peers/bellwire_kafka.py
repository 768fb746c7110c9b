"""Bellwire with its durable topics in Kafka: each message is acknowledged when the replicas have it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.peers.bellwire_durable import BellwireDurable
from tests.benchmarks.peers.kafka_server import missing_parts, running, versions_of_parts
from tests.benchmarks.peers.peer import Broker

from bellwire.admin.v1.topic_pb2 import LOG_KIND_KAFKA
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_REPLICATED
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator

PACKAGE: Final = "aiokafka"


class BellwireOnKafka(BellwireDurable):
    """A coordinator with one topic in Kafka, and the broker, which counts as a part of it."""

    def missing(self) -> str | None:
        """Tell what is not installed."""
        return missing_parts(PACKAGE)

    def versions(self) -> dict[str, str]:
        """Give the versions of the broker and of the client the coordinator writes with."""
        return versions_of_parts(PACKAGE)

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Run Kafka and a coordinator on it."""
        async with running(directory) as broker:
            settings = CoordinatorSettings(listen=("127.0.0.1:0",), kafka=broker.bootstrap)
            async with Coordinator(settings) as coordinator:
                yield Broker(coordinator.addresses[0], os.getpid())


BELLWIRE_KAFKA: Final = BellwireOnKafka(LOG_KIND_KAFKA, ACK_LEVEL_REPLICATED)
