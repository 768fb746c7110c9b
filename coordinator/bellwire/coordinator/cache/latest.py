"""Keeps the last message of each key of some topics: warmed from their logs, fed by whatever can be read."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.committer import READ_BYTES, Committer
from bellwire.coordinator.core.bus import Bus
from bellwire.coordinator.core.latest import LatestMessages
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.core.topic import Topic
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.store import Store
from bellwire.wire.errors import BellwireError, LatestNotKeptError
from bellwire.wire.topic import TopicPattern

AGAIN_SECONDS: Final = 1.0  # After a log could not be read.
TOPICS_REMEMBERED: Final = (
    10_000  # Of which it is known whether they are ours; beyond, they are looked at anew.
)
_log = logging.getLogger("bellwire.coordinator")


class _Kept:
    """One topic: what is kept of it, and how far each of its partitions was read."""

    def __init__(self, topic: Topic, settings: CacheSettings) -> None:
        self.topic = topic
        self.messages = LatestMessages(settings.latest_keys_max, settings.latest_bytes_max)
        self.lock = asyncio.Lock()
        # Only the end of a long log is read: a key that was silent for longer has no latest value.
        self.next_offsets = [
            max(p.log.low_offset, p.log.high_watermark - settings.latest_warm_messages)
            for p in topic.partitions
        ]


class LatestKeeper:
    """Reads along with the topics that the settings name, by a task of its own, one topic at a time.

    Attributes:
        topics: Kept, by name.
    """

    def __init__(
        self, settings: CacheSettings, bus: Bus, committer: Committer, store: Store
    ) -> None:
        """Begin with nothing; `warm` reads the topics there are.

        Raises:
            InvalidTopicNameError: A pattern of the settings is none.
        """
        self._settings = settings
        self._bus = bus
        self._committer = committer
        self._store = store
        self._patterns = [TopicPattern(text) for text in settings.latest]
        self._ours: dict[str, bool] = {}
        self._behind: dict[str, None] = {}  # A set that keeps its order.
        self._failing: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self.topics: dict[str, _Kept] = {}

    def warm(self) -> None:
        """Begin to read what the logs hold."""
        for name in self._bus.topics:
            self.on_readable(name)

    def on_readable(self, topic: str) -> None:
        """Take note that more of a topic can be read."""
        if not self._patterns or not self._keeps(topic):
            return
        self._behind[topic] = None
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="latest values")

    async def latest(self, name: str) -> LatestMessages:
        """Return the last messages of a topic, as of all that could be read when this was called.

        Raises:
            UnknownTopicError: There is none of that name.
            LatestNotKeptError: The settings do not name it.
            BellwireError: Its log cannot be read.
        """
        topic = self._bus.existing_topic(name)
        if not self._keeps(name):
            raise LatestNotKeptError(
                f"last messages of {name!r} are not kept: start the coordinator with `--set cache.latest={name}`",
                metadata={"topic": name},
            )
        kept = self._kept(topic)
        await self._catch_up(kept)
        return kept.messages

    async def close(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _keeps(self, topic: str) -> bool:
        ours = self._ours.get(topic)
        if ours is None:
            if len(self._ours) >= TOPICS_REMEMBERED:
                self._ours.clear()
            ours = any(pattern.matches(topic) for pattern in self._patterns)
            self._ours[topic] = ours
        return ours

    def _kept(self, topic: Topic) -> _Kept:
        kept = self.topics.get(topic.name)
        if kept is None or kept.topic is not topic:  # New, or deleted and made anew.
            for gone in self.topics.keys() - self._bus.topics.keys():
                del self.topics[gone]
            kept = self.topics[topic.name] = _Kept(topic, self._settings)
        return kept

    async def _follow(self) -> None:
        while self._behind:
            name = next(iter(self._behind))
            del self._behind[name]
            topic = self._bus.topics.get(name)
            if topic is None:
                self.topics.pop(name, None)
                continue
            try:
                await self._catch_up(self._kept(topic))
                self._failing.discard(name)
            except BellwireError as error:
                if name not in self._failing:  # Said once, not with every try.
                    self._failing.add(name)
                    _log.warning("last messages of %r are behind: %s", name, error.message)
                self._behind[name] = None
                await asyncio.sleep(AGAIN_SECONDS)
        self._task = None

    async def _catch_up(self, kept: _Kept) -> None:
        async with kept.lock:
            for index, partition in enumerate(kept.topic.partitions):
                until = partition.log.high_watermark
                while kept.next_offsets[index] < until:
                    first = max(kept.next_offsets[index], partition.log.low_offset)
                    kept.next_offsets[index] = first
                    entries = await self._read(partition, first)
                    if not entries and partition.log.low_offset <= first:
                        break
                    for entry in entries:
                        kept.messages.take(index, entry)
                        kept.next_offsets[index] = entry.next_offset
                        await asyncio.sleep(0)  # Opening a block is short, opening many is not.

    async def _read(self, partition: Partition, offset: int) -> list[Entry]:
        log = partition.log
        if offset >= log.high_watermark:
            return []
        if not log.durable:
            entry = log.read(offset)
            return (
                [] if entry is None else [entry]
            )  # Evicted meanwhile: the next look begins at what is kept.
        # Past the cache, which is for those who keep up.
        return list(
            await self._committer.read(lambda: self._store.read(log.log_id, offset, READ_BYTES))
        )
