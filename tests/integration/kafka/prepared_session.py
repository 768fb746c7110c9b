"""The store's way to a mock cluster, which knows neither CreateTopics nor DeleteRecords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.kafka.mock_cluster import MockCluster

from bellwire.coordinator.log.kafka import KafkaSettings
from bellwire.coordinator.log.kafka.session import KafkaSession
from bellwire.transport.kafka import IDEMPOTENT_PRODUCER, READ_COMMITTED, TRANSACTIONS


class PreparedSession(KafkaSession):
    """A session for brokers that know no CreateTopics: its topics are made beside it.

    Attributes:
        made: Names of those topics.
    """

    needed = (IDEMPOTENT_PRODUCER, TRANSACTIONS, READ_COMMITTED)

    def __init__(self, settings: KafkaSettings, cluster: MockCluster) -> None:
        super().__init__(settings)
        self._cluster = cluster
        self.made: set[str] = set()

    async def ensure_topic(self, name: str, partitions: int, config: Mapping[str, str]) -> None:
        """Create a topic once."""
        if name not in self.made:
            self.made.add(name)
            self._cluster.create_topic(name, partitions)

    async def _started_consumer(self) -> Any:
        consumer = await super()._started_consumer()
        # What the mock writes at the end of a transaction bears no checksum.
        consumer._fetcher._check_crcs = False
        return consumer
