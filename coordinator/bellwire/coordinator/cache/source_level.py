"""The third level as the others see it: bounded in time and number, behind a breaker, silent about its failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from bellwire.coordinator.cache.key import CacheKey
from bellwire.coordinator.cache.source import (
    FoundAnswer,
    FoundMessage,
    KeptAnswer,
    ValueSource,
)
from bellwire.policy.breaker import Breaker, BreakerState

T = TypeVar("T")
FAILURES_MAX: Final = 3
OPEN_SECONDS_MIN: Final = (
    1.0  # A store answers in tenths of a second; asking a broken one costs more than Redis.
)
OPEN_SECONDS_MAX: Final = 30.0
ASKED_MAX: Final = 8  # Questions at once; beyond, it is left out.
OPENING_SECONDS_MAX: Final = 5.0
WRITE_SECONDS_MAX: Final = 10.0  # Of a batch, which is synced to the disk.
_log = logging.getLogger("bellwire.coordinator")


class SourceLevel:
    """A `ValueSource` that never fails a question.

    Attributes:
        hits: Values found.
        misses: Values it does not have.
        failures: Questions it did not answer, or not in time.
        skipped: Questions not put to it because the breaker was open, or too many were under way.
        garbage: Values that were none.
        written: Values it has taken.
        write_failures: Values it has not.
    """

    def __init__(self, source: ValueSource, timeout_seconds: float) -> None:
        self._source = source
        self._timeout = timeout_seconds
        # Two: a disk that is full takes nothing and is read as ever.
        self._breaker = Breaker(FAILURES_MAX, OPEN_SECONDS_MIN, OPEN_SECONDS_MAX)
        self._write_breaker = Breaker(1, OPEN_SECONDS_MIN, OPEN_SECONDS_MAX)
        self._asked = 0
        self.hits = 0
        self.misses = 0
        self.failures = 0
        self.skipped = 0
        self.garbage = 0
        self.written = 0
        self.write_failures = 0

    @property
    def state(self) -> BreakerState:
        """CLOSED while it answers."""
        return self._breaker.state

    async def open(self) -> None:
        """Have it get ready; one that cannot, or not soon, is said so, and asked all the same."""
        try:
            async with asyncio.timeout(OPENING_SECONDS_MAX):
                await self._source.open()
        except Exception as error:  # noqa: BLE001 - a cache must not keep a coordinator from starting.
            _log.warning("the cache begins without its store: %r", error)

    async def close(self) -> None:
        """Have it give everything back."""
        try:
            await self._source.close()
        except Exception as error:  # noqa: BLE001 - nothing of ours depends on it any more.
            _log.warning("the cache's store did not close: %s", error)

    async def find(self, key: CacheKey, validity: str) -> FoundAnswer | None:
        """Return an answer, or None when there is none in time."""
        found = await self._guarded(lambda: self._source.find(key, validity))
        if found is not None:
            self.hits += found[0] is not None
            self.misses += found[0] is None
        return None if found is None else found[0]

    async def keep(self, answers: Sequence[KeptAnswer]) -> None:
        """Have answers kept; those it does not take are lost, and counted."""
        loop = asyncio.get_running_loop()
        was_open = self._write_breaker.state is not BreakerState.CLOSED
        ticket = self._write_breaker.admit(loop.time())
        if ticket is None:
            self.write_failures += len(answers)
            return
        try:
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                await self._source.keep(answers)
        except asyncio.CancelledError:
            self._write_breaker.abandoned(ticket, loop.time())
            raise
        except Exception as error:  # noqa: BLE001 - a store of others; a cache must not fail a call.
            self.write_failures += len(answers)
            self._write_breaker.failed(ticket, loop.time())
            if not was_open:
                _log.warning("the cache's store takes no answers (%s): they are not kept", error)
            return
        self._write_breaker.succeeded(ticket)
        self.written += len(answers)
        if was_open:
            _log.warning("the cache's store takes answers again")

    async def last_messages(
        self, topic: str, keys: Sequence[str], logs: Sequence[int], *, any_log: bool
    ) -> Sequence[FoundMessage] | None:
        """Return the newest message of each key; None = it did not answer in time."""
        found = await self._guarded(
            lambda: self._source.last_messages(topic, keys, logs, any_log=any_log)
        )
        return None if found is None else found[0]

    async def covered(self, topic: str, logs: Sequence[int]) -> Mapping[int, int] | None:
        """Return how far it has come, by partition; None = it did not answer in time."""
        found = await self._guarded(lambda: self._source.covered(topic, logs))
        return None if found is None else found[0]

    async def _guarded(self, ask: Callable[[], Awaitable[T]]) -> tuple[T] | None:
        """Return what it answered; None = it did not, or was not asked."""
        loop = asyncio.get_running_loop()
        ticket = self._breaker.admit(loop.time())
        if ticket is None:
            self.skipped += 1
            return None
        if self._asked >= ASKED_MAX:
            self.skipped += 1
            self._breaker.abandoned(ticket, loop.time())
            return None
        self._asked += 1
        try:
            async with asyncio.timeout(self._timeout):
                answer = await ask()
        except asyncio.CancelledError:
            self._breaker.abandoned(ticket, loop.time())
            raise
        except Exception as error:  # noqa: BLE001 - a store of others; a cache must not fail a call.
            self.failures += 1
            self._breaker.failed(ticket, loop.time())
            if self._breaker.state is BreakerState.OPEN:
                _log.warning(
                    "the cache's store does not answer (%r): it is left out for a while", error
                )
            return None
        finally:
            self._asked -= 1
        self._breaker.succeeded(ticket)
        return (answer,)
