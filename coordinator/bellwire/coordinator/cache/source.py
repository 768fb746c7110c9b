"""The third level: whatever keeps values for longer than a cache does."""

from __future__ import annotations

from typing import Protocol

from bellwire.coordinator.cache.key import CacheKey

__all__ = ["ValueSource"]


class ValueSource(Protocol):
    """Read-through on a miss of the levels above, for example an analytic store."""

    async def find(self, key: CacheKey) -> bytes | None:
        """Return the value as the cache's codec writes it, or None when there is none.

        It is waited for `CacheSettings.store_timeout_seconds`; whatever it raises is a miss, counted.
        """
