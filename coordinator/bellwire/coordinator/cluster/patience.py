"""Waits for a Redis that does not answer yet, for a bounded time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bellwire.coordinator.cluster.errors import LeaseUnavailableError
from bellwire.policy.backoff import Backoff

__all__ = ["patiently"]

T = TypeVar("T")
_log = logging.getLogger("bellwire.coordinator")


async def patiently(request: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Make a request until it is answered.

    Raises:
        LeaseUnavailableError: It was not, within so many seconds.
    """
    backoff = Backoff(0.1, 2.0)
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await request()
        except LeaseUnavailableError as error:
            if time.monotonic() >= deadline:
                raise LeaseUnavailableError(
                    f"{error.message}; waited for it for {seconds:g} s", metadata=error.metadata
                ) from None
            if not backoff.tries:
                _log.warning("%s; waiting for it", error.message)
        await asyncio.sleep(backoff.next_delay())
