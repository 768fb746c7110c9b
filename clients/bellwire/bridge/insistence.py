"""Asks again while the bus is away, for as long as an outage may last."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bellwire.bridge.settings import BridgeSettings
from bellwire.policy.backoff import Backoff
from bellwire.wire.errors import BellwireError, DataCorruptError

__all__ = ["insist"]

_Answer = TypeVar("_Answer")


async def insist(
    ask: Callable[[], Awaitable[_Answer]],
    settings: BridgeSettings,
    retried: tuple[type[BellwireError], ...],
    *,
    told: Callable[[BellwireError], None] = lambda _: None,
) -> _Answer:
    """Return what `ask` does; asked again, with backoff, for `outage_seconds_max` at most.

    Args:
        ask: Safe to repeat.
        settings: Of the waits between two tries, and of their end.
        retried: Errors that a later try may be spared; damage never is.
        told: Hears of the first of them.

    Raises:
        BellwireError: The last of `retried`, or any other at once.
    """
    clock = asyncio.get_running_loop().time
    backoff = Backoff(settings.retry_first_seconds, settings.retry_max_seconds)
    deadline = clock() + settings.outage_seconds_max
    while True:
        try:
            return await ask()
        except retried as error:
            if isinstance(error, DataCorruptError) or clock() > deadline:
                raise
            if not backoff.tries:
                told(error)
            await asyncio.sleep(backoff.next_delay(error.retry_delay_seconds or 0.0))
