"""The third level as the others see it: bounded in time, behind a breaker, silent about its failures."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from bellwire.coordinator.cache.key import CacheKey
from bellwire.coordinator.cache.source import ValueSource
from bellwire.policy.breaker import Breaker, BreakerState

FAILURES_MAX: Final = 3
OPEN_SECONDS_MIN: Final = (
    1.0  # A store answers in tenths of a second; asking a broken one costs more than Redis.
)
OPEN_SECONDS_MAX: Final = 30.0
_log = logging.getLogger("bellwire.coordinator")


class SourceLevel:
    """A `ValueSource` that never fails a question.

    Attributes:
        hits: Values found.
        misses: Values it does not have.
        failures: Questions it did not answer, or not in time.
        skipped: Questions not put to it because the breaker was open.
        garbage: Values that were none.
    """

    def __init__(self, source: ValueSource, timeout_seconds: float) -> None:
        self._source = source
        self._timeout = timeout_seconds
        self._breaker = Breaker(FAILURES_MAX, OPEN_SECONDS_MIN, OPEN_SECONDS_MAX)
        self.hits = 0
        self.misses = 0
        self.failures = 0
        self.skipped = 0
        self.garbage = 0

    @property
    def state(self) -> BreakerState:
        """CLOSED while it answers."""
        return self._breaker.state

    async def find(self, key: CacheKey) -> bytes | None:
        """Return a value, or None when there is none in time."""
        loop = asyncio.get_running_loop()
        ticket = self._breaker.admit(loop.time())
        if ticket is None:
            self.skipped += 1
            return None
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._source.find(key)
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
        self._breaker.succeeded(ticket)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found
