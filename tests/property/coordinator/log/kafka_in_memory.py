"""A Kafka cluster in memory, for the store's own logic: transactions with holes, and connections that break."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError

from bellwire.coordinator.log.kafka.entries import KafkaRecord
from bellwire.coordinator.log.kafka.session import KafkaSession
from bellwire.coordinator.log.kafka.settings import KafkaSettings
from bellwire.wire.cloud_events import Header


class Fault(Enum):
    """What happens to a transaction."""

    NONE = 0
    """It is committed."""
    BEFORE = 1
    """It is aborted: the connection breaks before its end is asked for."""
    AFTER = 2
    """It is committed, and the connection breaks before that is heard."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A record as a consumer gets it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]


@dataclass(slots=True)
class Place:
    """A partition: committed records, and offsets that hold none."""

    records: list[Committed] = field(default_factory=list)
    next_offset: int = 0
    low_offset: int = 0


class Cluster:
    """The topics, and what is to go wrong next."""

    def __init__(self) -> None:
        self.places: defaultdict[tuple[str, int], Place] = defaultdict(Place)
        self.faults: deque[Fault] = deque()

    def write(
        self, topic: str, partition: int, records: Iterable[KafkaRecord], *, committed: bool
    ) -> int:
        """Append records, which count as never written unless committed; return the first offset."""
        place = self.places[topic, partition]
        first = place.next_offset
        for record in records:
            if committed:
                place.records.append(
                    Committed(place.next_offset, record.key, record.value, record.headers)
                )
            place.next_offset += 1
        return first


class InMemorySession(KafkaSession):
    """Connections to a cluster in memory."""

    def __init__(self, settings: KafkaSettings, cluster: Cluster) -> None:
        super().__init__(settings)
        self._cluster = cluster
        self._connected = False

    @property
    def has_producer(self) -> bool:
        return self._connected

    async def check(self) -> None:
        """Find everything in order."""

    async def open_producer(self) -> None:
        self._connected = True

    async def drop_producer(self) -> None:
        self._connected = False

    async def close(self) -> None:
        self._connected = False

    async def transact(
        self,
        entries: Iterable[tuple[str, int, Iterable[KafkaRecord]]],
        state: Callable[[Sequence[int]], Iterable[tuple[bytes, bytes | None]]],
        timestamp_ms: int,
    ) -> list[int]:
        if not self._connected:
            await self.open_producer()
        faults = self._cluster.faults
        fault = faults.popleft() if faults else Fault.NONE
        committed = fault is not Fault.BEFORE
        written = [(topic, partition, list(records)) for topic, partition, records in entries]
        offsets = [
            self._cluster.write(topic, partition, records, committed=committed)
            for topic, partition, records in written
        ]
        pairs = [KafkaRecord(timestamp_ms, key, value, []) for key, value in state(offsets)]
        self._cluster.write(self._settings.state_topic, 0, pairs, committed=committed)
        for topic, partition in {(topic, partition) for topic, partition, _ in written}:
            self._cluster.places[topic, partition].next_offset += 1
        self._cluster.places[self._settings.state_topic, 0].next_offset += 1
        await asyncio.sleep(0)
        if fault is not Fault.NONE:
            self._connected = False
            raise KafkaConnectionError("the connection broke")
        return offsets

    async def read(self, topic: str, partition: int, offset: int) -> AsyncGenerator[Any, None]:
        place = self._cluster.places[topic, partition]
        if not place.low_offset <= offset <= place.next_offset:
            raise OffsetOutOfRangeError
        for record in place.records:
            if record.offset >= offset:
                yield record
        raise TimeoutError("there is no more")

    async def read_state(self) -> list[tuple[bytes | None, bytes | None]]:
        place = self._cluster.places[self._settings.state_topic, 0]
        latest: dict[bytes | None, bytes | None] = {}
        for record in place.records:  # As if it had just been compacted.
            latest.pop(record.key, None)
            latest[record.key] = record.value
        return list(latest.items())

    async def ensure_topic(self, name: str, partitions: int, config: Mapping[str, str]) -> None:
        for partition in range(partitions):
            self._cluster.places[name, partition]

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        place = self._cluster.places[topic, partition]
        place.low_offset = place.next_offset if offset < 0 else max(place.low_offset, offset)
        place.records = [each for each in place.records if each.offset >= place.low_offset]
