"""Last messages that memory does not know: from Redis, then from the store; what was found is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from bellwire.bus.v1.message_pb2 import Message
from bellwire.coordinator.cache.last_rule import Asked, is_last
from bellwire.coordinator.cache.redis_latest import RedisLatest
from bellwire.coordinator.cache.settings import ENTRY_BYTES, CacheSettings
from bellwire.coordinator.cache.source import FoundMessage
from bellwire.coordinator.cache.source_level import SourceLevel
from bellwire.policy.bounded_cache import BoundedCache, CacheBounds

REMEMBERED_MAX: Final = 100_000  # Keys, over all topics.
REMEMBERED_BYTES_MAX: Final = 64 << 20
REMEMBERED_SECONDS: Final = 3_600.0  # It does not grow old: a newer one is in memory.
COVERED_SECONDS: Final = 5.0  # An older answer says less than it could, never more.
STORE_KEYS_MAX: Final = 1_000
TOPICS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class OlderMessage:
    """The last message of a key, as a level below memory has it.

    Attributes:
        message: None = there is none.
        partition: Where it is in its log.
        offset: Where it is in its log.
        log_id: Its log, which may be one of the same topic before the coordinator was started.
    """

    message: Message | None
    partition: int = 0
    offset: int = 0
    log_id: int = 0


_NONE: Final = OlderMessage(None)
_Key: TypeAlias = "tuple[Asked, str]"


class LatestBelow:
    """Asks the levels below memory, in their order, and remembers what they said.

    What is remembered is found by what memory knew then: once it has let go of anything, it is asked for anew.

    Attributes:
        redis: The second level, if there is one.
        store: The third, if there is one.
        store_hits: Keys found there.
        store_misses: Keys not found, or of which it is not proved that it is the last message.
        store_stale: Of these, messages that might not be the last.
    """

    def __init__(
        self, settings: CacheSettings, redis: RedisLatest | None, store: SourceLevel | None
    ) -> None:
        self.redis = redis
        self.store = store
        self._found: BoundedCache[_Key, OlderMessage] = BoundedCache(
            CacheBounds(
                entries_max=REMEMBERED_MAX,
                bytes_max=REMEMBERED_BYTES_MAX,
                entry_bytes_max=4 << 20,
                ttl_seconds=REMEMBERED_SECONDS,
                negative_ttl_seconds=settings.negative_ttl_seconds,
            )
        )
        self._covered: dict[tuple[str, tuple[int, ...]], tuple[float, Mapping[int, int]]] = {}
        self.store_hits = 0
        self.store_misses = 0
        self.store_stale = 0

    async def close(self) -> None:
        """Write what waits."""
        if self.redis is not None:
            await self.redis.close()

    async def find(self, asked: Asked, keys: Iterable[str]) -> dict[str, OlderMessage]:
        """Return the last messages of keys that memory does not know."""
        found: dict[str, OlderMessage] = {}
        if not asked.may_be_found or (self.redis is None and self.store is None):
            return found
        now = asyncio.get_running_loop().time()
        missing = []
        for key in keys:
            known = self._found.get((asked, key), now)
            if known is None:
                missing.append(key)
            elif known.message is not None:
                found[key] = known
        if missing and self.redis is not None:
            for key, value in (await self.redis.find(asked, missing)).items():
                found[key] = OlderMessage(
                    value.message, value.partition, value.offset, value.log_id
                )
                self._remember(asked, key, found[key])
            missing = [key for key in missing if key not in found]
        if missing and self.store is not None:
            found.update(await self._from_store(self.store, asked, missing))
        return found

    async def find_early(self, asked: Asked, keys: Sequence[str]) -> dict[str, OlderMessage] | None:
        """Return the last messages of all keys if Redis has come as far as the log; None = wait for memory."""
        if self.redis is None:
            return None
        found = await self.redis.find(asked, keys)
        if len(found) < len(keys):
            return None
        return {
            key: OlderMessage(value.message, value.partition, value.offset, value.log_id)
            for key, value in found.items()
        }

    async def warm(self, asked: Asked) -> None:
        """Remember the last messages of the keys that the store has written last."""
        if self.store is not None and asked.may_be_found:
            await self._from_store(self.store, asked, ())

    async def _from_store(
        self, store: SourceLevel, asked: Asked, keys: Sequence[str]
    ) -> dict[str, OlderMessage]:
        """Ask the store; without keys, for those it has written last."""
        covered = await self._coverage(store, asked)
        given = await store.last_messages(
            asked.topic, keys[:STORE_KEYS_MAX], asked.logs, any_log=asked.any_log
        )
        if covered is None or given is None:
            return {}
        found: dict[str, OlderMessage] = {}
        for item in given:
            if not is_last(asked, item, covered):
                self.store_stale += 1
                continue
            key = item.message.key
            found[key] = _older(item)
            self._remember(asked, key, found[key])
        if keys:
            self.store_hits += len(found)
            self.store_misses += len(keys) - len(found)
        for key in keys:
            if key not in found:
                self._remember(asked, key, _NONE)
        return found

    async def _coverage(self, store: SourceLevel, asked: Asked) -> Mapping[int, int] | None:
        """Return how far the store has come; it only ever comes further."""
        if not any(asked.known_from):
            return {}
        now = asyncio.get_running_loop().time()
        name = (asked.topic, asked.logs)
        at, covered = self._covered.get(name, (-COVERED_SECONDS, {}))
        enough = all(covered.get(index, 0) >= known for index, known in enumerate(asked.known_from))
        if enough or now < at + COVERED_SECONDS:
            return covered
        told = await store.covered(asked.topic, asked.logs)
        if told is None:
            return None
        if len(self._covered) >= TOPICS_MAX:
            self._covered.clear()
        self._covered[name] = (now, told)
        return told

    def _remember(self, asked: Asked, key: str, found: OlderMessage) -> None:
        size = ENTRY_BYTES + (found.message.ByteSize() if found.message is not None else 0)
        self._found.put(
            (asked, key),
            found,
            size,
            asyncio.get_running_loop().time(),
            negative=found.message is None,
        )


def _older(item: FoundMessage) -> OlderMessage:
    return OlderMessage(item.message, item.partition, item.offset, item.log_id)
