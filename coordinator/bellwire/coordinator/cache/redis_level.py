"""The second level: Redis, shared with other coordinators, bounded in time, behind a breaker."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

from bellwire.coordinator.cache.hearing import channel_of, told
from bellwire.coordinator.cache.key import CacheKey, generation_key
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.redis_client import (
    NO_EVICTION,
    RedisClient,
    eviction_policy,
    is_answer,
    is_refusal,
    open_client,
)
from bellwire.policy.breaker import Breaker, BreakerState
from bellwire.policy.envelope import (
    ENVELOPE_BYTES,
    TOKEN_BYTES,
    Envelope,
    GarbageError,
    open_envelope,
)
from bellwire.wire.errors import RedisUnavailableError
from bellwire.wire.settings import without_password

FAILURES_MAX: Final = 3  # In a row; a single time-out is a hiccup.
OPEN_SECONDS_MIN: Final = 0.25
OPEN_SECONDS_MAX: Final = 5.0  # How late we may notice that Redis is back.
START_SECONDS: Final = 2.0  # For the first look, at a server that may be far away.
GENERATION_SECONDS: Final = (
    86_400  # Of a space nobody outdates; when it ends, its values are misses.
)
MILLIS: Final = 1_000
NANOS: Final = 1_000_000_000
_log = logging.getLogger("bellwire.coordinator")


@dataclass(frozen=True, slots=True)
class Found:
    """What Redis said of a key.

    Attributes:
        asked: Whether it said anything; else nothing need be written to it either.
        token: Generation of the space; empty = it has none yet.
        payload: The value; None = it has none that is meant.
        expire_unix_nano: Of the value.
    """

    asked: bool = False
    token: bytes = b""
    payload: bytes | None = None
    expire_unix_nano: int = 0

    @property
    def seconds_left(self) -> float:
        """How long the value is valid from now on, by our clock."""
        return (self.expire_unix_nano - time.time_ns()) / NANOS


_NOTHING: Final = Found()


class RedisLevel:
    """Values under `CacheKey`s in one Redis or a cluster; no method of it raises or waits for long.

    A value belongs to a generation of its space, a random token kept in the same slot: one MGET reads both, and
    a value of another generation is a miss. So whoever writes a new token has outdated the whole space, and
    a token that Redis evicts can only make misses.

    Attributes:
        hits: Values found.
        misses: Values not there, those of `garbage` and `outdated` included.
        garbage: Values no envelope of ours, or cut, or of another key.
        outdated: Values of another generation, or too old.
        failures: Requests that failed or took too long.
        skipped: Requests not made, because the breaker was open or no connection free in time.
        written: Values written.
        write_failures: Values Redis would not take.
        node: Our name among those who tell what they outdate.
    """

    def __init__(self, settings: CacheSettings) -> None:
        """Prepare it; nothing is asked before `open`."""
        self._settings = settings
        self.node = secrets.token_hex(8)
        self._timeout = settings.redis_timeout_seconds
        self._client: RedisClient | None = None
        # Taken before a connection is: waiting for one's turn says nothing about Redis.
        self._turns = asyncio.Semaphore(settings.redis_connections)
        self._breaker = Breaker(FAILURES_MAX, OPEN_SECONDS_MIN, OPEN_SECONDS_MAX)
        self._told_state = BreakerState.CLOSED
        self.hits = 0
        self.misses = 0
        self.garbage = 0
        self.outdated = 0
        self.failures = 0
        self.skipped = 0
        self.written = 0
        self.write_failures = 0

    @property
    def state(self) -> BreakerState:
        """CLOSED while Redis answers."""
        return self._breaker.state

    async def open(self) -> None:
        """Look at the server once; one that is not there may come later.

        Raises:
            SettingsError: The URL cannot be read, or redis-py is not installed.
            RedisRefusedError: It wants another password.
        """
        url = self._settings.redis
        client = self._client = open_client(
            url,
            cluster=self._settings.redis_cluster,
            connections=self._settings.redis_connections,
            timeout_seconds=self._timeout,
        )
        try:
            policy = await eviction_policy(client, url, START_SECONDS)
        except RedisUnavailableError as error:
            _log.warning("the cache begins without its second level: %s", error.message)
            return
        if policy == NO_EVICTION:
            _log.warning(
                "Redis at %s has maxmemory-policy %s and takes no more when it is full: allkeys-lru suits the cache",
                without_password(url),
                policy,
            )

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def get(self, key: CacheKey) -> Found:
        """Look for a value."""
        text = key.text(self._settings.redis_prefix)
        generation = generation_key(self._settings.redis_prefix, key.space)
        reply = await self.ask("MGET", generation, text)
        if reply is None:
            return _NOTHING
        token, data = (item if isinstance(item, bytes) else b"" for item in reply)
        if len(token) != TOKEN_BYTES:
            token = b""  # None yet, or somebody else's: a new one is made where it is written.
        return self._judged(token, data, text.encode())

    async def put(self, key: CacheKey, payload: bytes, ttl_seconds: float, token: bytes) -> None:
        """Write a value of the generation that `get` found.

        Args:
            key: Where.
            payload: The value.
            ttl_seconds: How long it is valid from now on.
            token: As found; empty = the space has none, and gets one.
        """
        seconds = min(ttl_seconds, self._settings.redis_ttl_seconds)
        if seconds * MILLIS < 1:
            return
        if not token:
            token = secrets.token_bytes(TOKEN_BYTES)
            if not await self._set_generation(key.space, token, "NX"):
                return  # Somebody was faster; the next value will be of that generation.
        text = key.text(self._settings.redis_prefix)
        expire = time.time_ns() + int(seconds * NANOS)
        sealed = Envelope(token, expire, payload).seal(text.encode())
        done = await self.ask("SET", text, sealed, "PX", int(seconds * MILLIS))
        if done is None:
            self.write_failures += 1
        else:
            self.written += 1

    async def outdate(self, space: str) -> bool:
        """Outdate all values of a space, and tell other coordinators; False = Redis has not heard of it."""
        if not await self._set_generation(space, secrets.token_bytes(TOKEN_BYTES)):
            return False
        channel = channel_of(self._settings.redis_prefix)
        return await self.ask("PUBLISH", channel, told(self.node, space)) is not None

    async def _set_generation(self, space: str, token: bytes, *conditions: str) -> bool:
        name = generation_key(self._settings.redis_prefix, space)
        command = ("SET", name, token, "EX", GENERATION_SECONDS, *conditions)
        return bool(await self.ask(*command))

    def _judged(self, token: bytes, data: bytes, text: bytes) -> Found:
        if not data:
            self.misses += 1
            return Found(True, token)
        try:
            if len(data) > self._settings.value_bytes_max + ENVELOPE_BYTES:
                raise GarbageError(f"{len(data)} bytes, more than anybody here writes")
            envelope = open_envelope(data, text)
        except GarbageError:
            self.garbage += 1
            self.misses += 1
            return Found(True, token)
        if envelope.token != token or envelope.expire_unix_nano <= time.time_ns():
            self.outdated += 1
            self.misses += 1
            return Found(True, token)
        self.hits += 1
        return Found(True, token, envelope.payload, envelope.expire_unix_nano)

    async def ask(self, *command: object) -> Any:
        """Send a command and return the reply; None when there is none in time, and when it is nil."""
        loop = asyncio.get_running_loop()
        ticket = self._breaker.admit(loop.time())
        if ticket is None or self._client is None:
            self.skipped += 1
            return None
        try:
            async with asyncio.timeout(self._timeout):
                await self._turns.acquire()
        except TimeoutError:
            self.skipped += 1
            self._breaker.abandoned(ticket, loop.time())
            return None
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._client.execute_command(*command)
        except asyncio.CancelledError:
            self._breaker.abandoned(ticket, loop.time())
            raise
        except Exception as error:  # noqa: BLE001 - a cache must not fail a call, whatever its client raises.
            self.failures += 1
            if is_answer(error):
                self._breaker.succeeded(ticket)
            else:
                self._breaker.failed(ticket, loop.time())
            self._tell(error)
            return None
        finally:
            self._turns.release()
        self._breaker.succeeded(ticket)
        self._tell(None)
        return reply

    def _tell(self, error: Exception | None) -> None:
        """Log once that Redis has gone, and once that it is back."""
        state = self._breaker.state
        if state is self._told_state or state is BreakerState.HALF_OPEN:
            return
        if state is BreakerState.OPEN and self._told_state is BreakerState.CLOSED:
            why = "refuses us" if error is not None and is_refusal(error) else "does not answer"
            url = without_password(self._settings.redis)
            _log.warning("Redis at %s %s (%r): the cache goes on without it", url, why, error)
        elif state is BreakerState.CLOSED:
            _log.warning("Redis at %s answers again", without_password(self._settings.redis))
        self._told_state = state
