"""How long deliveries may be held before they are delivered again."""

from __future__ import annotations

import asyncio
from math import inf


class Lease:
    """Times the deliveries of one subscription.

    A stream that was lost ends its lease: then its tags mean nothing, and no time is up any more.

    Attributes:
        number: Counts the streams; delivery tags are scoped to one.
    """

    def __init__(self, seconds: float | None) -> None:
        """Take the seconds a delivery may be held; None = as long as its stream lives."""
        self._seconds = seconds
        self.number = 1

    @property
    def is_timed(self) -> bool:
        """Whether deliveries end by time at all."""
        return self._seconds is not None

    def void_at(self) -> float:
        """Return the loop time at which what is received or renewed now becomes void."""
        if self._seconds is None:
            return inf
        return asyncio.get_running_loop().time() + self._seconds

    def is_void(self, number: int, void_at: float) -> bool:
        """Tell whether the time is up for something of the stream of that number."""
        if void_at == inf or number != self.number:
            return False
        return asyncio.get_running_loop().time() >= void_at
