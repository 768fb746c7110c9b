"""What memory keeps of the last messages of one topic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from bellwire.bus.v1.message_pb2 import Message
from bellwire.coordinator.cache.last_rule import Asked
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.core.latest import LatestMessages
from bellwire.coordinator.core.topic import Topic

__all__ = ["KeptTopic", "LastMessage"]


@dataclass(frozen=True, slots=True)
class LastMessage:
    """The last message of a key, and where it is in which log."""

    message: Message
    partition: int
    offset: int
    log_id: int


class KeptTopic:
    """One topic: what is kept of it, and how far each of its partitions was read."""

    def __init__(self, topic: Topic, settings: CacheSettings, *, made_anew: bool) -> None:
        self.topic = topic
        self.messages = LatestMessages(settings.latest_keys_max, settings.latest_bytes_max)
        self.lock = asyncio.Lock()
        self.is_warm = False
        self.has_asked_store = False
        # Only the end of a long log is read: a key that was silent for longer has no latest value.
        self.next_offsets = [
            max(p.log.low_offset, p.log.high_watermark - settings.latest_warm_messages)
            for p in topic.partitions
        ]
        for index, offset in enumerate(self.next_offsets):
            self.messages.forgets_below(index, offset)
        self._logs = tuple(p.log.log_id for p in topic.partitions)
        # A log in memory ends with the process, and its topic goes on; one deleted here was meant to end.
        self._any_log = not made_anew and not any(p.log.durable for p in topic.partitions)

    def asked(self, known_from: Iterable[int] | None = None) -> Asked:
        """Return what memory knows."""
        if known_from is None:
            known_from = (self.messages.known_from.get(n, 0) for n in range(len(self._logs)))
        return Asked(self.topic.name, self._logs, tuple(known_from), self._any_log)
