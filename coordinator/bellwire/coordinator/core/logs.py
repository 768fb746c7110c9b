"""Makes the logs of partitions and collects what must be loaded for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from bellwire.coordinator.core.journal import Journal
from bellwire.coordinator.core.topic import LogKind, TopicSettings
from bellwire.coordinator.log.cache import EntryCache
from bellwire.coordinator.log.durable import DurableLog
from bellwire.coordinator.log.memory import MemoryLog
from bellwire.coordinator.log.protocol import PartitionLog
from bellwire.coordinator.log.records import SegmentRecord

LOG_ID_BITS: Final = 63


class Logs:
    """The logs of one coordinator.

    Attributes:
        wanted: (log, offset) of entries that must be loaded from the store.
        on_wanted: Called when there is a new one.
    """

    def __init__(self, journal: Journal, cache_bytes: int, random: Random) -> None:
        self._journal = journal
        self._cache = EntryCache(cache_bytes)
        self._random = random
        self.wanted: deque[tuple[DurableLog, int]] = deque()
        self.on_wanted: Callable[[], None] = _nothing

    def new(self, settings: TopicSettings) -> list[PartitionLog]:
        """Make the logs of a new topic."""
        ids = [self._random.getrandbits(LOG_ID_BITS) or 1 for _ in range(settings.partition_count)]
        if settings.log is LogKind.MEMORY:
            return [MemoryLog(log_id) for log_id in ids]
        return [self.durable(log_id, settings) for log_id in ids]

    def durable(
        self, log_id: int, settings: TopicSettings, segments: Iterable[SegmentRecord] = ()
    ) -> DurableLog:
        """Make a durable log, empty or as the store knows it."""
        log = DurableLog(
            log_id,
            self._journal,
            self._cache,
            retention_messages=settings.retention_messages,
            retention_bytes=settings.retention_bytes,
            retention_seconds=settings.retention_seconds,
            segments=segments,
        )

        def want(offset: int) -> None:
            self.wanted.append((log, offset))
            self.on_wanted()

        log.on_missing = want
        return log


def _nothing() -> None:
    """Nobody loads."""
