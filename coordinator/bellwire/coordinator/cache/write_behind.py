"""Answers on their way to the third level: gathered into batches, bounded, never waited for."""

from __future__ import annotations

import asyncio
from typing import Final

from bellwire.coordinator.cache.settings import ENTRY_BYTES
from bellwire.coordinator.cache.source import KeptAnswer
from bellwire.coordinator.cache.source_level import SourceLevel

BATCH_MAX: Final = 500
LINGER_SECONDS: Final = 2.0  # Fewer wait no longer.
WAITING_MAX: Final = 5_000  # Ten batches; beyond, answers are not kept (DROP_NEWEST, counted).
WAITING_BYTES_MAX: Final = 64 << 20
CLOSING_SECONDS_MAX: Final = 5.0  # For what waits when the coordinator stops.


class WriteBehind:
    """Writes answers to a store, at most one batch at a time.

    Attributes:
        dropped: Answers not written because too many waited.
    """

    def __init__(self, store: SourceLevel, linger_seconds: float = LINGER_SECONDS) -> None:
        self._store = store
        self._linger_seconds = linger_seconds
        self._waiting: list[KeptAnswer] = []
        self._bytes = 0
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, answer: KeptAnswer) -> None:
        """Have an answer written with those that come soon."""
        size = len(answer.payload) + ENTRY_BYTES
        if len(self._waiting) >= WAITING_MAX or self._bytes + size > WAITING_BYTES_MAX:
            self.dropped += 1
            return
        self._waiting.append(answer)
        self._bytes += size
        if len(self._waiting) >= BATCH_MAX:
            self._full.set()
        if self._task is None:
            self._task = asyncio.create_task(self._write(), name="cache write-behind")

    async def close(self) -> None:
        """Write what waits, for at most `CLOSING_SECONDS_MAX`."""
        if self._task is None:
            return
        self._linger_seconds = 0.0
        self._full.set()
        _, pending = await asyncio.wait([self._task], timeout=CLOSING_SECONDS_MAX)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _write(self) -> None:
        while self._waiting:
            try:
                async with asyncio.timeout(self._linger_seconds):
                    await self._full.wait()
            except TimeoutError:
                pass
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            self._bytes -= sum(len(answer.payload) + ENTRY_BYTES for answer in batch)
            if len(self._waiting) < BATCH_MAX and self._linger_seconds:
                self._full.clear()
            await self._store.keep(batch)
        self._task = None
