"""Keeps the last message of each key of some topics: warmed from their logs, fed by whatever can be read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from bellwire.coordinator.cache.kept_topic import KeptTopic, LastMessage
from bellwire.coordinator.cache.latest_below import LatestBelow, OlderMessage
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.committer import READ_BYTES, Committer
from bellwire.coordinator.core.bus import Bus
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


class LatestKeeper:
    """Reads along with the topics that the settings name, by a task of its own, one topic at a time.

    Attributes:
        topics: Kept, by name.
        hits: Keys asked for that memory knew.
        misses: Keys it did not know.
        expired: Of the misses, keys whose last message has expired.
    """

    def __init__(
        self,
        settings: CacheSettings,
        bus: Bus,
        committer: Committer,
        store: Store,
        below: LatestBelow | None = None,
    ) -> None:
        """Begin with nothing; `warm` reads the topics there are.

        Args:
            settings: Topics and bounds.
            bus: Of the topics.
            committer: Reads its store.
            store: Of durable topics.
            below: Asked for what memory does not know; None = nobody is.

        Raises:
            InvalidTopicNameError: A pattern of the settings is none.
        """
        self._settings = settings
        self._bus = bus
        self._committer = committer
        self._store = store
        self.below = below or LatestBelow(settings, None, None)
        self._patterns = [TopicPattern(text) for text in settings.latest]
        self._ours: dict[str, bool] = {}
        self._behind: dict[str, None] = {}  # A set that keeps its order.
        self._deleted: dict[str, None] = {}
        self._failing: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self.topics: dict[str, KeptTopic] = {}
        self.hits = 0
        self.misses = 0
        self.expired = 0

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

    async def find(self, name: str, keys: Iterable[str], now_ns: int) -> dict[str, LastMessage]:
        """Return the last messages of keys, as of all that could be read when this was called.

        Raises:
            UnknownTopicError: There is no such topic.
            LatestNotKeptError: The settings do not name it.
            BellwireError: Its log cannot be read.
        """
        topic = self._named(name)
        wanted = list(dict.fromkeys(keys))
        kept = self._kept(topic)
        if not kept.is_warm:
            ends = [partition.log.high_watermark for partition in topic.partitions]
            early = await self.below.find_early(kept.asked(ends), wanted)
            if early is not None:
                return _live(early, now_ns)
        await self._catch_up(kept)
        found, missing = self._from_memory(kept, wanted, now_ns)
        if missing:
            older = _live(await self.below.find(kept.asked(), missing), now_ns)
            newer, _ = self._from_memory(kept, older, now_ns, counts=False)
            found |= older | newer  # A newer one may have come while the older was looked for.
        return found

    async def recent_keys(self, name: str, count: int) -> Sequence[str]:
        """Return at most so many keys of a topic, those published last first; only such as memory knows.

        Raises:
            UnknownTopicError: There is no such topic.
            LatestNotKeptError: The settings do not name it.
            BellwireError: Its log cannot be read.
        """
        kept = self._kept(self._named(name))
        await self._catch_up(kept)
        return kept.messages.recent_keys(count)

    async def close(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.below.close()

    def _from_memory(
        self, kept: KeptTopic, keys: Iterable[str], now_ns: int, *, counts: bool = True
    ) -> tuple[dict[str, LastMessage], Sequence[str]]:
        """Return what memory knows, and the keys of which it knows nothing."""
        found: dict[str, LastMessage] = {}
        missing: list[str] = []
        expired = 0
        for key in keys:
            item = kept.messages.known(key)
            if item is None:
                missing.append(key)
            elif 0 < item.message.expire_time_unix_nano <= now_ns:
                expired += 1
            else:
                log_id = kept.topic.partitions[item.partition].log.log_id
                found[key] = LastMessage(item.message, item.partition, item.offset, log_id)
        if counts:
            self.hits += len(found)
            self.misses += len(missing) + expired
            self.expired += expired
        return found, missing

    def _named(self, name: str) -> Topic:
        topic = self._bus.existing_topic(name)
        if not self._keeps(name):
            raise LatestNotKeptError(
                f"last messages of {name!r} are not kept: start the coordinator with `--set cache.latest={name}`",
                metadata={"topic": name},
            )
        return topic

    def _keeps(self, topic: str) -> bool:
        ours = self._ours.get(topic)
        if ours is None:
            if len(self._ours) >= TOPICS_REMEMBERED:
                self._ours.clear()
            ours = any(pattern.matches(topic) for pattern in self._patterns)
            self._ours[topic] = ours
        return ours

    def _kept(self, topic: Topic) -> KeptTopic:
        kept = self.topics.get(topic.name)
        if kept is None or kept.topic is not topic:  # New, or deleted and made anew.
            for gone in self.topics.keys() - self._bus.topics.keys():
                self._forget(gone)
            made_anew = kept is not None or topic.name in self._deleted
            kept = self.topics[topic.name] = KeptTopic(topic, self._settings, made_anew=made_anew)
            if self.below.redis is not None:
                self.below.redis.begin(kept.asked(), kept.next_offsets)
        return kept

    def _forget(self, name: str) -> None:
        if self.topics.pop(name, None) is None:
            return
        if len(self._deleted) >= TOPICS_REMEMBERED:
            del self._deleted[next(iter(self._deleted))]
        self._deleted[name] = None
        if self.below.redis is not None:
            self.below.redis.forget(name)

    async def _follow(self) -> None:
        while self._behind:
            name = next(iter(self._behind))
            del self._behind[name]
            topic = self._bus.topics.get(name)
            if topic is None:
                self._forget(name)
                continue
            try:
                kept = self._kept(topic)
                await self._catch_up(kept)
                self._failing.discard(name)
                if not kept.has_asked_store:
                    kept.has_asked_store = True
                    await self.below.warm(kept.asked())
            except BellwireError as error:
                if name not in self._failing:  # Said once, not with every try.
                    self._failing.add(name)
                    _log.warning("last messages of %r are behind: %s", name, error.message)
                self._behind[name] = None
                await asyncio.sleep(AGAIN_SECONDS)
        self._task = None

    async def _catch_up(self, kept: KeptTopic) -> None:
        async with kept.lock:
            for index, partition in enumerate(kept.topic.partitions):
                until = partition.log.high_watermark
                while kept.next_offsets[index] < until:
                    first = max(kept.next_offsets[index], partition.log.low_offset)
                    if first > kept.next_offsets[index]:  # Retention was faster.
                        self._skip(kept, index, first)
                    kept.next_offsets[index] = first
                    entries = await self._read(partition, first)
                    if not entries and partition.log.low_offset <= first:
                        break
                    for entry in entries:
                        self._take(kept, index, entry)
                        await asyncio.sleep(0)  # Opening a block is short, opening many is not.
            kept.is_warm = True

    def _take(self, kept: KeptTopic, index: int, entry: Entry) -> None:
        taken = kept.messages.take(index, entry)
        kept.next_offsets[index] = entry.next_offset
        redis = self.below.redis
        if redis is not None and self.topics.get(kept.topic.name) is kept:
            redis.note(kept.topic.name, index, taken, entry.next_offset)

    def _skip(self, kept: KeptTopic, index: int, offset: int) -> None:
        kept.messages.forgets_below(index, offset)
        redis = self.below.redis
        if redis is not None and self.topics.get(kept.topic.name) is kept:
            redis.skip(kept.topic.name, index, offset)

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


def _live(found: dict[str, OlderMessage], now_ns: int) -> dict[str, LastMessage]:
    """Return what has not expired."""
    return {
        key: LastMessage(item.message, item.partition, item.offset, item.log_id)
        for key, item in found.items()
        if item.message is not None and not 0 < item.message.expire_time_unix_nano <= now_ns
    }
