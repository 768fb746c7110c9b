"""Has Redis told what was outdated here, as long as it takes."""

from __future__ import annotations

import asyncio
from typing import Final

from bellwire.coordinator.cache.outdating import Outdating
from bellwire.coordinator.cache.redis_level import RedisLevel

TELL_SECONDS: Final = (
    0.05  # Between two rounds of telling Redis what is outdated: bounds what a busy topic costs.
)


class Teller:
    """Tells Redis, and through it other coordinators; what is not told yet stays in `Outdating.untold`."""

    def __init__(self, redis: RedisLevel, outdating: Outdating) -> None:
        self._redis = redis
        self._outdating = outdating
        self._task: asyncio.Task[None] | None = None

    def tell(self) -> None:
        """Begin to tell, if there is anything."""
        if self._task is None and self._outdating.untold:
            self._task = asyncio.create_task(self._tell(), name="cache outdating")

    async def close(self) -> None:
        """Tell no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tell(self) -> None:
        untold = self._outdating.untold
        while untold:
            for space, number in tuple(untold.items()):
                if not await self._redis.outdate(space):
                    break
                self._outdating.told(space, number)
            await asyncio.sleep(TELL_SECONDS)
        self._task = None
