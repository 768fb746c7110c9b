"""Last messages in Redis: written behind, read where memory does not know a key or has not been warmed."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bellwire.coordinator.cache.last_rule import Asked, is_last
from bellwire.coordinator.cache.latest_record import (
    PUT_NEWER,
    Position,
    Value,
    position_key,
    value_key,
)
from bellwire.coordinator.cache.latest_series import Series, parts_of
from bellwire.coordinator.cache.redis_level import NANOS, RedisLevel
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.core.latest import LatestMessage
from bellwire.policy.breaker import BreakerState
from bellwire.policy.envelope import TOKEN_BYTES, GarbageError

ROUND_SECONDS: Final = 0.05  # Between two rounds of writing: bounds what a busy topic costs.
AGAIN_SECONDS: Final = 0.5  # After Redis took nothing.
LIFE_SECONDS: Final = 86_400  # Of a key that is not published again; then it is a miss.
WAITING_MAX: Final = 20_000  # Keys of a topic; beyond, its values in Redis begin anew.
WAITING_BYTES_MAX: Final = 32 << 20  # Over all topics; the same.
READ_KEYS_MAX: Final = 64
CLOSING_SECONDS_MAX: Final = 1.0


class RedisLatest:
    """Writes what is new and reads what memory lacks; fails nobody.

    Attributes:
        hits: Keys found.
        misses: Keys not found, or of which it is not proved that it is the last message.
        garbage: Values that were none.
        stale: Of the misses, messages that might not be the last.
        written: Messages written.
        begun_anew: Times the values of a topic in Redis were given up, since not all could be written.
    """

    def __init__(self, redis: RedisLevel, settings: CacheSettings) -> None:
        self._redis = redis
        self._prefix = settings.redis_prefix
        self._message_bytes_max = settings.value_bytes_max
        self._series: dict[str, Series] = {}
        self._changed: dict[str, None] = {}
        self._waiting_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.hits = 0
        self.misses = 0
        self.garbage = 0
        self.stale = 0
        self.written = 0
        self.begun_anew = 0

    @property
    def state(self) -> BreakerState:
        """CLOSED while Redis answers."""
        return self._redis.state

    # ------------------------------------------------------------ writing

    def begin(self, asked: Asked, next_offsets: Sequence[int]) -> None:
        """Note that a topic is read from these offsets on; what was noted of a former one of that name goes."""
        self.forget(asked.topic)
        self._series[asked.topic] = Series(asked, list(next_offsets), list(next_offsets))
        self._wake(asked.topic)

    def forget(self, topic: str) -> None:
        """Note that a topic is gone."""
        series = self._series.pop(topic, None)
        self._changed.pop(topic, None)
        if series is not None:
            self._waiting_bytes -= sum(found.size_bytes for found in series.waiting.values())

    def note(
        self, topic: str, partition: int, found: Iterable[LatestMessage], next_offset: int
    ) -> None:
        """Note the last messages of some keys; all below `next_offset` was noted then."""
        series = self._series[topic]
        for item in found:
            if item.offset < series.adopted.get(partition, 0):
                continue  # It was there before us.
            older = series.waiting.get(item.message.key)
            self._waiting_bytes += item.size_bytes - (older.size_bytes if older is not None else 0)
            series.waiting[item.message.key] = item
        series.noted[partition] = next_offset
        if len(series.waiting) > WAITING_MAX or self._waiting_bytes > WAITING_BYTES_MAX:
            self._give_up(series)
        self._wake(topic)

    def skip(self, topic: str, partition: int, offset: int) -> None:
        """Note that nobody here saw the messages below an offset."""
        series = self._series[topic]
        series.noted[partition] = offset
        self._give_up(series)
        self._wake(topic)

    async def close(self) -> None:
        """Write what waits, for at most `CLOSING_SECONDS_MAX`."""
        if self._task is None:
            return
        self._closing = True
        _, pending = await asyncio.wait([self._task], timeout=CLOSING_SECONDS_MAX)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _give_up(self, series: Series) -> None:
        """Begin anew with what comes from now on: what is in Redis is no longer the last of all keys."""
        self._waiting_bytes -= sum(found.size_bytes for found in series.waiting.values())
        series.waiting.clear()
        series.begins = list(series.noted)
        series.adopted = {}
        series.token = secrets.token_bytes(TOKEN_BYTES)
        self.begun_anew += 1

    def _wake(self, topic: str) -> None:
        self._changed[topic] = None
        if self._task is None and not self._closing:
            self._task = asyncio.create_task(self._write_all(), name="last messages to Redis")

    async def _write_all(self) -> None:
        while self._changed:
            topic = next(iter(self._changed))
            del self._changed[topic]
            series = self._series.get(topic)
            if series is not None and not await self._write(series):
                if self._closing:
                    break
                if self._series.get(topic) is series:
                    self._changed[topic] = None
                await asyncio.sleep(AGAIN_SECONDS)
            if not self._changed and not self._closing:
                await asyncio.sleep(ROUND_SECONDS)
        self._task = None

    async def _write(self, series: Series) -> bool:
        """Write what waits of a topic, then how far it has come; False = Redis took not all."""
        if not series.token and not await self._adopt(series):
            return False
        # Given up meanwhile, it goes on under another token: then this one's position is not written.
        token, reached = series.token, series.reached()
        batch, series.waiting = series.waiting, {}
        for part in parts_of(batch.values()):
            if await self._redis.ask(*self._put(series, token, part)) is None:
                if series.token == token:
                    series.waiting = batch | series.waiting
                self._count_waiting()
                return False
            for item in part:
                if batch.pop(item.message.key, None) is not None:
                    self._waiting_bytes -= item.size_bytes
            self.written += len(part)
        if series.token != token:
            self._count_waiting()
            return False
        name = position_key(self._prefix, series.asked.topic)
        position = Position(token, series.asked.logs, reached).seal(name, _expiry())
        done = await self._redis.ask("SET", name, position, "EX", LIFE_SECONDS)
        return done is not None

    def _count_waiting(self) -> None:
        self._waiting_bytes = sum(
            found.size_bytes
            for series in self._series.values()
            for found in series.waiting.values()
        )

    async def _adopt(self, series: Series) -> bool:
        """Go on with the values in Redis if they have come as far as ours begin; False = it does not answer."""
        asked = series.asked
        name = position_key(self._prefix, asked.topic)
        reply = await self._redis.ask("MGET", name)
        if reply is None:
            return False
        position = self._position(reply[0], name)
        if series.token:  # Given up meanwhile.
            return True
        if position is None or not self._continues(series, position):
            series.token = secrets.token_bytes(TOKEN_BYTES)
            return True
        series.token = position.token
        covered = series.adopted = position.covered(asked.logs)
        for key, item in tuple(series.waiting.items()):
            if item.offset < covered.get(item.partition, 0):
                del series.waiting[key]
                self._waiting_bytes -= item.size_bytes
        return True

    def _continues(self, series: Series, position: Position) -> bool:
        covered = position.covered(series.asked.logs)
        if len(covered) == len(series.asked.logs):
            return all(covered[index] >= begin for index, begin in enumerate(series.begins))
        # The logs of an earlier life: all of today's is newer, if we have all of today's.
        return series.asked.any_log and not covered and not any(series.begins)

    def _put(self, series: Series, token: bytes, part: Sequence[LatestMessage]) -> Iterator[object]:
        asked, expiry = series.asked, _expiry()
        names = [value_key(self._prefix, asked.topic, item.message.key) for item in part]
        yield from ("EVAL", PUT_NEWER, len(part), *names, LIFE_SECONDS)
        for name, item in zip(names, part, strict=True):
            fits = item.size_bytes <= self._message_bytes_max
            message = item.message if fits else None
            log_id = asked.logs[item.partition]
            yield Value(token, log_id, item.partition, item.offset, message).seal(name, expiry)

    # ------------------------------------------------------------ reading

    async def find(self, asked: Asked, keys: Sequence[str]) -> dict[str, Value]:
        """Return the last messages of those keys for which that is proved."""
        found: dict[str, Value] = {}
        for begin in range(0, len(keys), READ_KEYS_MAX):
            part = keys[begin : begin + READ_KEYS_MAX]
            name = position_key(self._prefix, asked.topic)
            names = [value_key(self._prefix, asked.topic, key) for key in part]
            reply = await self._redis.ask("MGET", name, *names)
            if reply is None:
                return found
            position = self._position(reply[0], name)
            for key, key_name, data in zip(part, names, reply[1:], strict=True):
                value = self._judged(asked, position, key_name, data)
                self.hits += value is not None
                self.misses += value is None
                if value is not None:
                    found[key] = value
        return found

    def _judged(
        self, asked: Asked, position: Position | None, name: str, data: object
    ) -> Value | None:
        if not isinstance(data, bytes):
            return None
        try:
            value = Value.open(data, name)
        except GarbageError:
            self.garbage += 1
            return None
        if (
            value.message is None
            or position is None
            or value.token != position.token
            or not is_last(asked, value, position.covered(asked.logs))
        ):
            self.stale += 1
            return None
        return value

    def _position(self, data: object, name: str) -> Position | None:
        if not isinstance(data, bytes):
            return None
        try:
            return Position.open(data, name)
        except GarbageError:
            self.garbage += 1
            return None


def _expiry() -> int:
    return time.time_ns() + LIFE_SECONDS * NANOS
