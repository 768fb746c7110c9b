"""Reads entries back, from the place in Kafka that the index knows."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

from aiokafka.errors import OffsetOutOfRangeError

from bellwire.coordinator.log.kafka.entries import Assembly
from bellwire.coordinator.log.kafka.faults import AWAY
from bellwire.coordinator.log.kafka.index import Index
from bellwire.coordinator.log.kafka.positions import Positions
from bellwire.coordinator.log.kafka.session import KafkaSession
from bellwire.coordinator.log.kafka.settings import KafkaSettings
from bellwire.coordinator.log.protocol import Entry
from bellwire.policy.backoff import Backoff
from bellwire.wire.errors import DataCorruptError, StoreReadOnlyError

__all__ = ["Reader"]

_log = logging.getLogger("bellwire.coordinator")


class Reader:
    """Gives neighbouring entries of a log.

    Attributes:
        foreign_records: Records in its topics that are none of its own, and were passed over.
        gives_up: Whether to wait for Kafka no longer.
    """

    def __init__(self, settings: KafkaSettings, session: KafkaSession, index: Index) -> None:
        self._settings = settings
        self._session = session
        self._index = index
        self.foreign_records = 0
        self.gives_up = False

    async def read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        """Return entries from the one that holds an offset on; waits for Kafka as long as it is away.

        Raises:
            DataCorruptError: Kafka has deleted what the bus still keeps.
            StoreReadOnlyError: It gives up.
        """
        backoff = Backoff(*self._settings.retry_seconds)
        while True:
            with self._index.lock:
                log = self._index.get(log_id)
                start = log.at_or_before(offset) if log is not None else None
                end = log.end if log is not None else 0
            if log is None or start is None or offset >= end:
                return []
            try:
                return await self._gather(log, log_id, start, offset, bytes_max)
            except OffsetOutOfRangeError:
                with self._index.lock:
                    evicted = (
                        self._index.get(log_id) is not log or log.at_or_before(offset) != start
                    )
                if evicted:  # By the bus, while it was read.
                    continue
                raise DataCorruptError(
                    f"Kafka has deleted records of topic {log.topic!r}, partition {log.partition}, which the bus still "
                    "keeps: set retention.ms and retention.bytes of the topic to -1",
                    metadata={"topic": log.topic, "partition": str(log.partition)},
                ) from None
            except AWAY as error:
                if self.gives_up:
                    raise StoreReadOnlyError("the store was closed while it was read") from None
                _log.warning("Kafka gave no records, trying again: %r", error)
            await asyncio.sleep(backoff.next_delay())

    async def _gather(
        self, log: Positions, log_id: int, start: int, offset: int, bytes_max: int
    ) -> list[Entry]:
        low, end = self._index.state.low_offset(log_id), log.end
        assembly = Assembly(log_id)
        found: list[Entry] = []
        left = bytes_max
        async with aclosing(self._session.read(log.topic, log.partition, start)) as records:
            async for record in records:
                entry = assembly.add(record)
                if entry is None:
                    continue
                if entry.next_offset > max(offset, low):
                    if not found and entry.base_offset > offset:
                        break  # A gap, or evicted.
                    if found and (
                        entry.stored_bytes > left or entry.base_offset != found[-1].next_offset
                    ):
                        break
                    found.append(entry)
                    left -= entry.stored_bytes
                if entry.next_offset >= end:
                    break
        self.foreign_records += assembly.foreign
        return found
